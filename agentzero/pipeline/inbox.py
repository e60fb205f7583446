"""The messages that are there for a pipeline, without waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

from agentzero import Envelope, Event, SocketManager
from agentzero.errors import DeserializationError, SocketTimeout
from agentzero.events import Identity
from agentzero.pipeline.wire import Results

__all__ = ["EVENTS", "QUESTIONS", "RESULTS", "Inbox"]

logger: Final = logging.getLogger("agentzero.pipeline")

T = TypeVar("T")

MOST = 1000  # messages of one socket in one turn

EVENTS, RESULTS, QUESTIONS = "events", "results", "replies"  # the names of the sockets


class Inbox:
    """Takes what has arrived; what cannot be read is logged and left out."""

    def __init__(self, sockets: SocketManager) -> None:
        self._sockets = sockets
        self._ready: set[str] = set()

    def wait(self, seconds: float) -> None:
        """Wait until something is there."""
        ready = self._sockets.engage(1000 * seconds)
        names = (EVENTS, RESULTS, QUESTIONS)
        self._ready = {name for name in names if self._sockets.get_by_name(name) in ready}

    def events(self) -> Iterator[Event]:
        """Yield what workers publish."""
        yield from self._arrived(self._sockets.recv_event, EVENTS)

    def results(self) -> Iterator[Results]:
        """Yield what workers have done."""
        yield from self._arrived(partial(self._sockets.recv, type=Results), RESULTS)

    def questions(self) -> Iterator[Envelope]:
        """Yield what is asked, or the error in its place where it cannot be read."""
        yield from self._arrived(self._question, QUESTIONS)

    def _question(self, name: str, timeout: float) -> Envelope:
        try:
            return self._sockets.recv_from(name, timeout)
        except DeserializationError as error:
            if not isinstance(error.identity, Identity):
                raise
            return Envelope(error.identity, error)

    def _arrived(self, recv: Callable[..., T], name: str) -> Iterator[T]:
        for _ in range(MOST if name in self._ready else 0):
            try:
                yield recv(name, timeout=0)
            except SocketTimeout:
                return
            except DeserializationError as error:
                logger.warning("%s", error)
