"""Data on standard output: JSON, for reading on a terminal, in one line for programs."""

from __future__ import annotations

import sys
from typing import Any

import click

from agentzero.serializers import JSON

__all__ = ["show", "warn"]


def show(item: Any) -> None:
    """Write an item of data."""
    packed = JSON().pack(item)
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print_json(packed.decode())
    else:
        click.echo(packed)


def warn(words: object) -> None:
    """Say something that is no data."""
    click.echo(words, err=True)
