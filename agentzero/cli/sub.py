"""`agentzero sub`: print what is published."""

from __future__ import annotations

import click
import zmq

from agentzero.cli.link import Link, linked
from agentzero.cli.options import count_option, timeout_option
from agentzero.cli.output import show_event
from agentzero.cli.receiving import show_each, unpacked

__all__ = ["sub"]

NAME = "sub"


@click.command()
@linked(bind=False, raw=True)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@count_option("End after so many messages.")
@timeout_option("How long to wait for each message.")
def sub(link: Link, topics: tuple[str, ...], count: int | None, timeout: float) -> None:
    """Print what is published.

    That is everything, or what has a topic that begins with a TOPIC. A message is written as
    {"topic": ..., "data": ...}, on a terminal as topic and data, with --raw as the bytes of its
    last frame and a newline. The exit code is 1 where none came in time.

    \b
    Example:
      agentzero sub tcp://127.0.0.1:6000 weather --count 1 &
      agentzero pub tcp://127.0.0.1:6000 weather '{"sky": "blue"}'
    """

    def show(frames: list[bytes]) -> None:
        show_event(frames[0], unpacked(link, frames, 2))

    with link.open(NAME, zmq.SUB) as sockets:
        for topic in topics or ("",):
            sockets.set_topic(NAME, topic)
        show_each(sockets, NAME, link, timeout, count, show)
