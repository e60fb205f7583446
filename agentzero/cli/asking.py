"""What all commands that ask a pipeline have in common: their options, and a client."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from agentzero.cli.options import Command, seconds_option
from agentzero.pipeline import Client
from agentzero.pipeline.wire import REPLY_ADDRESS

__all__ = ["ADDRESS_VARIABLE", "asks", "waits"]

P = ParamSpec("P")

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


def asks(command: Callable[Concatenate[Client, P], Any]) -> Command:
    """Give a command a client as its first argument, and the options to make it."""

    @_address
    @seconds_option("--timeout", "How long the pipeline has to answer.", PATIENCE)
    @wraps(command)
    def run(address: str, timeout: float, *args: P.args, **kwargs: P.kwargs) -> Any:
        with Client(address, timeout=timeout) as client:
            return command(client, *args, **kwargs)

    return run


def waits(command: Callable[Concatenate[Client, float, P], Any]) -> Command:
    """As `asks`, for a command that waits for jobs: how long, in seconds, it is given as well."""

    @_address
    @seconds_option(
        "--timeout",
        f"How long to wait. Without it: {PATIENCE:g} s for the pipeline to answer, and for "
        "a job to end as long as that takes.",
    )
    @wraps(command)
    def run(address: str, timeout: float | None, *args: P.args, **kwargs: P.kwargs) -> Any:
        patience, waiting = (PATIENCE, math.inf) if timeout is None else (timeout, timeout)
        with Client(address, timeout=patience) as client:
            return command(client, waiting, *args, **kwargs)

    return run
