"""YAML: what every serializer promises, and what only this one has."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import re
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from agentzero_yaml import reading, writing
from agentzero_yaml.serializer import YAML
from hypothesis import strategies as st

from agentzero import serializers
from agentzero.errors import DeserializationError, SerializationError
from agentzero.testing import SerializerConformance, nested, scalars

KEYS = st.text() | st.integers() | st.none() | st.booleans() | st.dates() | st.binary()
LONG = 400_000
DIRECTIVES = "".join(f"%TAG !{number}! b\n" for number in range(100_000)).encode()
ALIKE = [number * (2**61 - 1) for number in range(1, 50_000)]  # their hash is 0
KEYS_ALIKE = f"{{{str(ALIKE)[1:-1]}}}".encode()

HOSTILE: dict[str, bytes] = {
    "an alias": b"[&a 1, *a]",
    "an anchor alone": b"&a 1",
    "a billion laughs": b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "a tag of Python": b"!!python/object/apply:os.system [exit]",
    "a name of Python": b"!!python/name:os.system",
    "a tag of its own": b"!include /etc/passwd",
    "a tagged list": b"!foo [1]",
    "an ordered map": b"!!omap [a: 1]",
    "a directive": b"%YAML 1.1\n--- 1",
    "directives": b"\n# here\n" + DIRECTIVES,
    "directives behind a document": b"1\n...\n" + DIRECTIVES,
    "directives behind quotes": b'"a"\n' + DIRECTIVES,
    "directives behind a flow list": b"[a]\n" + DIRECTIVES,
    "directives of other lines": b"1\n...\r" + DIRECTIVES.replace(b"\n", "\x85".encode()),
    "a second document": b"1\n--- 2",
    "documents": b"--- 1\n" * LONG,
    "flow lists": b"[" * LONG,
    "flow dicts": b"{a: " * LONG,
    "block lists": b"- " * LONG,
    "block keys": b"? " * LONG,
    "no document": b"",
    "empty lines": b" \n" * LONG,
    "comments": b"#\n" * LONG,
    "a key twice": b"{a: 1, a: 2}",
    "a number twice": b"{1: 1, 1.0: 2}",
    "keys of one hash": KEYS_ALIKE,
    "a set of one hash": b"!!set " + KEYS_ALIKE,
    "a dict as a key": b"? {a: 1}\n: 2",
    "a merge": b"{<<: {a: 1}}",
    "digits": b"1" * LONG,
    "hexadecimal digits": b"0x" + b"f" * LONG,
    "sexagesimal digits": b"1" + b":59" * LONG,
    "an infinite number": b"1.0e+400",
    "no date": b"2020-13-45",
    "no timestamp": b"!!timestamp foo",
    "no bool": b"!!bool maybe",
    "no int": b"!!int ''",
    "no base64": b"!!binary a",
    "UTF-16": "a".encode("utf-16"),
    "control characters": b"\x07",
}


class TestYAML(SerializerConformance):
    values = nested(
        scalars()
        | st.floats(allow_nan=True)
        | st.integers()
        | st.binary()
        | st.dates()
        | st.datetimes()
        | st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-5, minutes=-30))))
        | st.sets(KEYS),
        keys=KEYS,
    )
    hostile = HOSTILE
    large = 2**18

    @pytest.fixture
    def serializer(self) -> YAML:
        return YAML()


class Unsafe(YAML):
    """Every tag of Python is obeyed."""

    def unpack(self, item: bytes) -> Any:
        return yaml.unsafe_load(item)


def test_the_suite_finds_a_reader_that_executes_code(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        TestYAML().test_a_message_executes_no_code(Unsafe(), tmp_path)
    executed = re.findall("a YAML (.*): it is executed", str(caught.value))
    assert executed == ["call", "process", "object", "state"]


@pytest.fixture(params=["libyaml", "Python"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with libyaml, and with what PyYAML has where there is none."""
    if request.param == "Python":
        monkeypatch.setattr(reading, "_LOADER", yaml.SafeLoader)
        monkeypatch.setattr(writing, "_DUMPER", yaml.SafeDumper)


def test_it_is_found_by_its_name() -> None:
    assert isinstance(serializers.resolve("yaml"), YAML)
    assert serializers.available()["yaml"].distribution == "agentzero-yaml"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_refused(raw: bytes) -> None:
    with pytest.raises(DeserializationError):
        YAML().unpack(raw)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Off", "1e3", "-.5E-3", "0o7", "0x1f", "1_000", "1:30", "~", "", "null"),
        *("2020-02-29", " a ", "=", "<<", "*a", "&a", "!a", "%a", "- a", "a: b", "# a"),
        *("a\n\n%b", "\x85", "\x00"),
    ],
    ids=ascii,
)
def test_text_comes_back_as_text_and_is_no_number_to_others(text: str) -> None:
    raw = YAML().pack([text, {text: text}])
    assert YAML().unpack(raw) == yaml.safe_load(raw) == [text, {text: text}]


