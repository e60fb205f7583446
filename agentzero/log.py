"""Log records over a PUB socket: a handler that publishes them, and the way back."""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections.abc import Iterable
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec

from agentzero.errors import DeserializationError
from agentzero.events import Event
from agentzero.util import safe_text

__all__ = ["PublishedRecord", "ZMQPubHandler", "record_from_event"]

_Plain: TypeAlias = "bool | int | float | str | list[_Plain] | dict[str, _Plain] | None"

_DEEPEST = 8  # containers nested deeper than this are published as text
_CONTAINERS = (dict, list, tuple, set, frozenset)
_STANDARD = logging.Formatter()
_REPLACED = frozenset({"msg", "args", "exc_info", "exc_text", "message", "asctime"})

# One mark per thread for all handlers: whatever is logged while one of them publishes was caused by
# that, and publishing it as well would never end.
_publishing = threading.local()


class Publisher(Protocol):
    """What a handler needs of its manager: one attempt to publish, which never waits."""

    def publish_nowait(self, name: str, topic: str | bytes, data: object, /) -> bool:
        """Return whether the message could be queued."""
        ...


class ZMQPubHandler(logging.Handler):
    """Publishes each log record as a dict that any serializer can write.

    The dict holds `msg` (text, from the formatter where one is set), `level` (a number), `args`,
    the other fields of the record under their own names, `exc_text` and `stack_info` as text, and
    the fields given as `extra`, except one named `level`. Objects, and numbers that not every
    serializer can write, become text. `created` is in seconds since the epoch.

    It may be used from any thread, greenlet or signal handler. It takes no lock, never waits and
    never raises: a record that cannot be queued at once is dropped and counted in `dropped`. So is
    a record that publishing itself gives rise to.

    Args:
        manager: a `SocketManager` or `AsyncSocketManager`.
        socket_name: its PUB or XPUB socket.
        topic_name: the topic to publish under.

    >>> class Console:
    ...     def publish_nowait(self, name, topic, data):
    ...         print(topic, data["level"], data["msg"], data["args"])
    ...         return True
    >>> logger = logging.Logger("shop")
    >>> logger.addHandler(ZMQPubHandler(Console(), topic_name="app"))
    >>> logger.warning("%d left", 3)
    app 30 3 left [3]
    """

    def __init__(
        self,
        manager: Publisher,
        socket_name: str = "logs",
        topic_name: str | bytes = "logs",
    ) -> None:
        super().__init__()
        self.manager = manager
        self.socket_name = socket_name
        self.topic_name = topic_name
        self._drops: dict[int, int] = {}

    @property
    def dropped(self) -> int:
        """How many records were not published, since the handler was made.

        >>> class Full:
        ...     def publish_nowait(self, name, topic, data):
        ...         return False
        >>> handler = ZMQPubHandler(Full())
        >>> handler.emit(logging.makeLogRecord({"msg": "lost"}))
        >>> handler.dropped
        1
        """
        return sum(list(self._drops.values()))

    def createLock(self) -> None:
        """Make no lock: an argument's `__str__` that waits must not hold up every other thread."""
        self.lock: threading.RLock | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit `record` unless a filter rejects it; return whether none did."""
        accepted: object = self.filter(record)
        if accepted:
            self.emit(accepted if isinstance(accepted, logging.LogRecord) else record)
        return bool(accepted)

    def emit(self, record: logging.LogRecord) -> None:
        """Publish `record`, or count it as dropped; never raises."""
        if not self._published(record):
            self._count_drop()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's message, or what the formatter makes of it where one is set."""
        return super().format(record) if self.formatter else record.getMessage()

    def _published(self, record: logging.LogRecord) -> bool:
        if getattr(_publishing, "now", False):
            return False
        try:
            return self._publish(self._describe(record))
        except Exception:
            return False

    def _publish(self, data: dict[str, _Plain]) -> bool:
        try:
            _publishing.now = True
            return self.manager.publish_nowait(self.socket_name, self.topic_name, data)
        finally:
            _publishing.now = False

    def _count_drop(self) -> None:
        # Each thread counts under its own key: exact without a lock, which a fork or a signal
        # could leave held.
        thread = threading.get_ident()
        self._drops[thread] = self._drops.get(thread, 0) + 1

    def _describe(self, record: logging.LogRecord) -> dict[str, _Plain]:
        # Formatters leave their results on the record, where other handlers would find them.
        shown = copy.copy(record)
        shown.exc_text = self._exception_text(record)
        fields = {safe_text(k): _plain(v) for k, v in vars(shown).items() if k not in _REPLACED}
        return fields | {
            "msg": self._message(shown),
            "level": _plain(record.levelno),
            "args": _plain(record.args),
            "exc_text": _plain(shown.exc_text),
        }

    def _message(self, record: logging.LogRecord) -> str:
        try:
            return safe_text(self.format(record))
        except Exception as error:
            what = f"{safe_text(record.msg)} {_plain(record.args)}"
            return f"{what} [cannot be formatted: {type(error).__name__}: {safe_text(error)}]"

    def _exception_text(self, record: logging.LogRecord) -> str | None:
        if not record.exc_info:
            return record.exc_text
        formatter = self.formatter if isinstance(self.formatter, logging.Formatter) else _STANDARD
        try:
            return formatter.formatException(record.exc_info)
        except Exception as error:
            return f"[traceback cannot be formatted: {type(error).__name__}: {safe_text(error)}]"


