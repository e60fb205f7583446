"""A pipeline on a terminal: tables, a bar, and the newest log records."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agentzero.cli.lines import clock, log_text, time_left
from agentzero.cli.output import one_line
from agentzero.cli.rates import Progress, progress
from agentzero.cli.tables import Column, Fitting
from agentzero.pipeline.wire import LogLine, Overview, StepOverview, WorkerOverview

__all__ = ["Page", "Screen"]

WORKERS = 12  # workers that are shown
LOGS = 8  # log records that are shown

NAME = 12  # cells that a name keeps on a narrow terminal
WORKER = 16  # and a worker's, of which the end tells it from the others
ADDRESS = 21

STEP_COLUMNS = (
    Column("Step", 9, least=NAME),
    Column("Queued", 8),
    Column("Running", 6),
    Column("Dead", 7),
    Column("Workers", 3),
    Column("Slots", 1),
    Column("Jobs/s", 5),
    Column("Done", 4),
    Column("Failed", 2),
    Column("Retried", 0),
)
WORKER_COLUMNS = (
    Column("Worker", 9, least=WORKER, cut_front=True),
    Column("Step", 7, least=NAME),
    Column("Address", 1, least=ADDRESS),
    Column("Jobs", 6),
    Column("Slots", 5),
    Column("Silent", 8),
)


class Page:
    """Prints one overview."""

    def show(self, overview: Overview, rates: dict[str, float]) -> None:
        """Print it."""
        Console().print(_page(overview, rates))

    def trouble(self, words: str) -> None:
        """Nothing: who looks once, hears of trouble otherwise."""

    def close(self) -> None:
        """Nothing is left to do."""


class Screen:
    """The newest overview on the whole terminal, which it gives back in the end."""

    def __init__(self) -> None:
        self._page: RenderableType = ""
        self._live = Live(screen=True, auto_refresh=False)
        self._live.start()

    def show(self, overview: Overview, rates: dict[str, float]) -> None:
        """Show another one."""
        self._page = _page(overview, rates)
        self._live.update(self._page, refresh=True)

    def trouble(self, words: str) -> None:
        """Say why there is no other."""
        notice = Text(words, style="bold red")
        self._live.update(Group(notice, Text(), self._page), refresh=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


def _page(overview: Overview, rates: dict[str, float]) -> Group:
    parts: list[RenderableType] = [_title(overview), Text(), _steps(overview.steps, rates)]
    if (far := progress(overview, rates)) is not None:
        parts += [Text(), _bar(far)]
    parts += [Text(), *_workers(overview.workers), Text(), *_logs(overview.logs)]
    return Group(*parts)


def _title(overview: Overview) -> Text:
    words = f"{one_line(overview.pipeline)}  {clock(overview.time)}  "
    since = f"up since {clock(overview.started)}, {overview.done:,} jobs done"
    return Text.assemble((words, "bold"), (since, "dim"), overflow="ellipsis", no_wrap=True)


def _steps(steps: Iterable[StepOverview], rates: dict[str, float]) -> Fitting:
    table = Fitting(STEP_COLUMNS)
    for step in steps:
        numbers = (step.queued, step.running, step.dead, step.workers, step.slots)
        counts = (step.done, step.failed, step.retried)
        table.add(
            one_line(step.job_type),
            *(f"{number:,}" for number in numbers),
            f"{rates[step.job_type]:,.1f}",
            *(f"{count:,}" for count in counts),
            style="red" if step.dead else "",
        )
    return table


def _bar(far: Progress) -> Table:
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=far.total, completed=far.ended, width=30),
        f"{far.ended:,} of {far.total:,} jobs  {far.rate:,.1f} jobs/s  {time_left(far)}",
    )
    return bar


def _workers(workers: Sequence[WorkerOverview]) -> Iterator[RenderableType]:
    # Whoever has been silent for long is what one looks for.
    shown = sorted(workers, key=lambda worker: -worker.silence)[:WORKERS]
    table = Fitting(WORKER_COLUMNS)
    for worker in shown:
        table.add(
            *map(one_line, (worker.worker, worker.job_type, worker.address)),
            f"{worker.jobs:,}",
            f"{worker.slots:,}",
            f"{worker.silence:.1f} s",
        )
    yield table
    if len(workers) > len(shown):
        yield Text(f"and {len(workers) - len(shown):,} more workers", style="dim")


def _logs(logs: Sequence[LogLine]) -> Iterator[Text]:
    for line in logs[-LOGS:]:
        style = "bold red" if line.level >= logging.ERROR else "dim"
        yield Text(log_text(line), style=style, no_wrap=True, overflow="ellipsis")
