"""`agentzero pub`: publish messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import zmq

from agentzero.cli.link import Link, linked
from agentzero.cli.options import timeout_option
from agentzero.cli.sending import sends

__all__ = ["pub"]

NAME = "pub"


@click.command()
@linked(bind=True, raw=True)
@click.argument("topic")
@timeout_option("How long to wait for a subscriber, and for one that is slow.", 10.0)
@click.option("--no-wait", is_flag=True, help="Drop what nobody is there for, or is too slow for.")
@sends
def pub(link: Link, messages: Iterator[Any], topic: str, timeout: float, no_wait: bool) -> None:
    """Publish messages under TOPIC.

    Each BODY is a message: JSON, or else text. Without any, or with "-", they are read from
    standard input, one per line. The first one waits until somebody has subscribed to the topic.

    \b
    Example:
      agentzero sub tcp://127.0.0.1:6000 weather --count 1 &
      agentzero pub tcp://127.0.0.1:6000 weather '{"sky": "blue"}'
    """
    with link.open(NAME, zmq.XPUB, {} if no_wait else {zmq.XPUB_NODROP: 1}, timeout) as sockets:
        for number, message in enumerate(messages):
            if not number and not no_wait:
                sockets.wait_for_subscribers(NAME, topic, timeout=timeout)
            sockets.publish(NAME, topic, message, timeout)
