"""The suite for serializers finds the faults of those that are not right."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import JSON, BaseSerializer, form_of
from agentzero.testing import SerializerConformance, lab

FAILURES = (AssertionError, KeyError, ValueError)


class Pickle(BaseSerializer):
    """Reading executes code."""

    def pack(self, item: Any) -> bytes:
        try:
            return pickle.dumps(item)
        except Exception as error:
            raise SerializationError("no") from error

    def unpack(self, item: bytes) -> Any:
        try:
            return pickle.loads(item)
        except Exception as error:
            raise DeserializationError("no", raw=item) from error


class Library(BaseSerializer):
    """The library's own errors come through, and its own idea of a NaN."""

    def pack(self, item: Any) -> str:
        return json.dumps(item)

    def unpack(self, item: bytes) -> Any:
        return json.loads(item)


class Nulls(JSON):
    """What cannot be written becomes null, and so does what cannot be read."""

    def pack(self, item: Any) -> bytes:
        try:
            return msgspec.json.encode(item, enc_hook=lambda _: None)
        except Exception:
            return b"null"

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except DeserializationError:
            return None


class Floats(JSON):
    """Integers are what a float holds."""

    def unpack(self, item: bytes) -> Any:
        super().unpack(item)
        return json.loads(item, parse_int=lambda digits: int(float(digits)))


class Envelope(JSON):
    """What is no envelope has no content."""

    def pack(self, item: Any) -> bytes:
        return super().pack({"content": item})

    def unpack(self, item: bytes) -> Any:
        return super().unpack(item)["content"]


class Buffered(JSON):
    """All threads write into one buffer."""

    def initialize(self) -> None:
        self.buffer = bytearray()

    def pack(self, item: Any) -> bytes:
        self.buffer.clear()
        for byte in super().pack(item):
            self.buffer.append(byte)
        return bytes(self.buffer)


class Sized(JSON):
    """Room is made for the length that the message claims."""

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        return len(packed).to_bytes(4, "big") + packed

    def unpack(self, item: bytes) -> Any:
        room = bytearray(int.from_bytes(item[:4], "big"))
        if len(item) != len(room) + 4:
            raise DeserializationError("not of that size", raw=item)
        return super().unpack(item[4:])


class Stateful(JSON):
    """After an error, something is left in it."""

    def initialize(self) -> None:
        self.left = b""

    def pack(self, item: Any) -> bytes:
        try:
            return self.left + super().pack(item)
        except SerializationError:
            self.left = b"["
            raise

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(self.left + item)
        except DeserializationError as error:
            self.left = b"["
            error.raw = item
            raise


class Frail(JSON):
    """Nesting kills the process."""

    def pack(self, item: Any) -> bytes:
        if item == [item] or (isinstance(item, list) and item and item[0] is item):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().pack(item)

    def unpack(self, item: bytes) -> Any:
        if item.startswith(b"[[["):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().unpack(item)


class Endless(JSON):
    """Nesting takes for ever."""

    def unpack(self, item: bytes) -> Any:
        while item.startswith(b"[[["):
            pass
        return super().unpack(item)


class Cached(JSON):
    """The same message becomes the same object."""

    def initialize(self) -> None:
        self.known: dict[bytes, Any] = {}

    def unpack(self, item: bytes) -> Any:
        return self.known.setdefault(item, super().unpack(item))


class Greedy(JSON):
    """The item is changed as it is written."""

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        if isinstance(item, list):
            item.clear()
        return packed


class Once(JSON):
    """A message says only what is new since the last one."""

    def initialize(self) -> None:
        self.last: Any = None

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        shown, self.last = b"0" if packed == self.last else packed, packed
        return shown


class Views(JSON):
    """A message is neither bytes nor text."""

    def pack(self, item: Any) -> Any:
        return memoryview(super().pack(item))


class Surrogates(JSON):
    """A message is text that is not UTF-8."""

    def pack(self, item: Any) -> Any:
        return super().pack(item).decode() + "\ud800"


class Deaf(JSON):
    """Not even Ctrl-C ends it."""

    def pack(self, item: Any) -> bytes:
        try:
            return super().pack(item)
        except BaseException as error:
            raise SerializationError("no") from error


class Silent(JSON):
    """Errors do not carry the message."""

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except DeserializationError as error:
            raise DeserializationError("no") from error


