"""The suite for serializers finds the faults of those that are not right."""

from __future__ import annotations

import inspect
import pickle
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.serializers import JSON, BaseSerializer
from agentzero.testing import SerializerConformance
from agentzero.testing.children import in_children, peak
from tests.serializers.faulty import (
    Buffered,
    Cached,
    Claiming,
    Cut,
    CutToDict,
    CutToText,
    Deaf,
    Endless,
    Envelope,
    Evaluating,
    Fatal,
    Floats,
    Frail,
    Greedy,
    Library,
    Locked,
    Nulls,
    Once,
    Owned,
    Pickle,
    Silent,
    Sized,
    Spawning,
    Stateful,
    Surrogates,
    Textual,
    Views,
    Wordless,
)

FAULTS: list[tuple[type[BaseSerializer], str, str]] = [
    (Pickle, "a_message_executes_no_code", "pickle, protocol 5: it is executed"),
    (Pickle, "an_object_does_not_say_how_it_is_read", "__reduce__ is executed"),
    (Pickle, "what_has_no_form_becomes_its_text_or_is_refused", "becomes its text"),
    (Library, "any_bytes_are_read_or_refused", "and not JSONDecodeError"),
    (Library, "broken_messages_are_read_or_refused", "and not JSONDecodeError"),
    (Library, "malformed_messages_are_read_or_refused", "and not UnicodeDecodeError"),
    (Library, "deep_nesting_is_read_or_refused", "and not RecursionError"),
    (Library, "what_has_no_form_becomes_its_text_or_is_refused", "and not TypeError"),
    (Library, "deep_nesting_comes_back_as_deep_or_is_refused", "and not RecursionError"),
    (Library, "a_circle_comes_back_as_one_or_is_refused", "and not ValueError"),
    (Library, "not_everything_is_read", "no bytes at all are refused with"),
    (Nulls, "a_number_never_changes_into_something_else", "comes back as None"),
    (Nulls, "a_number_of_another_kind_is_at_most_made_text", "comes back as None"),
    (Nulls, "a_lone_surrogate_comes_back_as_it_was_or_is_refused", "comes back as None"),
    (Nulls, "what_has_no_form_becomes_its_text_or_is_refused", "came back as None"),
    (Nulls, "an_object_whose_text_fails_is_refused", "is refused, not written as"),
    (Nulls, "a_circle_comes_back_as_one_or_is_refused", "None in them, and not as a circle"),
    (Nulls, "not_everything_is_read", "unpack hides its errors"),
    (Nulls, "a_manager_goes_on_after_a_message_that_is_no_message", "unpack hides its errors"),
    (Floats, "values_come_back_as_they_were", "comes back as"),
    (Floats, "json_s_own_types_come_back_as_they_were_or_are_refused", "comes back as"),
    (Floats, "a_number_never_changes_into_something_else", "comes back as"),
    (Envelope, "malformed_messages_are_read_or_refused", "and not TypeError"),
    (Buffered, "threads_share_one_instance", "8 threads: "),
    (Owned, "threads_share_one_instance", "takes longer than 2 seconds"),
    (Locked, "packing_inside_packing_spoils_neither", "takes longer than 2 seconds"),
    (Sized, "a_message_takes_no_more_memory_than_its_size_allows", "more than there is"),
    (Sized, "messages_that_claim_to_be_large_are_read_or_refused", "more memory than there is"),
    (Claiming, "messages_that_claim_to_be_large_are_read_or_refused", "more memory than there is"),
    (Stateful, "an_error_in_reading_changes_nothing", "cannot be read"),
    (Stateful, "an_error_in_writing_changes_nothing", "cannot be read"),
    (Frail, "a_circle_comes_back_as_one_or_is_refused", "killed by SIGKILL"),
    (Frail, "deep_nesting_is_read_or_refused", "killed by SIGKILL"),
    (Frail, "an_error_in_writing_changes_nothing", "killed by SIGKILL"),
    (Fatal, "an_error_in_reading_changes_nothing", "killed by SIGKILL"),
    (Endless, "deep_nesting_is_read_or_refused", "takes longer than 2 seconds"),
    (Wordless, "deep_nesting_comes_back_as_deep_or_is_refused", "5000 lists: MemoryError"),
    (Cut, "a_circle_comes_back_as_one_or_is_refused", "None in them, and not as a circle"),
    (Cut, "deep_nesting_comes_back_as_deep_or_is_refused", "None in them"),
    (CutToText, "a_circle_comes_back_as_one_or_is_refused", "in them, and not as a circle"),
    (CutToText, "deep_nesting_comes_back_as_deep_or_is_refused", r"'\[...\]' in them"),
    (CutToDict, "deep_nesting_comes_back_as_deep_or_is_refused", "'deep' in them"),
    (Evaluating, "a_message_executes_no_code", "Python: it is executed"),
    (Spawning, "a_message_executes_no_code", "a YAML process: it is executed"),
    (Cached, "what_a_message_becomes_is_shared_with_nobody", "makes its result anew"),
    (Greedy, "packing_leaves_the_item_as_it_was", "pack changes"),
    (Once, "messages_are_read_in_any_order_and_as_often_as_asked", "without any other one"),
    (Views, "messages_are_bytes_or_text_that_utf8_can_encode", "pack returns bytes or str"),
    (Surrogates, "messages_are_bytes_or_text_that_utf8_can_encode", "surrogates not allowed"),
    (Deaf, "what_is_no_fault_of_the_item_is_passed_on", "passes a KeyboardInterrupt on"),
    (Silent, "malformed_messages_are_read_or_refused", "the error's `raw` is"),
    (Textual, "a_typed_receiver_gets_what_was_sent", "a form that a receiver can use"),
]

