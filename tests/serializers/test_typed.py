"""Conversion to the type that the receiver asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from agentzero.errors import DeserializationError
from agentzero.serializers import Serializer, convert


class Item(msgspec.Struct):
    price: float


class Basket(msgspec.Struct):
    items: list[Item]


class Link(msgspec.Struct):
    next: Link | None = None


@dataclasses.dataclass
class Touchy:
    name: str

    def __post_init__(self) -> None:
        raise KeyError(self.name)


def test_the_error_has_the_path_to_the_bad_field(serializer: Serializer) -> None:
    item = serializer.unpack(serializer.pack({"items": [{"price": "x"}]}))  # type: ignore[arg-type]
    with pytest.raises(DeserializationError, match=r"`\$\.items\[0\]\.price`") as caught:
        convert(item, Basket, raw=b"the message")
    assert caught.value.raw == b"the message"


@pytest.mark.parametrize("item", ["1", 1.5, None, True], ids=repr)
def test_nothing_is_coerced_to_an_integer(serializer: Serializer, item: Any) -> None:
    with pytest.raises(DeserializationError):
        convert(serializer.unpack(serializer.pack(item)), int)  # type: ignore[arg-type]


def test_integer_keys_come_back_as_integers(serializer: Serializer) -> None:
    item = serializer.unpack(serializer.pack({1: {2: "x"}}))  # type: ignore[arg-type]
    assert convert(item, dict[int, dict[int, str]]) == {1: {2: "x"}}


@pytest.mark.parametrize("kind", [5, "int", list["Nowhere"], Item | Basket], ids=str)  # type: ignore[name-defined]  # noqa: F821
def test_what_is_no_type_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="no type to convert to"):
        convert({}, kind)


def chain(links: int) -> Any:
    item: Any = {}
    for _ in range(links):
        item = {"next": item}
    return item


@pytest.mark.parametrize(
    ("item", "kind"),
    [(chain(5000), Link), ([[1]], set[Any]), ({"name": "x"}, Touchy)],
    ids=["nested too deeply", "an unhashable member", "its own check raises"],
)
def test_a_message_that_breaks_its_type_is_no_type_error(item: Any, kind: Any) -> None:
    with pytest.raises(DeserializationError):
        convert(item, kind)
