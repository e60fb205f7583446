"""What serializers promise of `pack`: it comes back as it was, or is refused."""

# ruff: noqa: D102 - the names of tests tell what they test

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agentzero.errors import SerializationError
from agentzero.serializers import Serializer, resolve
from agentzero.testing.children import Patient, assert_harmless
from agentzero.testing.hostile import DEPTH
from agentzero.testing.values import described, every, message, nested, same, scalars, shown

__all__ = ["PackingConformance"]

# All of JSON's own types, and among them what one format or another takes for something else.
PLAIN: list[Any] = [
    *(None, True, False, 0, -1, 255, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)),
    *(0.0, -0.0, 1.0, -1.0, 0.1, 1e22, 5e-324, 1.7976931348623157e308, 2.0**64),
    *("", " ", "\x00", "a\r\nb", "\x7f\x85\xa0", "\u2028", "\ufeffa", "\U0001d11e", "\ufffe"),
    *("null", "~", "true", "yes", "off", "1", "1.0", "1e3", "0x1f", "0o17", "1_000", "12:30:45"),
    *("NaN", ".inf", "2020-02-29", "- a", "a: b", "# a", "*a", "&a", "!a", "<<", "=", "%", "'\""),
    *([], {}, [[]], [{}], {"": ""}, {"a": {}}, {"null": None, "1": 1}, ["a", ["b", {"c": [1.5]}]]),
    *({"a" * 1000: "b" * 70000}, ["a b " * 100], {"a": list(range(300))}),
]  # fmt: skip

NUMBERS: list[Any] = [
    *(math.nan, math.inf, -math.inf, -0.0),
    *(2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**200, -(2**200), 10**400, 10**5000),
    *(math.ulp(0), 1.7976931348623157e308, float(2**64)),
]

TEXTUAL: list[Any] = [
    *(Decimal("1.10"), Decimal("123456789012345678901234567890.123456789"), Decimal("-0.0")),
    *(Decimal("1E+400"), Decimal("NaN"), Decimal("Infinity"), Fraction(1, 3), 1 + 0.1j),
]

BOTTOMLESS = 3 * DEPTH
"""How many levels only a circle has."""

KEYS: list[Any] = [b"a", (), (1, ("a", (None,))), frozenset({1}), UUID(int=1)]


class Stranger:
    """An object that has no form in any format."""

    def __init__(self) -> None:
        self.attribute = "not to be written"

    def __str__(self) -> str:
        return "a stranger"


class Mute:
    """An object whose text fails.

    Args:
        error: how it fails.
    """

    def __init__(self, error: BaseException) -> None:
        self.asked: int = 0
        self._error = error

    def __str__(self) -> str:
        self.asked += 1
        raise self._error


def places(item: Any) -> list[Any]:
    """The item alone, and inside others."""
    return [item, [1, [item]], {"a": {"b": item}}]


def packed(serializer: Serializer, item: object) -> bytes | None:
    """The item's message, or None where the serializer refuses to write it."""
    try:
        return message(serializer, item)
    except SerializationError:
        return None
    except Exception as error:
        raise AssertionError(
            f"pack raises nothing but SerializationError for what it cannot write, and not "
            f"{described(error)}"
        ) from error


def assert_exact_or_refused(serializer: Serializer, item: object, *forms: object) -> None:
    """The item comes back as it was, or as one of some other forms, or pack refuses it."""
    raw = packed(serializer, item)
    if raw is None:
        return
    result = serializer.unpack(raw)
    assert any(same(result, form) for form in (item, *forms)), (
        f"pack writes {shown(item)} so that it comes back as {shown(result)}; "
        "what cannot be written exactly is to be refused with SerializationError"
    )


