"""What the demo shows while it works: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from manager import Statistics
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

LOG_LINES = 5

_formatter = logging.Formatter("%(asctime)s %(name)-14s %(message)s", "%H:%M:%S")


class Display(Protocol):
    """Shows how far the steps are, and the newest lines of their logs."""

    def log(self, record: logging.LogRecord) -> None:
        """Take a log record; not every one is shown."""

    def update(self, done: Mapping[str, int]) -> None:
        """Take how many jobs each step has done; may be called as often as one likes."""

    def close(self) -> None:
        """Leave the last state standing."""


class Terminal:
    """A bar for each step, and the newest log lines below."""

    def __init__(self, job_types: Sequence[str], files: int) -> None:
        # In a narrow terminal the names are cut first, and the numbers never.
        numbers = Column(no_wrap=True, min_width=len(f"{files}/{files}"))
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            MofNCompleteColumn(table_column=numbers),
        )
        self._tasks = {name: self._bars.add_task(name, total=files) for name in job_types}
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._next_refresh = 0.0
        self._live = Live(get_renderable=self._render, auto_refresh=False)
        self._live.start()

    def log(self, record: logging.LogRecord) -> None:
        self._lines.append(_formatter.format(record))

    def update(self, done: Mapping[str, int]) -> None:
        for name, jobs in done.items():
            self._bars.update(self._tasks[name], completed=jobs)
        if time.monotonic() >= self._next_refresh:
            self._live.refresh()
            self._next_refresh = time.monotonic() + 0.1

    def close(self) -> None:
        self._lines.clear()
        self._live.stop()

    def _render(self) -> Group:
        lines = Text("\n".join(self._lines), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._bars, lines) if self._lines else Group(self._bars)


class Plain:
    """A line as soon as a file is done, and then one each second: for files and pipes."""

    def __init__(self, job_types: Sequence[str], files: int) -> None:
        self._last_step, self._files = job_types[-1], files
        self._line = ""
        self._next_line = 0.0

    def log(self, record: logging.LogRecord) -> None:
        self._line = _formatter.format(record)

    def update(self, done: Mapping[str, int]) -> None:
        jobs = done[self._last_step]
        if jobs and time.monotonic() >= self._next_line:
            print(f"{jobs:,} of {self._files:,} files  {self._line}", flush=True)
            self._next_line = time.monotonic() + 1

    def close(self) -> None:
        pass


def display_for(job_types: Sequence[str], files: int) -> Display:
    """Return the display that suits standard output."""
    fancy = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return (Terminal if fancy else Plain)(job_types, files)


def show_table(statistics: Mapping[str, Statistics]) -> None:
    """Print what each step did."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Step", no_wrap=True)
    for heading in ("Jobs", "Failures", "Jobs/s"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    for name, done in statistics.items():
        table.add_row(name, f"{done.jobs:,}", f"{done.failures:,}", f"{done.jobs_per_second:,.0f}")
    Console().print(table)
