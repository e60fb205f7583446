"""A crew: worker processes that are started again when they die."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Final

import click

from agentzero.pipeline.signals import ending_signals

__all__ = ["Crew", "Hopeless", "Pauses"]

logger: Final = logging.getLogger("agentzero.cli")

SHORTEST, LONGEST = 1.0, 30.0  # seconds until a process is started again
PROVEN = 60.0  # seconds after which one that dies counts as the first to do so
WORDS = 65536  # the longest that a process can say of why it is hopeless


class Hopeless(click.ClickException):
    """It would fail however often it is started again."""

    exit_code = 2


class Pauses:
    """How long to wait until a process is started again: ever longer while they die young.

    >>> pauses = Pauses()
    >>> pauses.after(0.1), pauses.after(0.1), pauses.after(0.1), pauses.after(3600.0)
    (1.0, 2.0, 4.0, 1.0)
    """

    def __init__(self) -> None:
        self._next = SHORTEST

    def after(self, lived: float) -> float:
        """Return how many seconds to wait after one that lived for so many."""
        pause = SHORTEST if lived >= PROVEN else self._next
        self._next = min(LONGEST, 2 * pause)
        return pause


class Crew:
    """Processes that run one command, and are kept running until a signal asks them to end.

    Each leads a process group, so that Ctrl-C in a terminal reaches this process alone. When it
    dies itself, the standard input of the others comes to its end.

    Args:
        command: what each runs. It ends in good order at SIGTERM, and at once at another. Where it
            is hopeless, it exits as `Hopeless` says, having written why to its standard input.
        processes: how many there are to be.
    """

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command = command
        self._processes = processes
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._hopeless: str | None = None
        # Whether all are to end, or else one of the threads has ended.
        self._news: SimpleQueue[bool] = SimpleQueue()

    def run(self) -> None:
        """Keep them running until SIGTERM or SIGINT; a second signal is passed on as well.

        Raises:
            Hopeless: one of them said so, and the others have ended, too.
        """
        with ending_signals(lambda: self._news.put(True)):
            for _ in range(self._processes):
                threading.Thread(target=self._keep, daemon=True).start()
            left = self._processes
            while left:
                if self._news.get():
                    self._terminate()
                else:
                    left -= 1
        if self._hopeless is not None:
            raise Hopeless(self._hopeless)

    def _terminate(self) -> None:
        with self._lock:
            self._ending.set()
            for process in self._running:
                process.terminate()

    def _keep(self) -> None:
        pauses = Pauses()
        try:
            while (lived := self._run_once()) is not None:
                self._ending.wait(pauses.after(lived))
        finally:
            self._news.put(False)

    def _run_once(self) -> float | None:
        """Run the command to its end; return how long that took, None when all are to end."""
        # Its standard input is a lifeline: it ends when this process does.
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if (process := self._start(theirs)) is None:
                return None
            began = monotonic()
            code = process.wait()
            with self._lock:
                self._running.discard(process)
            if code == Hopeless.exit_code:
                self._give_up(_read(ours) or _end_of(process.pid, code))
                return None
        if not self._ending.is_set():
            logger.warning("%s; starting another", _end_of(process.pid, code))
        return monotonic() - began

    def _start(self, lifeline: socket.socket) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._ending.is_set():
                return None
            stdin = lifeline.fileno()
            process = subprocess.Popen(self._command, stdin=stdin, process_group=0)
            self._running.add(process)
            return process

    def _give_up(self, why: str) -> None:
        with self._lock:
            first, self._hopeless = self._hopeless is None, self._hopeless or why
        if first and not self._ending.is_set():  # to be told twice ends what runs at once
            self._news.put(True)


def _read(lifeline: socket.socket) -> str:
    try:
        return lifeline.recv(WORDS, socket.MSG_DONTWAIT).decode()
    except BlockingIOError:  # processes that it started may hold the other end
        return ""


def _end_of(pid: int, code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"worker process {pid} {how}"
