"""What all commands that send have in common: their messages, and the options for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import cycle, islice
from typing import Any, Concatenate, Final, ParamSpec

import click

from agentzero.cli import bodies
from agentzero.cli.link import Link
from agentzero.cli.options import Command, count_option
from agentzero.cli.output import warn

__all__ = ["reading", "sends", "text_option"]

P = ParamSpec("P")

text_option: Final = click.option(
    "--text", is_flag=True, help="A BODY is text, also where it could be JSON."
)


def reading(link: Link, text: bool) -> bodies.Reading:
    """Return what makes a message of a body."""
    if link.raw:
        return bytes
    return bodies.as_text if text else bodies.as_data


def sends(command: Callable[Concatenate[Link, Iterator[Any], P], Any]) -> Command:
    """Give a command that is `linked` its messages as the second argument.

    It is to stand below the command's own arguments, as the bodies are the last.
    """

    @click.argument("words", nargs=-1, metavar="[BODY]...")
    @text_option
    @count_option("How many messages to send, from the first BODY again. Without it, each once.")
    @wraps(command)
    def run(
        link: Link,
        words: tuple[str, ...],
        text: bool,
        count: int | None,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Any:
        messages = _messages(words, reading(link, text), count)
        return command(link, messages, *args, **kwargs)

    return run


def _messages(words: tuple[str, ...], read: bodies.Reading, count: int | None) -> Iterator[Any]:
    if words and words != ("-",):
        given = bodies.message_arguments(words, read)
        return islice(cycle(given), len(given) if count is None else count)
    if sys.stdin is None:
        raise click.UsageError("standard input is closed: give a BODY")
    if sys.stdin.isatty():
        warn("Each line is a message; Ctrl-D ends.")
    return islice(bodies.message_lines(sys.stdin.buffer, read), count)  # type: ignore[arg-type] # it is no raw stream
