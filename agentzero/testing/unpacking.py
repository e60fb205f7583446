"""What serializers promise of `unpack`: a value or an error, whatever a stranger has sent."""

# ruff: noqa: D102 - the names of tests tell what they test

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agentzero.errors import DeserializationError
from agentzero.serializers import Serializer
from agentzero.testing.children import Patient, assert_harmless, in_children, peak
from agentzero.testing.hostile import Exploit, bombs, canaries, malformed, nests
from agentzero.testing.packing import Mute, packed
from agentzero.testing.values import described, every, message, nested, same, scalars, shown

__all__ = ["UnpackingConformance"]

ROOM = 2**20
"""How many bytes of memory it may take to read any message, and besides..."""

ROOM_PER_BYTE = 200
"""... for each byte of the message."""

REFUSED = "it is refused"

MESSAGE: dict[str, Any] = {"hello": ["world", {"a": "b"}]}


def problem(serializer: Serializer, raw: bytes) -> str | None:
    """What is wrong with how some bytes are read, if anything."""
    try:
        serializer.unpack(raw)
    except Exception as error:
        if ran_out(error):
            return f"it takes more memory than there is; the message is {shown(raw)}"
        if not isinstance(error, DeserializationError):
            return (
                "unpack raises nothing but DeserializationError, and not "
                f"{described(error)}; the message is {shown(raw)}"
            )
        if error.raw != raw:
            return f"the error's `raw` is {shown(error.raw)}, and not the message, {shown(raw)}"
    return None


