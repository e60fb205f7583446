"""A number never changes into something else."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any

import msgspec
import pytest

from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import CBOR, JSON, MSGPACK, Serializer

NON_FINITE = [math.nan, math.inf, -math.inf]


@dataclasses.dataclass
class Reading:
    value: object


class Sample(msgspec.Struct):
    value: object


class Subclass(float):
    __slots__ = ()


def make_enum(number: float) -> enum.Enum:
    class Odd(enum.Enum):
        VALUE = number

    return Odd.VALUE


def hiding_places(number: float) -> list[Any]:
    return [
        number,
        [number],
        (1, number),
        {number},
        {"a": {"b": number}},
        Reading(number),
        Sample([Reading(number)]),
        make_enum(number),
        Subclass(number),
        [None, 2**64, number],
        {(1, 2): number},
    ]


@pytest.mark.parametrize("number", NON_FINITE)
def test_json_refuses_what_it_has_no_number_for_wherever_it_hides(number: float) -> None:
    for item in hiding_places(number):
        with pytest.raises(SerializationError, match="NaN"):
            JSON().pack(item)


@pytest.mark.parametrize(
    "item",
    [
        None,
        "null",
        [None, 1.5, "null", {"a": None}, 2**70],
        {"blob": b"\xcb\x7f\xf8", "x": None},
        {1.5: None, math.nan: "null"},
    ],
    ids=repr,
)
def test_json_nulls_that_are_no_numbers_pass(item: Any) -> None:
    assert b"null" in JSON().pack(item)


@pytest.mark.parametrize("kind", [MSGPACK, CBOR])
@pytest.mark.parametrize("number", NON_FINITE)
def test_msgpack_and_cbor_have_numbers_for_these(kind: type[MSGPACK | CBOR], number: float) -> None:
    assert repr(kind().unpack(kind().pack([number]))) == repr([number])


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63)])
def test_integers_of_64_bits_are_exact(serializer: Serializer, number: int) -> None:
    assert serializer.unpack(serializer.pack([number])) == [number]  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400, -(10**400)])
def test_larger_integers_are_exact_or_refused(name: str, number: int) -> None:
    if name == "msgpack":
        for item in (number, [number], {number: 1}, Reading(number), {number}):
            with pytest.raises(SerializationError, match="bits"):
                MSGPACK().pack(item)
    else:
        codec = JSON() if name == "json" else CBOR()
        assert codec.unpack(codec.pack([number])) == [number]


def test_json_reads_long_integers_exactly_and_refuses_longer_ones() -> None:
    assert JSON().unpack(b"12345678901234567890123") == 12345678901234567890123
    with pytest.raises(DeserializationError, match="out of range"):
        JSON().unpack(b"1" * 5000)


@pytest.mark.parametrize("text", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"-Infinity"])
def test_json_never_reads_an_infinity(text: bytes) -> None:
    with pytest.raises(DeserializationError):
        JSON().unpack(text)


def test_json_refuses_integers_longer_than_python_writes() -> None:
    with pytest.raises(SerializationError):
        JSON().pack(10**5000)


def test_cbor_writes_a_memoryview_as_its_bytes() -> None:
    assert CBOR().unpack(CBOR().pack([memoryview(b"ab")])) == [b"ab"]
