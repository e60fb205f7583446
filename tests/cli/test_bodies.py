"""The jobs to submit, as a stream brings them."""

from __future__ import annotations

import io
import os
from typing import Any

import click
import pytest

from agentzero.cli.bodies import lines


class Chunks(io.RawIOBase):
    """A stream that brings these bytes, some at a time."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = [*chunks]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        chunk = self._chunks.pop(0) if self._chunks else b""
        buffer[: len(chunk)] = chunk
        return len(chunk)


def read(*chunks: bytes) -> list[list[dict[str, object]]]:
    stream: Any = Chunks(*chunks)
    return list(lines(io.BufferedReader(stream)))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], []),
        ([b"\n \n"], []),
        ([b"{}"], [[{}]]),
        ([b"{}\n"], [[{}]]),
        ([b"{}\r\n{}\r\n"], [[{}, {}]]),
        ([b'{"a"', b': 1}\n{"a": 2}', b"\n"], [[{"a": 1}], [{"a": 2}]]),
        ([b'{"a": "\xc3', b'\xa9"}\n'], [[{"a": "é"}]]),
        ([b'{"a": "', *[b"long " * 1000] * 200, b'"}\n'], [[{"a": "long " * 200_000}]]),
    ],
)
def test_lines_come_whole_however_they_are_cut(
    chunks: list[bytes], expected: list[list[dict[str, object]]]
) -> None:
    assert read(*chunks) == expected


@pytest.mark.parametrize(
    "line", [b"[]", b"{", b"null", b"{} {}", b"\xff", b'{"a": NaN}', b"[" * 9999]
)
def test_a_line_that_is_no_object_is_named(line: bytes) -> None:
    with pytest.raises(click.UsageError, match="line 3 is no JSON object"):
        read(b"{}\n\n" + line + b"\n")


def test_what_was_whole_before_is_not_kept_back() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as stream, open(theirs, "wb", buffering=0) as writer:
        batches = lines(stream)
        writer.write(b'{"a": 1}\n{"a"')
        assert next(batches) == [{"a": 1}]
        writer.write(b": 2}\n")
        assert next(batches) == [{"a": 2}]