class PackingConformance(Patient):
    """The part of `SerializerConformance` that is about `pack`, and the way back."""

    values: ClassVar[SearchStrategy[Any]] = nested(scalars())

    def test_it_is_an_instance_with_pack_and_unpack(self, serializer: Serializer) -> None:
        assert resolve(serializer) is serializer

    # What it keeps

    def test_values_come_back_as_they_were(self, serializer: Serializer) -> None:
        def check(value: Any) -> None:
            result = serializer.unpack(message(serializer, value))
            assert same(result, value), (
                f"{shown(value)} comes back as {shown(result)}; "
                "`values` is to say what comes back equal and of the same types"
            )

        every(self.values, check)

    def test_messages_are_bytes_or_text_that_utf8_can_encode(self, serializer: Serializer) -> None:
        def check(value: Any) -> None:
            written = serializer.pack(value)
            assert type(written) in (bytes, str), f"pack returns bytes or str, not {written!r}"
            message(serializer, value)

        every(self.values, check)

    def test_packing_leaves_the_item_as_it_was(self, serializer: Serializer) -> None:
        def check(value: Any) -> None:
            before = copy.deepcopy(value)
            serializer.pack(value)
            assert same(value, before), f"pack changes {shown(before)} to {shown(value)}"

        every(self.values, check)

    def test_messages_are_read_in_any_order_and_as_often_as_asked(
        self, serializer: Serializer
    ) -> None:
        def check(values: list[Any]) -> None:
            messages = [message(serializer, value) for value in values]
            for order in (slice(None), slice(None, None, -1), slice(1, None)):
                results = [serializer.unpack(raw) for raw in messages[order]]
                assert same(results, values[order]), "a message is read without any other one"

        every(st.lists(self.values, min_size=2, max_size=5), check)

    def test_what_a_message_becomes_is_shared_with_nobody(self, serializer: Serializer) -> None:
        raw = message(serializer, {"a": {"b": "c"}})
        spoilt = serializer.unpack(raw)
        spoilt["a"]["b"] = "changed"
        assert serializer.unpack(raw) == {"a": {"b": "c"}}, "unpack makes its result anew each time"

    # What it does not keep

    @pytest.mark.parametrize("item", PLAIN, ids=shown)
    def test_json_s_own_types_come_back_as_they_were_or_are_refused(
        self, serializer: Serializer, item: Any
    ) -> None:
        for inside in places(item):
            assert_exact_or_refused(serializer, inside)

    @pytest.mark.parametrize("number", NUMBERS, ids=shown)
    def test_a_number_never_changes_into_something_else(
        self, serializer: Serializer, number: Any
    ) -> None:
        for inside in places(number):
            assert_exact_or_refused(serializer, inside)

    @pytest.mark.parametrize("number", TEXTUAL, ids=repr)
    def test_a_number_of_another_kind_is_at_most_made_text(
        self, serializer: Serializer, number: Any
    ) -> None:
        for inside, text in zip(places(number), places(str(number)), strict=True):
            assert_exact_or_refused(serializer, inside, text)

    @pytest.mark.parametrize("key", [-1, 2**64, 2**200, 1.5, True, None], ids=shown)
    def test_a_key_that_is_no_text_is_at_most_made_text(
        self, serializer: Serializer, key: Any
    ) -> None:
        texts = str(key), str(key).lower().replace("none", "null")
        assert_exact_or_refused(serializer, {key: 1}, *({text: 1} for text in texts))

    @pytest.mark.parametrize("key", KEYS, ids=repr)
    def test_a_dict_with_unusual_keys_is_read_or_refused(
        self, serializer: Serializer, key: Any
    ) -> None:
        for inside in places({key: "value"}):
            raw = packed(serializer, inside)
            if raw is not None:
                assert "value" in str(serializer.unpack(raw))

    @pytest.mark.parametrize("text", ["\ud800", "a\udfffb"], ids=ascii)
    def test_a_lone_surrogate_comes_back_as_it_was_or_is_refused(
        self, serializer: Serializer, text: str
    ) -> None:
        for inside in [*places(text), {text: 1}]:
            assert_exact_or_refused(serializer, inside)

    @pytest.mark.parametrize("item", [Stranger(), object(), lambda: None, open], ids=type)
    def test_what_has_no_form_becomes_its_text_or_is_refused(
        self, serializer: Serializer, item: Any
    ) -> None:
        for inside, text in zip(places(item), places(str(item)), strict=True):
            raw = packed(serializer, inside)
            result = text if raw is None else serializer.unpack(raw)
            assert same(result, text), (
                f"an object that has no form becomes its text, {str(item)!r}, or is refused "
                f"with SerializationError; it came back as {shown(result)}"
            )

    def test_an_object_whose_text_fails_is_refused(self, serializer: Serializer) -> None:
        for inside in places(Mute(RuntimeError("no words"))):
            raw = packed(serializer, inside)
            assert raw is None, f"an object whose __str__ raises is refused, not written as {raw!r}"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
    def test_what_is_no_fault_of_the_item_is_passed_on(
        self, serializer: Serializer, error: type[BaseException]
    ) -> None:
        item = Mute(error())
        with pytest.raises((error, SerializationError)) as caught:
            serializer.pack([item])
        assert caught.type is error or not item.asked, f"pack passes a {error.__name__} on"

    # Whatever its depth

    def test_deep_nesting_comes_back_as_deep_or_is_refused(self, serializer: Serializer) -> None:
        wraps: dict[str, Callable[[Any], Any]] = {
            "lists": lambda item: [item],
            "tuples": lambda item: (item,),
            "dicts": lambda item: {"a": item},
            "lists of dicts": lambda item: [{"a": item}],
        }
        assert_harmless(
            {
                f"{depth} {name}": partial(_nesting, serializer, wrap, depth)
                for name, wrap in wraps.items()
                for depth in (10, 100, 1000, 5000, DEPTH)
            },
            self.patience,
        )

    def test_a_circle_comes_back_as_one_or_is_refused(self, serializer: Serializer) -> None:
        items: list[Any] = []
        mapping: dict[str, Any] = {}
        items.append([items])
        mapping["a"] = {"b": [mapping]}
        circles = {"of lists": items, "of dicts": mapping, "inside": {"a": [items]}}
        assert_harmless(
            {name: partial(_circle, serializer, item) for name, item in circles.items()},
            self.patience,
        )


def _nesting(serializer: Serializer, wrap: Callable[[Any], Any], depth: int) -> str | None:
    item: Any = "core"
    for _ in range(depth):
        item = wrap(item)
    raw = packed(serializer, item)
    if raw is None:
        return None
    (levels, core), (before, _) = _descent(serializer.unpack(raw)), _descent(item)
    if (levels, core) == (before, "core"):
        return None
    return f"{before} levels, and 'core' in them, come back as {levels}, and {shown(core)} in them"


def _circle(serializer: Serializer, item: Any) -> str | None:
    raw = packed(serializer, item)
    if raw is None:
        return None
    levels, core = _descent(serializer.unpack(raw))
    if levels == BOTTOMLESS:
        return None
    return f"it comes back as {levels} levels, and {shown(core)} in them, and not as a circle"


def _descent(item: Any) -> tuple[int, Any]:
    """How many levels it is deep, to a bound, and what is in the first place of the last one."""
    levels = 0
    while isinstance(item, (list, tuple, dict)) and item and levels < BOTTOMLESS:
        item = next(iter(item.values() if isinstance(item, dict) else item))
        levels += 1
    return levels, item