class Textual(JSON):
    """Everything beyond JSON's own types is written as its text."""

    def pack(self, item: Any) -> bytes:
        return super().pack(msgspec.to_builtins(_texts(item), enc_hook=form_of))


def _texts(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _texts(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_texts(value) for value in item]
    return str(item) if isinstance(item, msgspec.Struct) else item


FAULTS: list[tuple[type[BaseSerializer], str]] = [
    (Pickle, "a_message_executes_no_code"),
    (Pickle, "an_object_does_not_say_how_it_is_read"),
    (Pickle, "what_has_no_form_becomes_its_text_or_is_refused"),
    (Library, "any_bytes_are_read_or_refused"),
    (Library, "broken_messages_are_read_or_refused"),
    (Library, "malformed_messages_are_read_or_refused"),
    (Library, "deep_nesting_is_read_or_refused"),
    (Library, "what_has_no_form_becomes_its_text_or_is_refused"),
    (Library, "deep_nesting_comes_back_as_deep_or_is_refused"),
    (Library, "a_circle_comes_back_as_one_or_is_refused"),
    (Nulls, "a_number_never_changes_into_something_else"),
    (Nulls, "a_number_of_another_kind_is_at_most_made_text"),
    (Nulls, "a_lone_surrogate_comes_back_as_it_was_or_is_refused"),
    (Nulls, "what_has_no_form_becomes_its_text_or_is_refused"),
    (Nulls, "an_object_whose_text_fails_is_refused"),
    (Nulls, "not_everything_is_read"),
    (Floats, "values_come_back_as_they_were"),
    (Floats, "json_s_own_types_come_back_as_they_were_or_are_refused"),
    (Floats, "a_number_never_changes_into_something_else"),
    (Envelope, "malformed_messages_are_read_or_refused"),
    (Buffered, "threads_share_one_instance"),
    (Sized, "a_message_takes_no_more_memory_than_its_size_allows"),
    (Stateful, "an_error_in_reading_changes_nothing"),
    (Stateful, "an_error_in_writing_changes_nothing"),
    (Frail, "a_circle_comes_back_as_one_or_is_refused"),
    (Frail, "deep_nesting_is_read_or_refused"),
    (Endless, "deep_nesting_is_read_or_refused"),
    (Cached, "what_a_message_becomes_is_shared_with_nobody"),
    (Greedy, "packing_leaves_the_item_as_it_was"),
    (Once, "messages_are_read_in_any_order_and_as_often_as_asked"),
    (Views, "messages_are_bytes_or_text_that_utf8_can_encode"),
    (Surrogates, "messages_are_bytes_or_text_that_utf8_can_encode"),
    (Deaf, "what_is_no_fault_of_the_item_is_passed_on"),
    (Silent, "malformed_messages_are_read_or_refused"),
    (Textual, "a_typed_receiver_gets_what_was_sent"),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "PATIENCE", 1.0)


@pytest.mark.parametrize(("kind", "test"), FAULTS, ids=lambda it: getattr(it, "__name__", it))
def test_a_faulty_serializer_is_found(
    kind: type[BaseSerializer], test: str, tmp_path: Path
) -> None:
    with pytest.raises(FAILURES):
        run(f"test_{test}", kind(), tmp_path)


@pytest.mark.parametrize("test", sorted({test for _, test in FAULTS}))
def test_a_sound_one_is_not_found(test: str, tmp_path: Path) -> None:
    run(f"test_{test}", JSON(), tmp_path)


def run(name: str, serializer: BaseSerializer, tmp_path: Path) -> None:
    """Run one test of the suite, with each of its parameters."""
    test = getattr(SerializerConformance(), name)
    fixtures = {"serializer": serializer, "tmp_path": tmp_path}
    wanted = {key: fixtures[key] for key in inspect.signature(test).parameters if key in fixtures}
    for parameters in parameters_of(test):
        test(**wanted, **parameters)


def parameters_of(test: Any) -> list[dict[str, Any]]:
    marks = getattr(test, "pytestmark", [])
    if not marks:
        return [{}]
    names, values = marks[0].args
    if isinstance(names, str):
        return [{names: value} for value in values]
    return [dict(zip(names, value, strict=True)) for value in values]
