"""Tables on terminals of any width."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console

from agentzero.cli.tables import Column, Fitting

COLUMNS = (
    Column("Worker", 9, least=9, cut_front=True),
    Column("Step", 8, least=12),
    Column("Queued", 7),
    Column("Slots", 1),
)


def lines(width: int, *rows: tuple[str, ...]) -> list[str]:
    """What a table shows."""
    table = Fitting(COLUMNS)
    for row in rows:
        table.add(*row)
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


ROW = ("host-1234-abcdef", "a-step-of-many-words", "1,234,567", "4")


@pytest.mark.parametrize(
    ("width", "headings", "cells"),
    [
        (100, ["Worker", "Step", "Queued", "Slots"], list(ROW)),
        (
            44,
            ["Worker", "Step", "Queued", "Slots"],
            ["…4-abcdef", "a-step-of-m…", "1,234,567", "4"],
        ),
        (36, ["Worker", "Step", "Queued"], ["…4-abcdef", "a-step-of-m…", "1,234,567"]),
        (25, ["Worker", "Step"], ["…34-abcdef", "a-step-of-m…"]),
        (12, ["Worker"], ["…1234-abcdef"]),
        (5, ["Work…"], ["…cdef"]),
    ],
)
def test_what_is_worth_least_is_left_out(width: int, headings: list[str], cells: list[str]) -> None:
    first, _, row = lines(width, ROW)
    assert (first.split(), row.split()) == (headings, cells)


@pytest.mark.parametrize("width", range(1, 80))
def test_it_is_never_wider_than_the_terminal(width: int) -> None:
    assert all(
        cell_len(line) <= width for line in lines(width, ROW, ("東京" * 9, "歩" * 9, "1", "2"))
    )


def test_a_table_may_be_empty() -> None:
    assert lines(80)[0].split() == ["Worker", "Step", "Queued", "Slots"]