@pytest.mark.parametrize("text", ["1e3", ".5e3", "1E-3", "0o17"])
def test_what_is_a_number_in_yaml_1_2_alone_is_quoted(text: str) -> None:
    assert YAML().pack(text) == f"'{text}'\n".encode()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "item",
    [
        {1, None, "a", b"b", frozenset({2, frozenset()})},
        {(1, ("a", ())): [set(), {}, []]},
        [math.inf, -math.inf, 1e300, -0.0, 2**100, 10**4299],
        ["a" * 5000, {"k" * 200: "two\nlines\n"}],
        datetime.datetime(1, 1, 1, tzinfo=None),  # noqa: DTZ001
        datetime.datetime(2020, 2, 29, 12, 30, 15, 800, tzinfo=UTC),
    ],
    ids=lambda item: type(item).__name__,
)
def test_yaml_s_own_kinds_come_back(item: Any) -> None:
    assert YAML().unpack(YAML().pack(item)) == item


def test_what_yaml_has_no_form_for_is_written_as_the_others_write_it() -> None:
    class Colour(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Record:
        colour: Colour
        price: Decimal
        at: datetime.time
        blob: bytearray

    record = Record(Colour.RED, Decimal("1.10"), datetime.time(12, 30), bytearray(b"x"))
    plain = {"colour": "red", "price": "1.10", "at": "12:30:00", "blob": b"x"}
    assert YAML().unpack(YAML().pack({Colour.RED: [record]})) == {"red": [plain]}


def test_an_offset_of_seconds_becomes_text() -> None:
    odd = timezone(timedelta(hours=1, seconds=15))
    moment = datetime.datetime(2020, 2, 29, tzinfo=odd)
    assert YAML().unpack(YAML().pack([moment])) == [moment.isoformat()]


def test_the_same_object_twice_is_written_twice() -> None:
    part = ["a", b"\xff", {1}]
    raw = YAML().pack([part, part])
    assert b"&" not in raw
    assert YAML().unpack(raw) == [part, part]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


@pytest.mark.parametrize(
    "item",
    [10**4300, "\ud800", {Colour.RED: 1, "red": 2}, {Point(1): 2}, {(Point(1),): 2}],
    ids=lambda item: type(item).__name__,
)
def test_what_cannot_be_written_is_refused(item: Any) -> None:
    with pytest.raises(SerializationError):
        YAML().pack(item)


@pytest.mark.parametrize("raw", [b"", b" \n", b"# a"])
def test_where_there_is_no_document_the_error_says_so(raw: bytes) -> None:
    with pytest.raises(DeserializationError, match="no document"):
        YAML().unpack(raw)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", "\n\ufeff"])
@pytest.mark.parametrize("start", ["", "1\n...", "[a]", '"a"'])
def test_a_line_that_begins_as_a_directive_is_refused_before_it_costs_time(
    start: str, end: str
) -> None:
    with pytest.raises(DeserializationError, match="directives are refused"):
        YAML().unpack(f"{start}{end}%TAG !a! b".encode())


def test_a_hundred_keys_of_one_hash_are_written_and_read_and_no_more() -> None:
    item = dict.fromkeys(ALIKE[:100], 1)
    raw = YAML().pack(item)
    assert YAML().unpack(raw) == item
    with pytest.raises(SerializationError, match="the same hash"):
        YAML().pack({**item, 0: 1})
    with pytest.raises(DeserializationError, match="the same hash"):
        YAML().unpack(raw + b"0: 1\n")


@pytest.mark.parametrize("wrap", [lambda i: [i], lambda i: {"a": i}, lambda i: frozenset({i})])
def test_two_hundred_levels_are_written_and_read_and_no_more(wrap: Any) -> None:
    item: Any = 1.5
    for _ in range(reading.DEPTH):
        item = wrap(item)
    raw = YAML().pack(item)
    assert YAML().unpack(raw) == item
    with pytest.raises(SerializationError, match="200 levels"):
        YAML().pack(wrap(item))
    with pytest.raises(DeserializationError, match="200 levels"):
        YAML().unpack(b"- " + raw.replace(b"\n", b"\n  "))


def test_it_reads_what_people_write() -> None:
    raw = b"""\
# a job
job: 7
urgent: yes
due: 2020-02-29 12:30:00+01:00
tags: !!set {new, red}
text: |
  two
  lines
"""
    assert YAML().unpack(raw) == yaml.safe_load(raw)
