"""What the commands that keep running say: log records, on standard error."""

from __future__ import annotations

import logging
from typing import Final

import click

__all__ = ["log", "verbose_option"]

FORM = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

verbose_option: Final = click.option(
    "-v", "--verbose", is_flag=True, help="Say more about what happens."
)


def log(verbose: bool) -> None:
    """Write log records to standard error: from INFO, or from DEBUG."""
    logging.basicConfig(format=FORM, level=logging.DEBUG if verbose else logging.INFO)
