"""What serializers promise to who uses them: threads, managers, receivers of typed messages."""

# ruff: noqa: D102 - the names of tests tell what they test

from __future__ import annotations

import dataclasses
import datetime
import enum
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar, TypedDict

import msgspec
import pytest
import zmq

from agentzero import SocketManager
from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import Serializer, convert
from agentzero.testing.children import Patient, assert_harmless
from agentzero.testing.packing import packed
from agentzero.testing.unpacking import refused
from agentzero.testing.values import message, same, shown

__all__ = ["ExchangeConformance"]

THREADS = 8
TURNS = 1000
LONG_ENOUGH = 2.0
"""For how many seconds threads of a slow serializer take turns."""


class Colour(enum.Enum):
    """An enum of texts."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = 1


class Item(msgspec.Struct):
    """A Struct."""

    name: str
    price: float
    tags: list[str] = []


@dataclasses.dataclass
class Line:
    """A dataclass with an optional field."""

    item: Item
    count: int
    note: str | None = None


class Order(TypedDict):
    """A TypedDict with nested lists."""

    number: int
    lines: list[Line]


LINES = [Line(Item("pen", 1.5, ["blue", "fine"]), 2), Line(Item("ink", 0.1), 1, "soon")]
NOON = datetime.datetime(2020, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.UTC)

TYPED: list[tuple[Any, Any]] = [
    (LINES[0].item, Item),
    (LINES[1], Line),
    ({"number": 1, "lines": LINES}, Order),
    (Colour.BLUE, Colour),
    (Level.LOW, Level),
    (NOON, datetime.datetime),
    (NOON.replace(tzinfo=None), datetime.datetime),
    (NOON.date(), datetime.date),
    (NOON.time(), datetime.time),
    (datetime.timedelta(days=1, microseconds=5), datetime.timedelta),
    (Decimal("123456789012345678901234567890.120"), Decimal),
    (uuid.UUID("12345678-1234-5678-1234-567812345678"), uuid.UUID),
    (b"\x00\xff", bytes),
    ((1, "a"), tuple[int, str]),
    ({1, 2}, set[int]),
    ({1: "a"}, dict[int, str]),
]


@contextmanager
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class ExchangeConformance(Patient):
    """The part of `SerializerConformance` that is about threads, sockets and typed messages."""

    large: ClassVar[int] = 16 * 2**20

    # Typed messages

    @pytest.mark.parametrize(
        ("item", "kind"), TYPED, ids=[type(item).__name__ for item, _ in TYPED]
    )
    def test_a_typed_receiver_gets_what_was_sent(
        self, serializer: Serializer, item: Any, kind: Any
    ) -> None:
        try:
            raw = message(serializer, {"a": [item]})
        except SerializationError as error:
            pytest.skip(f"it refuses to write a {type(item).__name__}, as it may: {error}")
        received = serializer.unpack(raw)
        result: object
        try:
            result = convert(received, dict[str, list[kind]])
        except DeserializationError as error:
            result = error
        assert same(result, {"a": [item]}), (
            f"{shown(item)} is received as {shown(result)}; a form that a receiver can use is "
            "`msgspec.to_builtins(item, enc_hook=agentzero.serializers.form_of)`"
        )

    def test_the_error_of_a_typed_receiver_has_the_path(self, serializer: Serializer) -> None:
        item = {"number": 1, "lines": [{"item": {"name": "pen", "price": "x"}, "count": 1}]}
        with pytest.raises(DeserializationError, match=r"`\$\.lines\[0\]\.item\.price`"):
            convert(serializer.unpack(message(serializer, item)), Order)

    # Threads

    def test_threads_share_one_instance(self, serializer: Serializer) -> None:
        start = threading.Barrier(THREADS)

        def echo(number: int) -> None:
            start.wait(self.patience)
            end = time.monotonic() + LONG_ENOUGH
            for turn in range(TURNS):
                item = {"thread": str(number), "texts": [f"{number} {turn}"] * (turn % 30)}
                result = serializer.unpack(message(serializer, item))
                assert same(result, item), (
                    f"a thread gets what another one wrote: {shown(result)} for {shown(item)}; "
                    "one instance serves many threads at once"
                )
                if time.monotonic() > end:
                    return

        def echo_at_once() -> None:
            with eager_threads(), ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(echo, range(THREADS)))

        assert_harmless({f"{THREADS} threads": echo_at_once}, self.patience)

    def test_packing_inside_packing_spoils_neither(self, serializer: Serializer) -> None:
        class Nested:
            def __str__(self) -> str:
                return str(serializer.unpack(message(serializer, {"inner": "b"})))

        def pack_both() -> None:
            raw = packed(serializer, {"a": "a", "nested": Nested(), "c": ["c"]})
            if raw is not None:
                result = serializer.unpack(raw)
                assert result == {"a": "a", "nested": "{'inner': 'b'}", "c": ["c"]}

        assert_harmless({"an object whose __str__ packs": pack_both}, self.patience)

    # Large messages

    def test_a_large_text_comes_back(self, serializer: Serializer) -> None:
        item = {"text": "agent zero\n" * (self.large // 11)}
        assert serializer.unpack(message(serializer, item)) == item

    def test_a_long_list_comes_back(self, serializer: Serializer) -> None:
        item = {"list": [f"number {number}" for number in range(self.large // 100)]}
        assert serializer.unpack(message(serializer, item)) == item

    # Sockets

    @pytest.fixture
    def sockets(self, serializer: Serializer) -> Iterator[SocketManager]:
        """A manager with a PULL named "in" and a PUSH named "out" that is connected to it."""
        with SocketManager(
            serialization_backend=serializer, timeout=self.patience, linger=0
        ) as made:
            made.ensure_and_bind("in", zmq.PULL, "inproc://pipe")
            made.ensure_and_connect("out", zmq.PUSH, "inproc://pipe")
            yield made

    def test_what_a_manager_sends_arrives(self, sockets: SocketManager) -> None:
        sockets.send("out", {"hello": ["world"]})
        assert same(sockets.recv("in"), {"hello": ["world"]})

    def test_a_manager_s_typed_messages_arrive(self, sockets: SocketManager) -> None:
        sockets.send("out", {"name": "pen", "price": 1.5, "tags": []})
        assert same(sockets.recv("in", type=Item), Item("pen", 1.5))

    def test_a_manager_goes_on_after_a_message_that_is_no_message(
        self, serializer: Serializer, sockets: SocketManager
    ) -> None:
        bad = next(iter(refused(serializer, self.patience)), None)
        assert bad is not None, "no bytes at all are refused: unpack hides its errors"
        sockets.send_multipart("out", [bad])
        sockets.send("out", {"hello": "world"})
        with pytest.raises(DeserializationError) as caught:
            sockets.recv("in")
        assert (caught.value.name, caught.value.raw) == ("in", bad)
        assert same(sockets.recv("in"), {"hello": "world"})
