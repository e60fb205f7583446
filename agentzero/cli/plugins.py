"""`agentzero plugins`: the serializers and backends that there are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from agentzero import backends, serializers
from agentzero.catalogue import Available
from agentzero.cli.output import show, warn
from agentzero.errors import PluginError

__all__ = ["plugins"]


class Row(NamedTuple):
    """What is known of one serializer or backend.

    Attributes:
        kind: "serializer", "backend" or "async backend"; "backend" also where nobody can know.
        name: what it is asked for by.
        origin: the distribution that brings it.
        problem: why it cannot be used, or None where it can.
        ignored: distributions that claim the name in vain.
    """

    kind: str
    name: str
    origin: str
    problem: str | None
    ignored: tuple[str, ...]


@click.command()
@click.option("--json", is_flag=True, help="Print an item of JSON for each.")
def plugins(json: bool) -> None:
    """List serializers and backends.

    It tells who brings each, and whether it can be used, or why not. Each is tried, so that the
    code of plugins runs. What is wrong with one that is broken is told.

    \b
    Example:
      agentzero plugins
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")  # what else their libraries warn of
        warnings.filterwarnings("always", "the plugin ", RuntimeWarning)
        rows = [*_serializers(), *_backends()]
    if json:
        for row in rows:
            show(row._asdict())
    else:
        _show_table(rows)
    for warning in told:
        warn(f"Warning: {warning.message}")


def _serializers() -> Iterator[Row]:
    for name, found in serializers.available().items():
        yield _row("serializer", name, found, _problem(serializers.resolve, name))


def _backends() -> Iterator[Row]:
    for name, found in backends.available().items():
        problem = _problem(backends.resolve, name)
        if problem and not _problem(backends.resolve_async, name):
            yield _row("async backend", name, found, None)
        else:
            yield _row("backend", name, found, problem)


def _row(kind: str, name: str, found: Available, problem: str | None) -> Row:
    return Row(kind, name, found.distribution, found.problem or problem, found.ignored)


def _problem(resolve: Callable[[str], object], name: str) -> str | None:
    try:
        resolve(name)
    except PluginError as error:
        return str(error)
    return None


def _show_table(rows: list[Row]) -> None:
    table = [("KIND", "NAME", "FROM", "STATE"), *((*row[:3], _state(row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for kind, name, origin, state in table:
        words = (kind.ljust(widths[0]), name.ljust(widths[1]), origin.ljust(widths[2]), state)
        click.echo("  ".join(words))


def _state(row: Row) -> str:
    state = "usable" if row.problem is None else f"not usable: {row.problem}"
    claims = f" (the one of {', '.join(row.ignored)} is ignored)" if row.ignored else ""
    return state + claims
