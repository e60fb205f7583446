"""`agentzero req`: ask, and print the replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import zmq

from agentzero.cli.link import Link, linked
from agentzero.cli.options import number_option, timeout_option
from agentzero.cli.output import show, show_bytes
from agentzero.cli.sending import sends

__all__ = ["req"]

NAME = "req"


@click.command()
@linked(bind=False, raw=True)
@timeout_option("How long to wait for a reply, in each attempt.", 10.0)
@number_option("--retries", "How often to ask again where no reply came in time.", 0, least=0)
@sends
def req(link: Link, messages: Iterator[Any], timeout: float, retries: int) -> None:
    """Ask, and print the replies.

    Each BODY is a question: JSON, or else text. Without any, or with "-", they are read from
    standard input, one per line. What is asked again may be answered twice over there.

    \b
    Example:
      agentzero rep tcp://127.0.0.1:6000 --echo --count 1 &
      agentzero req tcp://127.0.0.1:6000 hello
    """
    with link.open(NAME, zmq.REQ) as sockets:
        for message in messages:
            reply = sockets.request(NAME, message, timeout, retries)
            show_bytes(reply) if link.raw else show(reply)
