"""Between objects and frames: what is sent becomes frames, and what arrives becomes data."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import zmq

from agentzero.channel import Channel, Message
from agentzero.errors import DeserializationError, RemoteError, SerializationError
from agentzero.events import Envelope, Event, Identity
from agentzero.serializers import convert
from agentzero.util import safe_text, serialized_exception

__all__ = [
    "as_frames",
    "envelope",
    "event",
    "failure",
    "or_report",
    "pack",
    "reply",
    "topic_bytes",
    "unpack",
]

T = TypeVar("T")

logger: Final = logging.getLogger("agentzero")

# The only key of a reply that holds an exception.
FAILURE = "agentzero.error"

_FIELD_NAME = re.compile(":[^:]*:")  # in the format of a buffer, PEP 3118

READ_WITH = {
    zmq.SUB: "; read published messages with recv_event",
    zmq.XSUB: "; read published messages with recv_event",
    zmq.ROUTER: "; read a ROUTER with recv_from",
}


def pack(channel: Channel, data: object) -> bytes:
    """Return `data` as the channel's serializer writes it.

    Raises:
        SerializationError: it cannot be written.
    """
    try:
        packed = channel.serializer.pack(data)
    except SerializationError:
        raise
    except Exception as error:
        raise SerializationError(f"cannot write {type(data).__name__}: {error}") from error
    return packed if isinstance(packed, bytes) else _as_bytes(packed)


def _as_bytes(packed: object) -> bytes:
    try:
        return packed.encode() if isinstance(packed, str) else bytes(memoryview(packed))  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError) as error:
        raise SerializationError(
            f"pack() returned what is neither bytes nor text: {error}"
        ) from error


def topic_bytes(topic: object) -> bytes:
    """Return a topic as ZeroMQ takes it.

    Raises:
        TypeError: it is neither str nor bytes.
    """
    if isinstance(topic, str):
        return topic.encode("utf-8", "surrogateescape")
    if isinstance(topic, bytes):
        return topic
    raise TypeError(f"a topic is str or bytes, not {topic!r}")


def as_frames(frames: Sequence[Any]) -> list[Any]:
    """Return frames for the wire, checked before the first of them is sent.

    Raises:
        TypeError: one of them is not bytes, or another buffer.
        ValueError: there are none, or one is not contiguous in memory, in C order.
    """
    if isinstance(frames, str) or (not isinstance(frames, list | tuple) and _is_buffer(frames)):
        raise TypeError(f"a list of frames is expected, not {type(frames).__name__}")
    checked = [frame if isinstance(frame, bytes) else memoryview(frame) for frame in frames]
    if not checked:
        raise ValueError("a message has at least one frame")
    for frame in checked:
        if isinstance(frame, memoryview):
            _check_memory(frame)
    return checked


def _check_memory(view: memoryview) -> None:
    if not view.c_contiguous:
        raise ValueError(
            "a frame is contiguous in memory, in C order; numpy.ascontiguousarray makes it so"
        )
    if "O" in _FIELD_NAME.sub("", view.format):
        raise TypeError("a frame holds values, and not references to Python objects")


def _is_buffer(frames: object) -> bool:
    try:
        memoryview(frames)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def unpack(channel: Channel, message: Message, wanted: Any) -> Any:
    """Return the data of a message of one frame, as `wanted` unless that is None.

    Raises:
        DeserializationError: it has more frames, or cannot be read, or does not fit `wanted`.
    """
    if isinstance(message, list):
        raise _wrong_count(channel, message, "one was", READ_WITH.get(channel.kind, ""))
    try:
        data = channel.serializer.unpack(message)
    except Exception as error:
        raise _unreadable(channel, error, message) from error
    return data if wanted is None else _converted(channel, data, wanted, message)


def event(channel: Channel, message: Message, wanted: Any) -> Event:
    """Return a published message, [topic, payload].

    Raises:
        DeserializationError: it is not that, or its payload cannot be read.
    """
    if isinstance(message, bytes) or len(message) != 2:
        raise _wrong_count(channel, message, "topic and payload were")
    raw_topic, payload = message
    try:
        topic = raw_topic.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(channel, error, b"".join(message)) from error
    return Event(topic, _read(channel, payload, wanted, topic))


def envelope(channel: Channel, message: Message, wanted: Any) -> Envelope:
    """Return what a ROUTER received: [identity, payload], or [identity, ..., "", payload].

    Raises:
        DeserializationError: it is not that, or its payload cannot be read.
    """
    if isinstance(message, bytes) or (len(message) > 2 and message[-2]):
        raise _wrong_count(channel, message, "identity and payload were")
    identity, *route, payload = message
    sender = Identity(identity, tuple(route))
    try:
        return Envelope(sender, _read(channel, payload, wanted))
    except DeserializationError as error:
        error.identity = sender
        raise


def reply(channel: Channel, message: Message, wanted: Any) -> Any:
    """Return the data of a reply, as `wanted` unless that is None.

    Raises:
        RemoteError: it says that the other side's handler raised.
        DeserializationError: as for `unpack`.
    """
    if isinstance(message, list) and channel.kind == zmq.DEALER:
        raise _wrong_count(channel, message, "id, empty frame and payload were")
    data = unpack(channel, message, None)
    if isinstance(data, dict) and data.keys() == {FAILURE} and isinstance(data[FAILURE], dict):
        raise _remote_error(channel, data[FAILURE])
    assert isinstance(message, bytes)
    return data if wanted is None else _converted(channel, data, wanted, message)


def _remote_error(channel: Channel, failure: dict[Any, Any]) -> RemoteError:
    # A stranger's words, as far as they are words at all.
    module, name, message, traceback = (
        safe_text(failure.get(key, "")) for key in ("module", "name", "message", "traceback")
    )
    text = f"the other side of {channel} raised {name[:100]}: {message[:500]}"
    return RemoteError(text, module=module, name=name, traceback=traceback)


def failure(channel: Channel, error: BaseException) -> bytes:
    """Return the reply that says what was raised; empty where the serializer writes no dicts."""
    try:
        return pack(channel, {FAILURE: serialized_exception(error)})
    except SerializationError:
        return b""


def or_report(
    read: Callable[[Channel, Message, Any], T],
    channel: Channel,
    wanted: Any,
    on_error: Callable[[DeserializationError], object] | None,
    message: Message,
) -> T | None:
    """Return what `read` makes of a message, or None for one that is unreadable: loops go on.

    That one is logged, and handed to `on_error`.
    """
    try:
        return read(channel, message, wanted)
    except DeserializationError as error:
        logger.error("%s", error)
        if on_error is not None:
            on_error(error)
        return None


def _read(channel: Channel, raw: bytes, wanted: Any, topic: str | None = None) -> Any:
    try:
        data = channel.serializer.unpack(raw)
    except Exception as error:
        raise _unreadable(channel, error, raw, topic) from error
    return data if wanted is None else _converted(channel, data, wanted, raw, topic)


def _converted(
    channel: Channel, data: Any, wanted: Any, raw: bytes, topic: str | None = None
) -> Any:
    try:
        return convert(data, wanted)
    except DeserializationError as error:
        raise _unreadable(channel, error, raw, topic) from error


def _wrong_count(
    channel: Channel, message: Message, expected: str, hint: str = ""
) -> DeserializationError:
    frames = [message] if isinstance(message, bytes) else message
    cause = f"frames: {len(frames)}, where {expected} expected{hint}"
    return _unreadable(channel, cause, b"".join(frames))


def _unreadable(
    channel: Channel, cause: object, raw: bytes, topic: str | None = None
) -> DeserializationError:
    channel.count("undecodable")
    # A stranger's words: cut, or they would fill the log.
    about = f" under {topic[:100]!r}" if topic else ""
    return DeserializationError(
        f"cannot read a message{about} on {channel}: {str(cause)[:500]}",
        name=channel.name,
        topic=topic,
        raw=raw,
    )
