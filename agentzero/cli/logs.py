"""`agentzero logs`: the log records that a `ZMQPubHandler` publishes, as they come."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import click
import zmq

from agentzero import SocketManager
from agentzero.cli.link import Link, linked
from agentzero.cli.options import completing, count_option, timeout_option
from agentzero.cli.output import one_line, show, warn
from agentzero.cli.verbose import FORM
from agentzero.errors import DeserializationError, SerializationError
from agentzero.log import PublishedRecord, record_from_event

__all__ = ["logs"]

NAME = "logs"

STYLES = {
    logging.CRITICAL: "bold red",
    logging.ERROR: "red",
    logging.WARNING: "yellow",
    logging.INFO: "",
    logging.NOTSET: "dim",
}


def _level(context: click.Context, parameter: click.Parameter, word: str) -> int:
    known = logging.getLevelNamesMapping()
    if word.upper() in known:
        return known[word.upper()]
    if word.isdecimal():
        return int(word)
    raise click.BadParameter(f"{word!r} is neither a number nor one of {', '.join(known)}")


class Published(NamedTuple):
    """A log record, and what was published of it."""

    record: PublishedRecord
    data: dict[str, Any]


@click.command()
@linked(bind=False)
@click.argument("topics", nargs=-1, metavar="[TOPIC]...")
@click.option(
    "--level",
    callback=_level,
    shell_complete=completing(logging.getLevelNamesMapping),
    default="NOTSET",
    metavar="LEVEL",
    help="Leave out records below this level, such as WARNING, or 30.",
)
@click.option("--json", is_flag=True, help="Print all that was published of a record, as JSON.")
@count_option("End after so many records.")
@timeout_option("How long to wait for the next record.")
def logs(
    link: Link,
    topics: tuple[str, ...],
    level: int,
    json: bool,
    count: int | None,
    timeout: float,
) -> None:
    """Print log records as they come.

    They are those that a ZMQPubHandler publishes: all, or those with a topic that begins with a
    TOPIC. On a terminal, their colours tell their levels.

    \b
    Example:
      agentzero logs tcp://127.0.0.1:6000 --level WARNING
    """
    tell = _tell_as_json if json else _teller()
    with link.open(NAME, zmq.SUB) as sockets:
        for topic in topics or ("",):
            sockets.set_topic(NAME, topic)
        loud = (p for p in _published(sockets, timeout) if p.record.levelno >= level)
        for each in islice(loud, count):
            tell(each)


def _published(sockets: SocketManager, timeout: float) -> Iterator[Published]:
    strange = False
    while True:
        try:
            event = sockets.recv_event(NAME, timeout=timeout)
            yield Published(record_from_event(event), event.data)
        except DeserializationError as error:
            if not strange:
                warn(f"Warning: what is no log record is left out: {one_line(str(error))}")
            strange = True


def _tell_as_json(published: Published) -> None:
    try:
        show(published.data)
    except SerializationError as error:
        warn(f"Warning: a log record is left out: {one_line(str(error))}")


def _teller() -> Callable[[Published], None]:
    """Return what prints a record: in colour on a terminal."""
    if not sys.stdout.isatty():
        return lambda published: click.echo(_text(published.record))
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    return lambda published: console.print(
        Text(_text(published.record), style=_style(published.record.levelno))
    )


def _text(record: PublishedRecord) -> str:
    # Indented, so that no line of a message passes for a record of its own.
    return "\n    ".join(map(one_line, logging.Formatter(FORM).format(record).splitlines()))


def _style(level: int) -> str:
    return next((style for least, style in STYLES.items() if level >= least), "dim")
