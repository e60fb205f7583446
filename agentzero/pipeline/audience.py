"""Who listens to the events of a pipeline's workers."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

import msgspec

from agentzero import Event
from agentzero.errors import DeserializationError
from agentzero.log import record_from_event
from agentzero.pipeline.events import EVENTS
from agentzero.pipeline.settings import Listener
from agentzero.pipeline.wire import LogLine
from agentzero.serializers import convert

__all__ = ["Audience"]

logger: Final = logging.getLogger("agentzero.pipeline")

LOGS = 200  # newest log records that are shown


class Audience:
    """Makes dataclasses of published events, and hands them on.

    Args:
        listener: called with each event, if there is one.

    Attributes:
        topics: what has to be subscribed to.
        logs: the newest log records.
    """

    def __init__(self, listener: Listener | None) -> None:
        self.topics: tuple[str, ...] = (
            ("available", "gone", "logs", "metric") if listener is None else ("",)
        )
        self.logs: deque[LogLine] = deque(maxlen=LOGS)
        self._listener = listener

    def hear(self, event: Event) -> object:
        """Return an event as its dataclass, or a log record; None for what is neither."""
        try:
            heard = self._read(event)
        except DeserializationError as error:
            logger.warning("an event under %r is not valid: %s", event.topic, error)
            return None
        if self._listener is not None and heard is not None:
            try:
                self._listener(heard)
            except Exception:
                logger.exception("on_event failed")
        return heard

    def _read(self, event: Event) -> object:
        if event.topic == "logs":
            self.logs.append(convert(event.data, _Line).shown())
            return None if self._listener is None else record_from_event(event)
        kind = EVENTS.get(event.topic)
        return None if kind is None else convert(event.data, kind)


class _Line(msgspec.Struct):
    """What is shown of a log record; the whole of it is made for listeners only: it takes long."""

    msg: str
    level: int
    name: str = ""
    created: float = 0.0

    def shown(self) -> LogLine:
        return LogLine(self.created, self.level, self.name, self.msg)