def _plain(value: object, inside: tuple[int, ...] = ()) -> _Plain:
    """Return `value` in types that every serializer has; `inside` are the containers around it."""
    try:
        if isinstance(value, _CONTAINERS):
            return _plain_container(value, inside)
        return _plain_scalar(value)
    except Exception:
        return safe_text(value)


def _plain_scalar(value: object) -> _Plain:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_integer(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return safe_text(value)


def _plain_integer(number: int) -> int | str:
    if -(2**63) <= number < 2**64:
        return number
    # Python refuses to write very long integers in decimal.
    return str(number) if number.bit_length() <= 1024 else hex(number)


def _plain_container(value: Iterable[object], inside: tuple[int, ...]) -> _Plain:
    if id(value) in inside or len(inside) == _DEEPEST:
        return safe_text(value)
    inside += (id(value),)
    if isinstance(value, dict):
        return {safe_text(key): _plain(item, inside) for key, item in value.items()}
    return [_plain(item, inside) for item in value]


class PublishedRecord(logging.LogRecord):
    """A log record as it was published: its message is formatted already.

    `getMessage()` gives `msg` as it is; `args` are kept for whoever wants to look at them.

    >>> record = PublishedRecord("shop", logging.INFO, "shop.py", 1, "100% of 3", (3,), None)
    >>> record.getMessage(), record.args
    ('100% of 3', (3,))
    """

    def getMessage(self) -> str:
        """Return the text that was published."""
        return str(self.msg)


_Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Epoch: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]  # until the year 9999
_Milliseconds: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]


class _Fields(msgspec.Struct):
    """The standard fields, each in the type and range that every formatter can show."""

    msg: str
    level: _Int64
    name: str = "root"
    levelname: str | None = None
    pathname: str = ""
    filename: str = ""
    module: str = ""
    lineno: _Int64 = 0
    funcName: str | None = None
    created: _Epoch = msgspec.field(default_factory=time.time)
    msecs: _Milliseconds | None = None
    relativeCreated: _Milliseconds = 0.0
    thread: _Int64 | None = None
    threadName: str | None = None
    process: _Int64 | None = None
    processName: str | None = None
    taskName: str | None = None
    exc_text: str | None = None
    stack_info: str | None = None


def record_from_event(event: Event) -> PublishedRecord:
    """Return the log record that a `ZMQPubHandler` published, ready for `Logger.handle`.

    Fields that were given as `extra` are attributes of it again. A name that would replace part of
    a `LogRecord` is left out. So is a traceback that `msg` shows already, because the publisher's
    formatter wrote it there. Only `msg` and `level` must be present.

    Raises:
        DeserializationError: where the event is no log record; the text says which field is wrong.

    >>> event = Event("logs", {"msg": "3 left", "level": 30, "args": [3]})
    >>> record = record_from_event(event)
    >>> record.levelname, record.getMessage(), record.args
    ('WARNING', '3 left', (3,))
    """
    try:
        fields = msgspec.convert(event.data, _Fields)
        published = msgspec.convert(event.data, dict[str, Any])
    except msgspec.ValidationError as error:
        raise DeserializationError(f"not a log record: {error}", topic=event.topic) from error
    return _rebuilt(fields, published)


def _rebuilt(fields: _Fields, published: dict[str, Any]) -> PublishedRecord:
    record = PublishedRecord(fields.name, fields.level, fields.pathname, 0, "", None, None)
    vars(record).update(_standard_fields(fields), args=_published_args(published.get("args")))
    vars(record).update(_extra_fields(published, record))
    return record


def _standard_fields(fields: _Fields) -> dict[str, Any]:
    standard = msgspec.structs.asdict(fields)
    level = standard.pop("level")
    return standard | {
        "levelno": level,
        "levelname": fields.levelname or logging.getLevelName(level),
        "msecs": fields.created % 1 * 1000 if fields.msecs is None else fields.msecs,
        "exc_text": _unless_in(fields.msg, fields.exc_text),
        "stack_info": _unless_in(fields.msg, fields.stack_info),
    }


def _unless_in(message: str, text: str | None) -> str | None:
    return text if text and text not in message else None


def _published_args(args: object) -> object:
    """Return `args` as a logger has them: JSON knows no tuples."""
    if isinstance(args, list | tuple):
        return tuple(args)
    return args if isinstance(args, dict) else ()


def _extra_fields(published: dict[str, Any], record: logging.LogRecord) -> dict[str, Any]:
    taken = {*dir(record), "level", "message", "asctime"}
    return {key: value for key, value in published.items() if key not in taken}
