"""Bytes from a stranger: an error each time, quickly, cheaply, and nothing is poisoned."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import CBOR, JSON, MSGPACK, Serializer, resolve
from tests.serializers.malformed import HOSTILE

BIG = b"\xff" * 400_000
CASES = [(name, raw) for name, raws in HOSTILE.items() for raw in raws]


def label(value: object) -> str:
    return repr(value[:12]) if isinstance(value, bytes) else str(value)


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(("name", "raw"), CASES, ids=label)
def test_malformed_bytes_are_an_error_that_carries_them(name: str, raw: bytes) -> None:
    serializer = resolve(name)
    with pytest.raises(DeserializationError) as caught:
        serializer.unpack(raw)
    assert caught.value.raw == raw
    assert str(caught.value)
    assert serializer.unpack(serializer.pack({"a": [1]})) == {"a": [1]}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [JSON, MSGPACK, CBOR])
@given(item=st.lists(st.text() | st.integers(0, 2**60), min_size=1), data=st.data())
def test_a_cut_or_lengthened_message_is_refused(
    kind: type[JSON | MSGPACK | CBOR], item: Any, data: st.DataObject
) -> None:
    raw = kind().pack(item)
    cut = data.draw(st.integers(0, len(raw) - 1))
    tail = data.draw(st.binary(min_size=1).filter(lambda tail: tail.strip()))
    for broken in (raw[:cut], raw + tail):
        with pytest.raises(DeserializationError):
            kind().unpack(broken)


@pytest.mark.parametrize("item", [5, None, Ellipsis, "\ud800"], ids=repr)
def test_what_is_not_bytes_is_refused(serializer: Serializer, item: Any) -> None:
    with pytest.raises(DeserializationError):
        serializer.unpack(item)


DEEP = """
import dataclasses, os, sys
import msgspec
from agentzero.errors import SerializationError
from agentzero.serializers import resolve

class Struct(msgspec.Struct):
    inner: object

@dataclasses.dataclass
class Record:
    inner: object

def refused(item):
    try:
        serializer.pack(item)
    except SerializationError:
        return True

def nested(wrap):
    item = 1
    for _ in range(200_000):
        item = wrap(item)
    return item

serializer = resolve(sys.argv[1])
circle = []
circle.append(circle)
wraps = [lambda i: [i], lambda i: (i,), lambda i: {"a": i}, Struct, Record, lambda i: [{"a": i}]]
items = [circle, *map(nested, wraps)]
print(all(map(refused, items)), flush=True)
os._exit(0)  # taking 200,000 levels apart again is not what is tested
"""


def test_endless_nesting_is_an_error_and_no_crash(name: str) -> None:
    command = [sys.executable, "-c", DEEP, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(
    "wrap",
    [lambda i: [i], lambda i: {"a": i}, lambda i: frozenset({i}), lambda i: (i,)],
    ids=["list", "dict", "set", "tuple"],
)
def test_two_hundred_levels_are_written_and_read(serializer: Serializer, wrap: Any) -> None:
    item: Any = Decimal("1.5")
    for _ in range(200):
        item = wrap(item)
    assert serializer.unpack(serializer.pack(item))  # type: ignore[arg-type]


@pytest.mark.parametrize("item", ["\ud800", {"\ud800": 1}, ["a", {"b": "\udfff"}]], ids=ascii)
def test_a_lone_surrogate_is_refused(serializer: Serializer, item: Any) -> None:
    with pytest.raises(SerializationError):
        serializer.pack(item)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (5, [1, 2]),
        (28, []),
        (29, 0),
        (30, [1, 3]),
        (35, "(a+)+$"),
        (36, "Subject: x\n\ny"),
    ],
)
def test_cbor_refuses_tags_that_build_more_than_values(tag: int, content: Any) -> None:
    with pytest.raises(DeserializationError, match="semantic tag"):
        CBOR().unpack(cbor2.dumps(cbor2.CBORTag(tag, content)))


def test_cbor_refuses_a_cyclic_value() -> None:
    with pytest.raises(DeserializationError):
        CBOR().unpack(bytes.fromhex("d81c81d81d00"))


@pytest.mark.parametrize("head", [b"\xc4\x82\x00", b"\xd8\x1e\x82\x01", b"\xc5\x82\x00"])
def test_cbor_numbers_cost_no_more_than_their_message(head: bytes) -> None:
    raw = head + b"\xc2" + cbor2.dumps(BIG)
    began = time.perf_counter()
    with pytest.raises(DeserializationError):
        CBOR().unpack(raw)
    assert time.perf_counter() - began < 1  # unbounded, it takes 15 seconds


def test_cbor_passes_unknown_tags_on() -> None:
    raw = cbor2.dumps(cbor2.CBORTag(6000, ["a"]))
    assert CBOR().pack(CBOR().unpack(raw)) == raw


def test_msgpack_reads_timestamps_and_extensions() -> None:
    moment, extension = MSGPACK().unpack(b"\x92\xd6\xff\x00\x00\x00\x01\xd4\x05a")
    assert moment.isoformat() == "1970-01-01T00:00:01+00:00"
    assert extension == (5, b"a")


def test_keys_of_one_hash_are_no_way_to_keep_msgpack_busy() -> None:
    """hash(-1) is hash(-2), so that all tuples of these have one hash."""
    keys = list(itertools.product((-1, -2), repeat=16))
    packed = b"\xdf" + len(keys).to_bytes(4, "big")
    for key in keys:
        packed += b"\xdc\x00\x10" + bytes(number % 256 for number in key) + b"\x01"
    with pytest.raises(DeserializationError, match="of one hash"):
        MSGPACK().unpack(packed)
    sound = {(row, column): row for row in range(50) for column in range(50)}
    assert MSGPACK().unpack(MSGPACK().pack(sound)) == sound
