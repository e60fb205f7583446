"""Typed messages: what any serializer read, as the type that the receiver asked for."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, TypeVar, overload

import msgspec

from agentzero.errors import DeserializationError

__all__ = ["check_type", "convert"]

T = TypeVar("T")


@overload
def convert(item: Any, type: type[T], *, raw: bytes = b"") -> T: ...
@overload
def convert(item: Any, type: Any, *, raw: bytes = b"") -> Any: ...
def convert(item: Any, type: Any, *, raw: bytes = b"") -> Any:
    """The item as an instance of `type`.

    Kinds that a format writes as text (dates, Decimals, UUIDs, bytes, a dict's integer keys)
    are made of that text; nothing else changes its kind, so "1" is no int.

    Args:
        item: what a serializer's `unpack` returned.
        type: any type msgspec converts to: a Struct, dataclass, TypedDict, `list[int]`, ...
        raw: the message, for the error to carry.

    Raises:
        DeserializationError: the item does not fit; the text has the path to what does not.
        TypeError: `type` is none that msgspec converts to.

    >>> import datetime
    >>> convert({"1": ["2020-02-29"]}, dict[int, list[datetime.date]])
    {1: [datetime.date(2020, 2, 29)]}
    >>> convert({"1": [2, "three"]}, dict[int, list[int]])
    Traceback (most recent call last):
      ...
    agentzero.errors.DeserializationError: Expected `int`, got `str` - at `$[...][1]`
    """
    try:
        return msgspec.convert(item, type, str_keys=True)
    except MemoryError:
        raise
    except msgspec.ValidationError as error:
        raise DeserializationError(str(error), raw=raw) from error
    except Exception as error:
        _check(type)
        # The type is sound, so the message made it fail: nested too deeply, a list where a set
        # needs something hashable, or a `__post_init__` that raised.
        text = f"{error.__class__.__name__}: {error}"
        raise DeserializationError(text, raw=raw) from error


def check_type(type: Any) -> None:
    """Raise TypeError where `type` is none that msgspec converts to.

    >>> check_type(list[int])
    >>> check_type("int")
    Traceback (most recent call last):
      ...
    TypeError: 'int' is no type to convert to: ...
    """
    if isinstance(type, Hashable):
        _check_once(type)
    else:
        _check(type)


def _check(type: Any) -> None:
    try:
        msgspec.msgpack.Decoder(type)
    except Exception as error:
        raise TypeError(f"{type!r} is no type to convert to: {error}") from error


_check_once = lru_cache(maxsize=1000)(_check)  # of errors it keeps nothing
