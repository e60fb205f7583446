"""`agentzero pull`: print the messages that are handed out."""

from __future__ import annotations

import click
import zmq

from agentzero.cli.link import Link, linked
from agentzero.cli.options import count_option, timeout_option
from agentzero.cli.output import show
from agentzero.cli.receiving import show_each, unpacked

__all__ = ["pull"]

NAME = "pull"


@click.command()
@linked(bind=True, raw=True)
@count_option("End after so many messages.")
@timeout_option("How long to wait for each message.")
def pull(link: Link, count: int | None, timeout: float) -> None:
    """Print the messages that are handed out here.

    With --raw, a message is written as its bytes and a newline. The exit code is 1 where none came
    in time.

    \b
    Example:
      agentzero pull tcp://127.0.0.1:6000 --count 2 &
      agentzero push tcp://127.0.0.1:6000 '{"job": 1}' '{"job": 2}'
    """
    with link.open(NAME, zmq.PULL) as sockets:
        show_each(
            sockets, NAME, link, timeout, count, lambda frames: show(unpacked(link, frames, 1))
        )
