"""CBOR (RFC 8949)."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import secrets
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, TypeAlias

import cbor2
import msgspec

from agentzero.serializers.base import BaseSerializer, unreadable, unwritable
from agentzero.serializers.forms import form_of

__all__ = ["CBOR"]

Former: TypeAlias = Callable[[Any, int], object]

_DEPTH = 200


class CBOR(BaseSerializer):
    """CBOR. Natively bytes, keys of any kind, integers of any size, aware datetimes, dates,
    finite Decimals, UUIDs and sets; a naive datetime has no form in CBOR and becomes text.

    Tags that are not known are read as `cbor2.CBORTag`.

    >>> from decimal import Decimal
    >>> CBOR().unpack(CBOR().pack({1: Decimal("1.10"), 2: {2**100}}))
    {1: Decimal('1.10'), 2: {1267650600228229401496703205376}}
    """

    def pack(self, item: Any) -> bytes:
        """The item as CBOR.

        Raises:
            SerializationError: a lone surrogate, or nesting of more than 200 levels.

        >>> CBOR().pack([True])
        b'\\x81\\xf5'
        """
        try:
            return cbor2.dumps(_form(item, _DEPTH + 1))
        except MemoryError:
            raise
        except Exception as error:
            raise unwritable("CBOR", error) from error

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: they are not one whole CBOR item, or hold a tag that is
                refused because reading it can be made to cost too much: shared and cyclic
                values, regular expressions, MIME messages, rationals and binary fractions.

        >>> CBOR().unpack(b"\\x01\\x02")
        Traceback (most recent call last):
          ...
        agentzero.errors.DeserializationError: cannot be read as CBOR: ValueError: bytes after its end
        """  # noqa: E501
        try:
            value, end = _loads(b"\x82" + item + _END)
            if end != _MARK:
                raise ValueError("bytes after its end")
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable("CBOR", item, error) from error
        return value


# cbor2 ignores what follows an item. So each is read as the first of a pair whose second no
# sender can guess; it comes out whole only where the first ended where it should.
_MARK = secrets.token_bytes(16)
_END = cbor2.dumps(_MARK)


def _refuse(what: str, value: object, immutable: bool) -> NoReturn:
    raise ValueError(f"{what} are refused")


def _decimal(value: Any, immutable: bool) -> Decimal:
    exponent, mantissa = value
    # As text, because Python bounds the digits of an integer's text: without a bound, the time
    # this takes grows with the square of the message.
    return Decimal(f"{mantissa:d}e{exponent:d}")


_REFUSED = {
    5: "binary fractions",
    28: "shared values",
    29: "shared values",
    30: "rationals",
    35: "regular expressions",
    36: "MIME messages",
}
_loads = partial(
    cbor2.loads,
    max_depth=2 * _DEPTH + 4,  # a set, a date or a Decimal is a tag around another item
    semantic_decoders={4: _decimal, **{tag: partial(_refuse, _REFUSED[tag]) for tag in _REFUSED}},
)


# cbor2 would follow nesting until the stack overflows, and changes some values without a word
# (a signed zero or NaN of Decimal, a memoryview). So it is handed only what it writes exactly.


def _form(item: Any, room: int) -> object:
    """The item with only such parts as cbor2 writes exactly, less than `room` levels deep."""
    if type(item) in _NATIVE:
        return item
    if not room:
        raise ValueError(f"nested deeper than {_DEPTH} levels, or in a circle")
    for kind, former in _FORMERS:
        if isinstance(item, kind):
            return former(item, room - 1)
    return _other(item, room - 1)


def _map(item: dict[Any, Any], room: int) -> dict[Any, object]:
    return {
        key if type(key) in _NATIVE else _key(key, room): (
            value if type(value) in _NATIVE else _form(value, room)
        )
        for key, value in item.items()
    }


def _array(items: Iterable[Any], room: int) -> tuple[object, ...]:
    return tuple([item if type(item) in _NATIVE else _form(item, room) for item in items])


def _set(items: Iterable[Any], room: int) -> frozenset[object]:
    return frozenset([_key(item, room) for item in items])


def _key(item: object, room: int) -> object:
    form = _form(item, room)
    return cbor2.frozendict(form) if isinstance(form, dict) else form


def _struct(item: msgspec.Struct, room: int) -> object:
    config = item.__struct_config__
    values = [getattr(item, field) for field in item.__struct_fields__]
    tag = [] if config.tag is None else [(config.tag_field, config.tag)]
    if config.array_like:
        return _array([value for _, value in tag] + values, room)
    named = [*tag, *zip(item.__struct_encode_fields__, values, strict=True)]
    if config.omit_defaults:
        kept = msgspec.to_builtins(item, enc_hook=str)
        named = [(name, value) for name, value in named if name in kept]
    return _fields(named, room)


def _fields(named: Iterable[tuple[Any, Any]], room: int) -> object:
    return _map({name: value for name, value in named if value is not msgspec.UNSET}, room)


def _other(item: Any, room: int) -> object:
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        names = [field.name for field in dataclasses.fields(item)]
    elif hasattr(type(item), "__attrs_attrs__"):
        names = [field.name for field in type(item).__attrs_attrs__]
    else:
        return form_of(item)
    return _fields([(name, getattr(item, name)) for name in names if hasattr(item, name)], room)


def _tag(item: cbor2.CBORTag, room: int) -> cbor2.CBORTag:
    return cbor2.CBORTag(item.tag, _form(item.value, room))


def _datetime(item: datetime.datetime, room: int) -> object:
    exact = type(item) is datetime.datetime and item.utcoffset() is not None
    return item if exact else form_of(item)


def _number(item: Decimal, room: int) -> object:
    signed_zero = item.is_zero() and item.is_signed()
    exact = type(item) is Decimal and item.is_finite() and not signed_zero
    return item if exact else str(item)


def _enum(item: enum.Enum, room: int) -> object:
    return _form(item.value, room)


def _duration(item: datetime.timedelta, room: int) -> object:
    return msgspec.to_builtins(item, enc_hook=str)


_NATIVE = frozenset(
    {type(None), bool, int, float, str, bytes, bytearray, datetime.date, uuid.UUID}
    | {cbor2.CBORSimpleValue, type(cbor2.undefined)}
)
_FORMERS: tuple[tuple[type | tuple[type, ...], Former], ...] = (
    (dict, _map),
    (enum.Enum, _enum),
    ((list, tuple), _array),
    ((set, frozenset), _set),
    (datetime.datetime, _datetime),
    (Decimal, _number),
    (msgspec.Struct, _struct),
    (datetime.timedelta, _duration),
    (cbor2.CBORTag, _tag),
    (cbor2.frozendict, _map),
)
