"""What goes in comes out: as itself, or as what the receiver asked for."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypedDict

import msgspec
import pytest

from agentzero.serializers import CBOR, Serializer, convert

UTC = datetime.UTC
NOON = datetime.datetime(2020, 2, 29, 12, 30, 15, 123456)
ABROAD = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
SOME_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Item(msgspec.Struct, frozen=True):
    price: Decimal
    tags: frozenset[str] = frozenset()


class Tagged(msgspec.Struct, tag="tagged", rename="camel", omit_defaults=True):
    some_name: str
    left_out: int = 0


class Positional(msgspec.Struct, array_like=True, tag=True):
    x: int
    y: set[int]


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    placed: datetime.datetime
    items: list[Item]
    colours: set[Colour]
    counts: dict[int, int]
    blob: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int


class Document(TypedDict):
    name: str
    parts: list[Point]


Pair = namedtuple("Pair", "first second")

ORDER = Order(
    id=SOME_ID,
    placed=NOON.replace(tzinfo=UTC),
    items=[Item(Decimal("1.10"), frozenset({"a"})), Item(Decimal("-0.00"))],
    colours={Colour.RED},
    counts={-1: 2, 3: 4},
    blob=b"\x00\xff",
)

TYPED: list[tuple[Any, Any]] = [
    (ORDER, Order),
    (Tagged("x"), Tagged),
    (Positional(1, {2}), Positional),
    ({"name": "n", "parts": [Point(1, 2)]}, Document),
    (Colour.BLUE, Colour),
    ({Colour.RED: 1}, dict[Colour, int]),
    (Level.LOW, Level),
    (NOON, datetime.datetime),
    (NOON.replace(tzinfo=UTC), datetime.datetime),
    (NOON.replace(tzinfo=ABROAD), datetime.datetime),
    (NOON.date(), datetime.date),
    (NOON.time(), datetime.time),
    (datetime.timedelta(days=1, microseconds=5), datetime.timedelta),
    (SOME_ID, uuid.UUID),
    ({SOME_ID: 1}, dict[uuid.UUID, int]),
    ({NOON: 1}, dict[datetime.datetime, int]),
    ({1: 1.5}, dict[int, float]),
    ({b"k": 1}, dict[bytes, int]),
    ({1, 2}, set[int]),
    (frozenset({Point(1, 2)}), frozenset[Point]),
    (b"\x00\xff", bytes),
    (bytearray(b"ab"), bytearray),
    (Decimal("123456789012345678901234567890.123456789"), Decimal),
    (Decimal("1E+400"), Decimal),
    (Decimal("-0.0"), Decimal),
    (Decimal("Infinity"), Decimal),
    ((1, "a"), tuple[int, str]),
    (Pair(1, 2), Pair),
]


def names(pair: object) -> str | None:
    return repr(pair)[:40] if not isinstance(pair, type) else None


@pytest.mark.parametrize(("item", "kind"), TYPED, ids=names)
def test_a_typed_receiver_gets_what_was_sent(serializer: Serializer, item: Any, kind: Any) -> None:
    assert convert(serializer.unpack(packed(serializer, item)), kind) == item


def packed(serializer: Serializer, item: Any) -> bytes:
    message = serializer.pack(item)
    return message.encode() if isinstance(message, str) else message


def test_a_typed_decimal_keeps_its_digits_and_sign(serializer: Serializer) -> None:
    for text in ("1.10", "-0.00", "NaN", "-Infinity"):
        item = serializer.unpack(packed(serializer, Decimal(text)))
        assert str(convert(item, Decimal)) == text


def test_cbor_keeps_sets_inside_structs_and_dataclasses() -> None:
    item = CBOR().unpack(CBOR().pack([Item(Decimal("1.5"), frozenset({"a"})), ORDER]))
    assert item[0] == {"price": Decimal("1.5"), "tags": {"a"}}
    assert item[1]["colours"] == {"red"}
    assert item[1]["placed"] == ORDER.placed


def test_cbor_reads_what_hashable_things_it_wrote_as_keys() -> None:
    item = CBOR().unpack(CBOR().pack({Point(1, 2): 1, (1, (2,)): 2, frozenset({3}): 3}))
    assert sorted(item.values()) == [1, 2, 3]
    assert item[(1, (2,))] == 2


def test_a_struct_keeps_its_field_names_tag_and_omissions(serializer: Serializer) -> None:
    item = serializer.unpack(packed(serializer, Tagged("x")))
    assert item == {"type": "tagged", "someName": "x"}


def test_unset_fields_are_left_out(serializer: Serializer) -> None:
    class Partial(msgspec.Struct):
        here: int
        gone: int | msgspec.UnsetType = msgspec.UNSET

    assert serializer.unpack(packed(serializer, Partial(1))) == {"here": 1}


class Text(str):
    __slots__ = ()


class Number(int):
    __slots__ = ()


class Real(float):
    __slots__ = ()


class Moment(datetime.datetime):
    pass


@pytest.mark.parametrize(
    ("item", "plain_item"),
    [
        (Text("a"), "a"),
        (Number(3), 3),
        (Real(1.5), 1.5),
        ({Text("a"): Number(3)}, {"a": 3}),
        (OrderedDict(a=1), {"a": 1}),
        (Moment(2020, 1, 1, tzinfo=UTC), "2020-01-01T00:00:00+00:00"),
    ],
    ids=names,
)
def test_subclasses_are_written_as_what_they_are(
    serializer: Serializer, item: Any, plain_item: Any
) -> None:
    assert serializer.unpack(packed(serializer, item)) == plain_item


@pytest.mark.parametrize(
    "item",
    [pytest.param(object(), id="object"), 1j, Fraction(1, 3), ValueError("x"), int, range(3), ...],
    ids=names,
)
def test_what_has_no_form_becomes_text(serializer: Serializer, item: Any) -> None:
    assert serializer.unpack(packed(serializer, [item])) == [str(item)]
    assert serializer.unpack(packed(serializer, {item: 1})) == {str(item): 1}


def test_an_object_whose_text_fails_is_a_serialization_error(serializer: Serializer) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with pytest.raises(ValueError, match="no words"):
        serializer.pack([Mute()])