def ran_out(error: BaseException | None) -> bool:
    """Whether there was too little memory, whatever error was made of that."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error is not None


def expense(serializer: Serializer, raw: bytes) -> str | None:
    """What is wrong with the memory that it takes to read some bytes, if anything."""
    room = ROOM + ROOM_PER_BYTE * len(raw)
    refused: list[bool] = []

    def read() -> None:
        try:
            serializer.unpack(raw)
        except Exception as error:
            refused.append(ran_out(error))

    problem(serializer, raw)  # what is made once, and kept, is made now
    taken = peak(read)
    if taken > room or any(refused):
        asked = "more than there is" if any(refused) else f"{taken:,} bytes"
        return f"reading {len(raw):,} bytes takes {asked} of memory; {room:,} bytes are enough"
    return None


def readable(serializer: Serializer, raw: bytes) -> bool:
    """Whether some bytes are read, and not refused."""
    try:
        serializer.unpack(raw)
    except DeserializationError:
        return False
    return True


def refused(serializer: Serializer, patience: float) -> list[bytes]:
    """The malformed messages that are refused, and do no harm."""

    def refusal(serializer: Serializer, raw: bytes) -> str | None:
        return None if readable(serializer, raw) else REFUSED

    said = in_children(_each(refusal, serializer, _malformed()), patience)
    return [raw for name, raw in _malformed().items() if said.get(name) == REFUSED]


@st.composite
def broken(draw: Callable[[SearchStrategy[Any]], Any], raws: SearchStrategy[bytes]) -> bytes:
    """A message that was cut, spliced, repeated, or of which some bytes have changed."""
    raw, other = bytearray(draw(raws)), draw(raws)
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
    piece = draw(
        st.just(b"")
        | st.binary(min_size=end - start, max_size=end - start)
        | st.just(other[start:])
        | st.just(bytes(raw[start:end]) * 3)
        | st.sampled_from([b"\xff", b"\x00", b"\x7f\xff\xff\xff", b"\n", b"[", b"{", b":", b"<"])
    )
    raw[start:end] = piece
    return bytes(raw)


class UnpackingConformance(Patient):
    """The part of `SerializerConformance` that is about `unpack`, and errors."""

    values: ClassVar[SearchStrategy[Any]] = nested(scalars())
    hostile: ClassVar[Mapping[str, bytes]] = {}

    # Nothing but a DeserializationError

    def test_any_bytes_are_read_or_refused(self, serializer: Serializer) -> None:
        def check(raw: bytes) -> None:
            assert (said := problem(serializer, raw)) is None, said

        every(st.binary(), check)

    def test_broken_messages_are_read_or_refused(self, serializer: Serializer) -> None:
        def check(raw: bytes) -> None:
            assert (said := problem(serializer, raw)) is None, said

        every(broken(self.values.map(partial(message, serializer))), check)

    def test_malformed_messages_are_read_or_refused(self, serializer: Serializer) -> None:
        assert_harmless(_each(problem, serializer, _malformed()), self.patience)

    def test_not_everything_is_read(self, serializer: Serializer) -> None:
        assert refused(serializer, self.patience), (
            "no bytes at all are refused with DeserializationError: unpack hides its errors"
        )

    def test_deep_nesting_is_read_or_refused(self, serializer: Serializer) -> None:
        assert_harmless(_each(problem, serializer, _nests()), self.patience)

    def test_messages_that_claim_to_be_large_are_read_or_refused(
        self, serializer: Serializer
    ) -> None:
        assert_harmless(_each(problem, serializer, _bombs()), self.patience)

    def test_what_its_author_calls_hostile_is_read_or_refused(self, serializer: Serializer) -> None:
        assert_harmless(_each(problem, serializer, self.hostile), self.patience)

    # No memory, no code

    def test_a_message_takes_no_more_memory_than_its_size_allows(
        self, serializer: Serializer
    ) -> None:
        raws = {**_malformed(), **_nests(), **_bombs(), **self.hostile}
        assert_harmless(_each(expense, serializer, raws), self.patience)

    def test_a_message_executes_no_code(self, serializer: Serializer, tmp_path: Path) -> None:
        assert_harmless(
            {
                name: partial(_execution, serializer, raw, made)
                for name, (raw, made) in canaries(tmp_path).items()
            },
            self.patience,
        )

    def test_an_object_does_not_say_how_it_is_read(
        self, serializer: Serializer, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        raw = packed(serializer, [Exploit(made)])
        result = ["an exploit"] if raw is None else serializer.unpack(raw)
        assert not made.exists(), "the object's __reduce__ is executed, as pickle does"
        assert same(result, ["an exploit"]), f"its text comes back as {shown(result)}"

    # And all goes on

    def test_an_error_in_reading_changes_nothing(self, serializer: Serializer) -> None:
        raw = message(serializer, MESSAGE)

        def read_all() -> None:
            for bad in (*_malformed().values(), *(raw[:end] for end in range(len(raw)))):
                problem(serializer, bad)
                _assert_unchanged(serializer, raw, f"{shown(bad)} was read")

        assert_harmless({"one after the other": read_all}, self.patience)

    def test_an_error_in_writing_changes_nothing(self, serializer: Serializer) -> None:
        raw = message(serializer, MESSAGE)
        circle: list[Any] = ["a" * 100]
        circle.append(circle)

        def write_all() -> None:
            for bad in ([MESSAGE, Mute(ValueError())], {"a": "\ud800"}, [2**5000], circle):
                packed(serializer, bad)
                _assert_unchanged(serializer, raw, f"{shown(bad)} was written")

        assert_harmless({"one after the other": write_all}, self.patience)


def _assert_unchanged(serializer: Serializer, raw: bytes, after: str) -> None:
    assert same(serializer.unpack(raw), MESSAGE), f"what was readable is not, after {after}"
    assert same(serializer.unpack(message(serializer, MESSAGE)), MESSAGE), (
        f"it is not written as before, after {after}"
    )


def _execution(serializer: Serializer, raw: bytes, made: Path) -> str | None:
    said = problem(serializer, raw)
    _await_children()
    return "it is executed, and not read" if made.exists() else said


def _await_children(within: float = 2.0) -> None:
    """Wait until the processes have ended that this one has started, if there are any."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return


_malformed, _nests, _bombs = cache(malformed), cache(nests), cache(bombs)


def _each(
    look: Callable[[Serializer, bytes], str | None],
    serializer: Serializer,
    raws: Mapping[str, bytes],
) -> dict[str, Callable[[], str | None]]:
    return {name: partial(look, serializer, raw) for name, raw in raws.items()}
