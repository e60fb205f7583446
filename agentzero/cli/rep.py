"""`agentzero rep`: answer questions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import click
import zmq

from agentzero import SocketManager
from agentzero.cli import bodies
from agentzero.cli.link import Link, linked
from agentzero.cli.options import count_option, seconds_option, timeout_option
from agentzero.cli.output import errors_told
from agentzero.cli.sending import reading, text_option
from agentzero.cli.shell import output_of

__all__ = ["rep"]

Answer: TypeAlias = Callable[[Any], Any]

NAME = "rep"


@click.command()
@linked(bind=True, raw=True)
@click.argument("body", required=False)
@click.option("--echo", is_flag=True, help="Answer with the question.")
@click.option("--command", metavar="COMMAND", help="Answer with the output of this shell command.")
@seconds_option("--command-timeout", "How long the command may take.", 30.0)
@text_option
@count_option("End after so many questions.")
@timeout_option("How long to wait for each question.")
def rep(
    link: Link,
    body: str | None,
    echo: bool,
    command: str | None,
    command_timeout: float,
    text: bool,
    count: int | None,
    timeout: float,
) -> None:
    """Answer questions.

    The answer is BODY, or the question itself, or what a command makes of it.

    A COMMAND gets the question on its standard input, text as it is and other data as JSON, and
    nowhere else: nobody who asks can change what is run. But who may ask may have it run: say with
    --curve-allow who that is, or bind where nobody else comes. One that fails is answered with
    an error.

    \b
    Example:
      agentzero rep tcp://127.0.0.1:6000 --command 'tr a-z A-Z' --count 1 &
      agentzero req tcp://127.0.0.1:6000 hello
    """
    if (body is not None) + echo + (command is not None) != 1:
        raise click.UsageError("say what to answer with: BODY, or --echo, or --command")
    read = reading(link, text)
    answer: Answer = _echoed
    if command is not None:
        answer = partial(_made, command, command_timeout, read)
    elif body is not None:
        answer = partial(_fixed, *bodies.message_arguments([body], read))
    with errors_told(), link.open(NAME, zmq.REP) as sockets:
        if _serve(sockets, answer, count, timeout) != count:
            raise click.ClickException(f"no question came in {timeout:g} s")


def _echoed(question: Any) -> Any:
    return question


def _fixed(answer: Any, question: Any) -> Any:
    return answer


def _made(command: str, timeout: float, read: bodies.Reading, question: Any) -> Any:
    output = output_of(command, bodies.written(question), timeout)
    return read(output if read is bytes else output.removesuffix(b"\n"))


def _serve(sockets: SocketManager, answer: Answer, count: int | None, timeout: float) -> int:
    """Answer so many questions, or until none comes in time; return how many came."""
    came = 0

    def came_one(question: Any) -> None:
        nonlocal came
        came += 1

    def handler(question: Any) -> Any:
        came_one(question)
        return answer(question)

    sockets.serve(NAME, handler, lambda: came != count, timeout, on_error=came_one)
    return came
