"""The jobs to submit: JSON objects, as arguments or in the lines of a stream."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import click
import msgspec

__all__ = ["arguments", "lines"]

Body: TypeAlias = dict[str, Any]

_decode = msgspec.json.Decoder(Body).decode

AT_ONCE = 1 << 20  # bytes


def arguments(words: Sequence[str]) -> list[Body]:
    """Return what the arguments of a command say.

    Raises:
        click.UsageError: one of them is no JSON object.

    >>> arguments(['{"number": 1}'])
    [{'number': 1}]
    """
    return [_body(word, f"argument {number}") for number, word in enumerate(words, 1)]


def lines(stream: io.BufferedReader) -> Iterator[list[Body]]:
    """Yield what the lines of a stream say, as many at a time as have come; skip empty ones.

    Raises:
        click.UsageError: a line is no JSON object.

    >>> list(lines(io.BufferedReader(io.BytesIO(b'{"number": 1}\\n\\n{"number": 2}'))))
    [[{'number': 1}], [{'number': 2}]]
    """
    count = 0
    for batch in _whole_lines(stream):
        numbered = enumerate(batch, count + 1)
        bodies = [_body(line, f"line {number}") for number, line in numbered if line.strip()]
        count += len(batch)
        if bodies:
            yield bodies


def _whole_lines(stream: io.BufferedReader) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := stream.read1(AT_ONCE):
        *whole, rest = (rest + chunk).split(b"\n")
        yield whole
    yield [rest]


def _body(text: str | bytes, place: str) -> Body:
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise click.UsageError(f"{place} is no JSON object: {error}") from error
