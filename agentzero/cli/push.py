"""`agentzero push`: hand out messages, each to one that pulls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import zmq

from agentzero.cli.link import Link, linked
from agentzero.cli.options import timeout_option
from agentzero.cli.sending import sends

__all__ = ["push"]

NAME = "push"


@click.command()
@linked(bind=False, raw=True)
@timeout_option("How long to wait until somebody takes a message.", 10.0)
@sends
def push(link: Link, messages: Iterator[Any], timeout: float) -> None:
    """Hand out messages, each to one that pulls.

    Each BODY is a message: JSON, or else text. Without any, or with "-", they are read from
    standard input, one per line.

    \b
    Example:
      agentzero pull tcp://127.0.0.1:6000 --count 2 &
      agentzero push tcp://127.0.0.1:6000 '{"job": 1}' '{"job": 2}'
    """
    # A connection that is not there yet takes no messages, which could be lost with it.
    with link.open(NAME, zmq.PUSH, {zmq.IMMEDIATE: 1}, timeout) as sockets:
        for message in messages:
            sockets.send(NAME, message, timeout)
