"""What all commands that ask a pipeline have in common: their options, and a client."""

from __future__ import annotations

import errno
import io
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

import click

from agentzero.cli.options import Seconds
from agentzero.errors import AgentZeroSocketError
from agentzero.pipeline import Client
from agentzero.pipeline.wire import REPLY_ADDRESS

__all__ = ["ADDRESS_VARIABLE", "asks", "waits"]

P = ParamSpec("P")

Command: TypeAlias = Callable[..., Any]

ADDRESS_VARIABLE = "AGENTZERO_PIPELINE"
PATIENCE = 10.0  # seconds that a pipeline has to answer

_address = click.option(
    "-a",
    "--address",
    metavar="ADDRESS",
    envvar=ADDRESS_VARIABLE,
    show_envvar=True,
    default=REPLY_ADDRESS,
    show_default=True,
    help="Where the pipeline answers.",
)


@contextmanager
def _asking(address: str, timeout: float) -> Iterator[Client]:
    """Have a client; that its answers cannot be written is an error as others are."""
    with Client(address, timeout=timeout) as client:
        try:
            yield client
        except AgentZeroSocketError:
            raise  # some are OSErrors as well
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # nobody reads on, which is no trouble
            sys.stdout = io.StringIO()  # or else Python writes the rest of it when it ends
            raise click.ClickException(str(error)) from error


def asks(command: Callable[Concatenate[Client, P], Any]) -> Command:
    """Give a command a client as its first argument, and the options to make it."""

    @_address
    @click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        default=PATIENCE,
        show_default=True,
        help="How long the pipeline has to answer.",
    )
    @wraps(command)
    def run(address: str, timeout: float, *args: P.args, **kwargs: P.kwargs) -> Any:
        with _asking(address, timeout) as client:
            return command(client, *args, **kwargs)

    return run


def waits(command: Callable[Concatenate[Client, float, P], Any]) -> Command:
    """As `asks`, for a command that waits for jobs: how long, in seconds, it is given as well."""

    @_address
    @click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        help=f"How long to wait. Without it: {PATIENCE:g} s for the pipeline to answer, and for "
        "a job to end as long as that takes.",
    )
    @wraps(command)
    def run(address: str, timeout: float | None, *args: P.args, **kwargs: P.kwargs) -> Any:
        patience, waiting = (PATIENCE, math.inf) if timeout is None else (timeout, timeout)
        with _asking(address, patience) as client:
            return command(client, waiting, *args, **kwargs)

    return run
