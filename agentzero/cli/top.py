"""`agentzero pipeline top`: watch a pipeline."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

import click

from agentzero.cli.asking import asks
from agentzero.cli.lines import Lines
from agentzero.cli.options import seconds_option
from agentzero.cli.rates import Rates
from agentzero.errors import SocketTimeout
from agentzero.pipeline import Client

if TYPE_CHECKING:
    from agentzero.pipeline.wire import Overview

__all__ = ["top"]


class View(Protocol):
    """Shows overviews, one after the other."""

    def show(self, overview: Overview, rates: dict[str, float]) -> None:
        """Show the newest, and how many jobs per second each step does."""

    def trouble(self, words: str) -> None:
        """Say why there is none."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@click.command()
@click.option("--once", is_flag=True, help="Print it once.")
@seconds_option("--interval", "How often to look.", 1.0, least=0.1, most=86_400)
@asks
def top(client: Client, once: bool, interval: float) -> None:
    """Watch a pipeline.

    It shows steps and workers in numbers, and what the steps logged last. On a terminal it is a
    live view, which Ctrl-C ends; elsewhere it is lines, again and again. A pipeline that goes away
    meanwhile is waited for.

    \b
    Example:
      agentzero pipeline top --once
    """
    overview, rates = client.overview(), Rates()
    view = _view(once)
    try:
        view.show(overview, rates.update(overview))
        while not once:
            time.sleep(interval)
            try:
                overview = client.overview()
            except SocketTimeout as error:
                view.trouble(str(error))
            else:
                view.show(overview, rates.update(overview))
    finally:
        view.close()


def _view(once: bool) -> View:
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return Lines()
    from agentzero.cli.screen import Page, Screen

    return Page() if once else Screen()
