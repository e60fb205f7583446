"""Tables that fit a terminal of any width: names stay readable, what is worth least is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "Fitting"]

GAP = 3  # cells between two columns


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: its name.
        worth: where there is no room, columns of the least worth go first.
        least: words may be cut to so many cells; None for numbers, which are never cut.
        cut_front: whether the end of a word tells more than its beginning.
    """

    heading: str
    worth: int
    least: int | None = None
    cut_front: bool = False


@dataclass
class Fitting:
    """A table with as many of these columns as there is room for.

    >>> table = Fitting([Column("Step", 9, least=12), Column("Queued", 1)])
    >>> table.add("a-step-with-a-long-name", "7")
    >>> Console(width=15).print(table)  # doctest: +NORMALIZE_WHITESPACE
    Step
    ───────────────
    a-step-with-a-…
    """

    columns: Sequence[Column]
    _rows: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def add(self, *cells: str, style: str = "") -> None:
        """Add a row."""
        self._rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay it out for the width there is."""
        widths = self._widths(options.max_width)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for number, width in widths.items():
            column = self.columns[number]
            table.add_column(
                column.heading,
                justify="right" if column.least is None else "left",
                width=width,
                no_wrap=True,
                overflow="ellipsis",
            )
        for cells, style in self._rows:
            shown = (_cut(cells[n], width, self.columns[n]) for n, width in widths.items())
            table.add_row(*map(Text, shown), style=style)
        yield table

    def _widths(self, room: int) -> dict[int, int]:
        """Return how wide the columns are that there is room for, by their numbers."""
        needs = dict(enumerate(map(self._need, range(len(self.columns)))))
        widths = {n: min(need, self.columns[n].least or need) for n, need in needs.items()}
        for number in sorted(widths, key=lambda number: self.columns[number].worth)[:-1]:
            if _total(widths) > room:
                del widths[number]
        for number in widths:
            spare = room - _total(widths)
            widths[number] = max(1, min(needs[number], widths[number] + spare))
        return widths

    def _need(self, number: int) -> int:
        return max(map(cell_len, self._column(number)))

    def _column(self, number: int) -> Iterator[str]:
        yield self.columns[number].heading
        yield from (cells[number] for cells, _ in self._rows)


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _cut(cell: str, width: int, column: Column) -> str:
    if not column.cut_front or len(cell) <= width:
        return cell  # a table cuts the end itself
    return "…" + cell[len(cell) - width + 1 :]
