"""What is to be sent: the arguments of a command, or the lines of a stream.

The bodies of jobs are JSON objects; those of messages are whatever `Reading` makes of them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

import click
import msgspec

from agentzero.errors import DeserializationError
from agentzero.serializers import JSON

__all__ = [
    "Reading",
    "arguments",
    "as_data",
    "as_text",
    "lines",
    "message_arguments",
    "message_lines",
    "written",
]

Body: TypeAlias = dict[str, Any]
Reading: TypeAlias = Callable[[bytes], Any]

# What begins so was meant to be JSON: a mistake in it is not to be sent as text.
JSON_BEGINS = (b"{", b"[", b'"')

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
    begun: list[bytes] = []  # joined once: a line may come in thousands of parts
    while chunk := stream.read1(AT_ONCE):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        if others:
            yield [b"".join(begun), *others[:-1]]
            begun = others[-1:]
    if rest := b"".join(begun):
        yield [rest]


def _body(text: str | bytes, place: str) -> Body:
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise click.UsageError(f"{place} is no JSON object: {error}") from error


def as_data(body: bytes) -> Any:
    """Return the data that a body is: what its JSON says, or else its text.

    Raises:
        ValueError: it begins like JSON, and is none; or it is neither that nor text.

    >>> as_data(b"[1, 2]"), as_data(b"sunny")
    ([1, 2], 'sunny')
    """
    try:
        return JSON().unpack(body)
    except DeserializationError as error:
        if body.lstrip().startswith(JSON_BEGINS):
            raise ValueError(f"{error} (--text sends it as text)") from error
        return as_text(body)


def as_text(body: bytes) -> str:
    """Return a body as text.

    Raises:
        ValueError: it is no UTF-8.

    >>> as_text(b"12")
    '12'
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 (--raw sends any bytes): {error}") from error


def written(data: Any) -> bytes:
    """Return data as a body: bytes and text as they are, all else as JSON.

    Raises:
        SerializationError: it has no form in JSON.

    >>> written("sunny"), written([1, 2])
    (b'sunny', b'[1,2]')
    """
    if isinstance(data, bytes):
        return data
    return data.encode() if isinstance(data, str) else JSON().pack(data)


def message_arguments(words: Sequence[str], read: Reading) -> list[Any]:
    """Return the messages that the arguments of a command are.

    Raises:
        click.UsageError: one of them cannot be read.

    >>> message_arguments(["1", "two"], as_data)
    [1, 'two']
    """
    numbered = enumerate(map(os.fsencode, words), 1)
    return [_message(body, read, f"argument {number}") for number, body in numbered]


def message_lines(stream: io.BufferedReader, read: Reading) -> Iterator[Any]:
    """Yield the messages that the lines of a stream are, as they come.

    Raises:
        click.UsageError: a line cannot be read.

    >>> list(message_lines(io.BufferedReader(io.BytesIO(b"1\\ntwo\\n")), as_data))
    [1, 'two']
    """
    every = chain.from_iterable(_whole_lines(stream))
    return (_message(body, read, f"line {number}") for number, body in enumerate(every, 1))


def _message(body: bytes, read: Reading, place: str) -> Any:
    try:
        return read(body)
    except ValueError as error:
        raise click.UsageError(f"{place}: {error}") from error