ENDLESS = (Endless, Locked, Owned)


class Impatient(SerializerConformance):
    """The suite, for serializers of which it is known that they do not end."""

    patience = 2.0


@pytest.mark.parametrize(
    ("kind", "test", "said"), FAULTS, ids=[f"{kind.__name__}-{test}" for kind, test, _ in FAULTS]
)
def test_a_faulty_serializer_is_found(
    kind: type[BaseSerializer], test: str, said: str, tmp_path: Path
) -> None:
    suite = Impatient() if kind in ENDLESS else SerializerConformance()
    with pytest.raises((AssertionError, UnicodeEncodeError), match=said):
        run(suite, f"test_{test}", kind(), tmp_path)


@pytest.mark.parametrize("test", sorted({test for _, test, _ in FAULTS}))
def test_a_sound_one_is_not_found(test: str, tmp_path: Path) -> None:
    run(SerializerConformance(), f"test_{test}", JSON(), tmp_path)


@pytest.mark.parametrize(
    ("kind", "executed"),
    [
        (Pickle, [f"pickle, protocol {number}" for number in range(pickle.HIGHEST_PROTOCOL + 1)]),
        (Evaluating, ["Python"]),
        (Spawning, ["a YAML process"]),
    ],
)
def test_no_message_is_blamed_for_what_another_one_executes(
    kind: type[BaseSerializer], executed: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    with pytest.raises(AssertionError) as caught:
        run(SerializerConformance(), "test_a_message_executes_no_code", kind(), folder)
    assert re.findall("^ *(.*): it is executed", str(caught.value), re.MULTILINE) == executed


@pytest.mark.parametrize(
    "test", ["not_everything_is_read", "a_manager_goes_on_after_a_message_that_is_no_message"]
)
def test_what_kills_the_process_is_not_read_where_that_is_not_the_question(
    test: str, tmp_path: Path
) -> None:
    run(SerializerConformance(), f"test_{test}", Fatal(), tmp_path)


# The children


def test_an_error_without_words_is_a_problem() -> None:
    def fail() -> None:
        raise MemoryError

    assert in_children({"empty": str, "wordless": fail, "fine": lambda: None}) == {
        "empty": "",
        "wordless": f"MemoryError; raised in {__file__}, line {fail.__code__.co_firstlineno + 1}",
    }


def test_after_two_cases_that_do_not_end_the_others_are_not_tried() -> None:
    def hang() -> None:
        while True:
            signal.pause()

    cases = dict.fromkeys(["a", "b", "c", "d"], hang)
    late = "it takes longer than 0.2 seconds"
    more = "the 2 cases behind it were not tried"
    assert in_children(cases, patience=0.2) == {"a": late, "b": late, "and more": more}


@pytest.fixture
def counted() -> Iterator[None]:
    """Memory is counted by somebody else, too."""
    tracemalloc.start()
    yield
    assert tracemalloc.is_tracing()
    tracemalloc.stop()


@pytest.mark.usefixtures("counted")
def test_memory_that_was_taken_before_does_not_count() -> None:
    kept = bytes(10**7)
    assert 10**6 <= peak(partial(bytes, 10**6)) < 2 * 10**6
    assert len(kept) == 10**7


@pytest.mark.parametrize("limit", ["resource.RLIM_INFINITY", "size() + 2**28"])
def test_children_take_no_more_memory_than_they_may(limit: str) -> None:
    program = f"""
import pathlib, resource
from agentzero.testing.children import in_children

def size():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()

resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
print(in_children({{"little": lambda: bytes(2**20) and None, "much": lambda: bytes(2**31)}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("{'much': 'MemoryError;"), done


def run(
    suite: SerializerConformance, name: str, serializer: BaseSerializer, tmp_path: Path
) -> None:
    """Run one test of the suite, with each of its parameters."""
    test = getattr(suite, name)
    with SocketManager(serialization_backend=serializer, timeout=suite.patience) as sockets:
        sockets.ensure_and_bind("in", zmq.PULL, "inproc://pipe")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://pipe")
        fixtures = {"serializer": serializer, "tmp_path": tmp_path, "sockets": sockets}
        wanted = {it: fixtures[it] for it in inspect.signature(test).parameters if it in fixtures}
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
