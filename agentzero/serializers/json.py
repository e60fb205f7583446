"""JSON, as fast as msgspec writes and reads it."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from agentzero.errors import SerializationError
from agentzero.serializers.base import BaseSerializer, unreadable, unwritable
from agentzero.serializers.forms import form_of

__all__ = ["JSON"]

# Shared by all instances and threads: both are immutable.
_encode = msgspec.json.Encoder(enc_hook=form_of).encode
_decode = msgspec.json.Decoder().decode

_find_null = re.compile(b"null").search
_probe = msgspec.msgpack.Encoder(enc_hook=form_of).encode
_holds_non_finite = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]").search


class JSON(BaseSerializer):
    """JSON (RFC 8259). Bytes become base64 text, other kinds text; integers have no limit.

    A dict's keys become text, as JSON has no others; that of a NaN is "nan", and not null.

    >>> JSON().pack({"topic": "greetings", "times": 3})
    b'{"topic":"greetings","times":3}'
    >>> JSON().unpack(b"[1, 2.5, null]")
    [1, 2.5, None]
    """

    def pack(self, item: Any) -> bytes:
        """The item as JSON in UTF-8.

        Raises:
            SerializationError: a NaN or an infinity, a lone surrogate, or nesting deeper than
                Python's recursion limit.

        >>> JSON().pack(float("nan"))
        Traceback (most recent call last):
          ...
        agentzero.errors.SerializationError: JSON has no NaN and no infinity
        """
        try:
            packed = _encode(item)
            lossy = _find_null(packed) is not None and _has_non_finite(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unwritable("JSON", error) from error
        if lossy:
            raise SerializationError("JSON has no NaN and no infinity")
        return packed

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: they are not JSON, or hold a number that is out of range.

        >>> JSON().unpack(b"{")
        Traceback (most recent call last):
          ...
        agentzero.errors.DeserializationError: cannot be read as JSON: DecodeError: Input data was truncated
        """  # noqa: E501
        try:
            return _decode(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable("JSON", item, error) from error


def _has_non_finite(item: object) -> bool:
    """Whether a null stands for a NaN or an infinity: msgspec writes them so without a word."""
    try:
        # MessagePack keeps them, and writing it costs a fraction of a walk in Python.
        suspect = _holds_non_finite(_probe(item)) is not None
    except OverflowError:
        suspect = True
    return suspect and _walk(msgspec.to_builtins(item, enc_hook=form_of))


def _walk(item: object) -> bool:
    if isinstance(item, float):
        return not math.isfinite(item)
    if isinstance(item, dict):
        return any(map(_walk, item.values()))
    return isinstance(item, (list, tuple)) and any(map(_walk, item))
