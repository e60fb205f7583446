"""docs/serializers.md says what comes back as what; this makes its table, and keeps it true."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import fractions
import ipaddress
import math
import pathlib
import uuid
from decimal import Decimal
from typing import Any

import msgspec

from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import convert, resolve
from agentzero.testing.values import message, same

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "serializers.md"
BEGIN, END = "<!-- the table begins: a test writes it -->\n", "<!-- the table ends -->\n"

NAMES = ("json", "msgpack", "cbor")
SAME, REFUSED = "the same", "**refused**"


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Item(msgspec.Struct):
    price: float


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Thing:
    def __str__(self) -> str:
        return "a thing"


Pair = collections.namedtuple("Pair", "first second")

NOON = "datetime(2020, 2, 29, 12, 30"
KNOWN = {
    "UTC": datetime.UTC,
    "nan": math.nan,
    "inf": math.inf,
    **{kind.__name__: kind for kind in (Colour, Level, Item, Point, Thing, Pair, Decimal)},
    **{name: getattr(datetime, name) for name in ("datetime", "date", "time", "timedelta")},
    "timezone": datetime.timezone,
    "UUID": uuid.UUID,
    "Fraction": fractions.Fraction,
    "IPv4Address": ipaddress.IPv4Address,
    "PurePosixPath": pathlib.PurePosixPath,
    "OrderedDict": collections.OrderedDict,
    "deque": collections.deque,
}

# What goes in, and the type that a receiver asks for, if there is one; both as Python code.
ROWS: list[tuple[str, str]] = [
    ("None", "None"),
    ("True", "bool"),
    ("1", "int"),
    ("2**63 - 1", "int"),
    ("2**64 - 1", "int"),
    ("2**64", "int"),
    ("-(2**63) - 1", "int"),
    ("10**30", "int"),
    ("1.5", "float"),
    ("1.0", "float"),
    ("-0.0", "float"),
    ("1e300", "float"),
    ("nan", "float"),
    ("inf", "float"),
    ("1j", ""),
    ("Fraction(1, 3)", ""),
    ('Decimal("1.10")', "Decimal"),
    ('Decimal("-0.0")', "Decimal"),
    ('Decimal("NaN")', "Decimal"),
    ('"text"', "str"),
    (r'"\x00 \u00e9 \U0001d11e"', "str"),
    (r'"\ud800"', ""),
    (r'b"\x00\xff"', "bytes"),
    ('bytearray(b"ab")', "bytearray"),
    ('memoryview(b"ab")', "bytes"),
    ("[1, 2]", "list[int]"),
    ("(1, 2)", "tuple[int, int]"),
    ("{1, 2}", "set[int]"),
    ("frozenset({1, 2})", "frozenset[int]"),
    ("deque([1, 2])", ""),
    ("range(3)", ""),
    ('{"a": 1}', "dict[str, int]"),
    ('OrderedDict({"a": 1})', ""),
    ('{1: "a"}', "dict[int, str]"),
    ('{1.5: "a"}', "dict[float, str]"),
    ('{True: "a"}', ""),
    ('{None: "a"}', ""),
    ('{b"k": "a"}', "dict[bytes, str]"),
    ('{(1, 2): "a"}', "dict[tuple[int, int], str]"),
    ('{date(2020, 2, 29): "a"}', "dict[date, str]"),
    (f"{NOON})", "datetime"),
    (f"{NOON}, tzinfo=UTC)", "datetime"),
    (f"{NOON}, tzinfo=timezone(timedelta(hours=5)))", "datetime"),
    ("date(2020, 2, 29)", "date"),
    ("time(12, 30)", "time"),
    ("timedelta(days=1, seconds=5)", "timedelta"),
    ('UUID("12345678-1234-5678-1234-567812345678")', "UUID"),
    ("Colour.RED", "Colour"),
    ("Level.LOW", "Level"),
    ("Point(1, 2)", "Point"),
    ("Item(1.5)", "Item"),
    ("Pair(1, 2)", "Pair"),
    ('PurePosixPath("/tmp")', ""),
    ('IPv4Address("127.0.0.1")', ""),
    ('ValueError("no")', ""),
    ("Thing()", ""),
    ("int", ""),
]


def table() -> str:
    """The table, of what really comes back."""
    head = ["goes in", *NAMES, "with `type=`", "comes back"]
    rows = [head, ["---"] * len(head), *(row(item, kind) for item, kind in ROWS)]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + "\n"


def row(code: str, kind: str) -> list[str]:
    item = eval(code, dict(KNOWN))
    results = [untyped(name, item) for name in NAMES]
    if not kind:
        return [f"`{code}`", *results, "", ""]
    return [f"`{code}`", *results, f"`{kind}`", typed(item, eval(kind, dict(KNOWN)))]


def untyped(name: str, item: Any) -> str:
    try:
        return shown(resolve(name).unpack(message(resolve(name), item)), item)
    except SerializationError:
        return REFUSED


def typed(item: Any, kind: Any) -> str:
    """What a receiver that asks for a type gets of each serializer; once where all agree."""
    results = {name: asked(name, item, kind) for name in NAMES}
    groups: dict[str, list[str]] = {}
    for name, result in results.items():
        groups.setdefault(result, []).append(name)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(names)}: {result}" for result, names in groups.items())


def asked(name: str, item: Any, kind: Any) -> str:
    serializer = resolve(name)
    try:
        return shown(convert(serializer.unpack(message(serializer, item)), kind), item)
    except (SerializationError, DeserializationError):
        return REFUSED


def shown(result: Any, item: Any) -> str:
    return SAME if same(result, item) else f"`{ascii(result).replace('datetime.', '')}`"


def test_the_table_says_what_comes_back() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    old, ended, after = rest.partition(END)
    assert found, f"{PAGE.name} has no place for the table: {BEGIN}"
    assert ended, f"{PAGE.name} has no place for the table: {END}"
    new = table()
    if new != old:
        PAGE.write_text(before + BEGIN + new + END + after, encoding="utf-8")
    assert new == old, (
        f"the table in docs/{PAGE.name} was out of date; it has been written anew: "
        "look at what has changed, and commit it"
    )
