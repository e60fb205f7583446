"""Data on standard output: JSON, for reading on a terminal, in one line for programs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from agentzero.serializers import JSON

__all__ = ["errors_told", "meanwhile_said", "one_line", "show", "show_bytes", "show_event", "warn"]


def show(item: Any) -> None:
    """Write an item of data.

    Raises:
        SerializationError: it has no form in JSON.
    """
    _show(JSON().pack(item))


def show_event(topic: bytes, data: Any) -> None:
    """Write a published message; of a topic that is no UTF-8, its bytes are shown as escapes.

    Raises:
        SerializationError: its data has no form in JSON.
    """
    text = topic.decode(errors="backslashreplace")
    if sys.stdout.isatty():
        _show(JSON().pack(data), text)
    else:
        _show(JSON().pack({"topic": text, "data": data}))


def show_bytes(payload: bytes) -> None:
    """Write bytes as they are, and a newline."""
    click.echo(payload)


def _show(packed: bytes, headline: str = "") -> None:
    if not sys.stdout.isatty():
        click.echo(packed)
        return
    from rich.console import Console
    from rich.highlighter import JSONHighlighter
    from rich.text import Text

    lines = msgspec.json.format(packed).decode().split("\n")
    text = JSONHighlighter()("\n".join(map(_harmless, lines)))
    if headline:
        text = Text.assemble((_harmless(headline), "bold"), " ", text)
    Console().print(text, soft_wrap=True)


def _harmless(text: str) -> str:
    """Return text from elsewhere with escapes for what would move the cursor, or do worse."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def warn(words: object) -> None:
    """Say something that is no data, in one line."""
    click.echo(one_line(str(words)), err=True)


@contextmanager
def meanwhile_said(words: str) -> Iterator[None]:
    """Say something for as long as the block takes, where somebody looks on."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(words, nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)  # that line is empty again


class OneLine(logging.Formatter):
    """Records as errors, each in one line, with what was raised and without where."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        cause = record.exc_info[1] if record.exc_info else None
        said = f"Error: {record.getMessage()}{'' if cause is None else f': {cause}'}"
        return one_line(said)


@contextmanager
def errors_told() -> Iterator[None]:
    """Have what the library goes on after written to standard error, a line each."""
    logger = logging.getLogger("agentzero")
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def one_line(text: str) -> str:
    r"""Return text from elsewhere without what would move the cursor, or do worse.

    >>> one_line("two\nlines, \x1b[31mred")
    'two lines, [31mred'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
