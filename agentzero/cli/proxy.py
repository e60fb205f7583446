"""`agentzero proxy`: pass messages on between two addresses."""

from __future__ import annotations

from typing import NamedTuple

import click
import zmq

from agentzero.cli.curve import Keys, curve_options
from agentzero.cli.link import attach, managing
from agentzero.cli.output import errors_told, show
from agentzero.cli.relay import BACK, COMMANDS, CONTROL, FRONT, Relay

__all__ = ["proxy"]


class Kind(NamedTuple):
    """What a proxy is made of: the types of its sockets, and whether messages go both ways."""

    front: int
    back: int
    back_too: bool


KINDS = {
    "queue": Kind(zmq.ROUTER, zmq.DEALER, back_too=True),
    "forwarder": Kind(zmq.XSUB, zmq.XPUB, back_too=True),  # subscriptions go back
    "streamer": Kind(zmq.PULL, zmq.PUSH, back_too=False),
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="|".join(KINDS))
@click.argument("front", metavar="FRONT")
@click.argument("back", metavar="BACK")
@click.option("--connect-front", is_flag=True, help="Connect to FRONT; otherwise bind there.")
@click.option("--connect-back", is_flag=True, help="Connect to BACK; otherwise bind there.")
@click.option("--control", metavar="ADDRESS", help=f"Obey here: {', '.join(COMMANDS)}.")
@curve_options
def proxy(
    kind: str,
    front: str,
    back: str,
    connect_front: bool,
    connect_back: bool,
    control: str | None,
    curve: Keys | None,
) -> None:
    """Pass messages on between two addresses.

    \b
    queue      from those who ask (req), at FRONT, to those who answer (rep), and back
    forwarder  from those who publish (pub), at FRONT, to those who subscribe (sub)
    streamer   from those who push, at FRONT, to those who pull

    At the address that --control says, it can be asked with "agentzero req" for its statistics, to
    pause, to resume and to terminate; whoever reaches that address can do so. The keys are those
    of all its sockets. At its end it prints its statistics.

    \b
    Example:
      agentzero proxy queue tcp://127.0.0.1:6000 tcp://127.0.0.1:6001 --control tcp://127.0.0.1:6002 &
      agentzero rep --connect tcp://127.0.0.1:6001 --echo --count 1 &
      agentzero req tcp://127.0.0.1:6000 hello
      agentzero req tcp://127.0.0.1:6002 terminate
    """  # noqa: E501 - a command is one line
    types = KINDS[kind]
    with errors_told(), managing("json") as sockets:
        attach(sockets, FRONT, types.front, front, bind=not connect_front, curve=curve)
        attach(sockets, BACK, types.back, back, bind=not connect_back, curve=curve)
        if control is not None:
            attach(sockets, CONTROL, zmq.REP, control, bind=True, curve=curve)
        relay = Relay(sockets, back_too=types.back_too, front_waits=types.front != zmq.ROUTER)
        try:
            relay.run()
        finally:
            show(relay.statistics())
