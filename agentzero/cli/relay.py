"""A relay: it passes messages on between two sockets, and can be paused and asked how far it is."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import Any

from agentzero import SocketManager
from agentzero.errors import AgentZeroSocketError, PeerUnreachable, SocketClosed, SocketTimeout

__all__ = ["BACK", "COMMANDS", "CONTROL", "FRONT", "Relay"]

FRONT, BACK, CONTROL = "front", "back", "control"  # the names of the sockets

COMMANDS = ("statistics", "pause", "resume", "terminate")

COUNTERS = ("received", "received_bytes", "sent", "sent_bytes")


class Relay:
    """Passes messages on between the sockets "front" and "back" of a manager.

    Args:
        sockets: the manager. Commands are answered at its socket "control", a REP, if it has one.
        back_too: whether messages go from back to front as well.
        front_waits: whether a message waits for room at the front; otherwise it is dropped, as
            one whose receiver has gone.
    """

    def __init__(self, sockets: SocketManager, *, back_too: bool, front_waits: bool) -> None:
        self._sockets = sockets
        self._ways = [(FRONT, BACK, math.inf)]
        if back_too:
            self._ways.append((BACK, FRONT, math.inf if front_waits else 0.0))
        self._running = threading.Event()
        self._running.set()
        self._ended = threading.Event()
        self._terminated = False
        self._dropped = 0
        self._error: AgentZeroSocketError | None = None

    def run(self) -> None:
        """Pass messages on until the command "terminate" comes.

        Raises:
            AgentZeroSocketError: one of the sockets does not work any more.
        """
        for way in self._ways:
            threading.Thread(target=self._pass_on, args=way, daemon=True).start()
        if CONTROL in self._sockets:
            threading.Thread(target=self._obey, daemon=True).start()
        try:
            self._ended.wait()
        finally:
            self._ended.set()  # also after Ctrl-C
        if self._error is not None:
            raise self._error

    def _pass_on(self, source: str, target: str, timeout: float) -> None:
        try:
            while True:
                frames = self._sockets.recv_multipart(source, math.inf)
                self._running.wait()
                try:
                    self._sockets.send_multipart(target, frames, timeout)
                except (PeerUnreachable, SocketTimeout):
                    self._dropped += 1
        except AgentZeroSocketError as error:
            self._end(error)

    def _obey(self) -> None:
        with suppress(SocketClosed):
            self._sockets.serve(CONTROL, self._command, lambda: not self._terminated)
        self._end()

    def _end(self, error: AgentZeroSocketError | None = None) -> None:
        if not self._ended.is_set():
            self._error = error
            self._ended.set()

    def _command(self, said: Any) -> dict[str, Any]:
        if said not in COMMANDS:
            raise ValueError(f"a command is one of {', '.join(COMMANDS)}")
        if said == "pause":
            self._running.clear()
        elif said == "resume":
            self._running.set()
        elif said == "terminate":
            self._terminated = True
        return self.statistics()

    def statistics(self) -> dict[str, Any]:
        """Return whether messages are passed on, and how many were."""
        return {
            "state": self._state(),
            FRONT: self._counters(FRONT),
            BACK: self._counters(BACK),
            "dropped": self._dropped,
        }

    def _state(self) -> str:
        if self._terminated or self._ended.is_set():
            return "ended"
        return "running" if self._running.is_set() else "paused"

    def _counters(self, name: str) -> dict[str, int]:
        stats = self._sockets.stats(name)
        return {counter: getattr(stats, counter) for counter in COUNTERS}
