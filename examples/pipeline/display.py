"""What the demo shows while it works: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from agentzero.pipeline.wire import LogLine, Overview

LOG_LINES = 5


def passed(overview: Overview) -> dict[str, int]:
    """Return how many jobs each step is through with, by the journal."""
    jobs, beyond = {}, overview.done
    for step in reversed(overview.steps):
        beyond += step.dead
        jobs[step.job_type] = beyond
        beyond += step.queued + step.running
    return dict(reversed(jobs.items()))


def ended(overview: Overview) -> int:
    """Return how many jobs have ended, well or badly."""
    return overview.done + overview.cancelled + sum(step.dead for step in overview.steps)


class Display(Protocol):
    """Shows how far the steps are, and what they logged last."""

    def update(self, overview: Overview) -> None:
        """Take what the pipeline is doing; may be called as often as one likes."""

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
        self._logs: list[LogLine] = []
        self._live = Live(get_renderable=self._render, auto_refresh=False)
        self._live.start()

    def update(self, overview: Overview) -> None:
        for name, jobs in passed(overview).items():
            self._bars.update(self._tasks[name], completed=jobs)
        self._logs = overview.logs[-LOG_LINES:]
        self._live.refresh()

    def close(self) -> None:
        self._logs = []
        self._live.stop()

    def _render(self) -> Group:
        lines = "\n".join(map(_text, self._logs))
        shown = Text(lines, style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._bars, shown) if lines else Group(self._bars)


class Plain:
    """A line as soon as a file is done, and then one each second: for files and pipes."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._next_line = 0.0

    def update(self, overview: Overview) -> None:
        if overview.done and time.monotonic() >= self._next_line:
            newest = "".join(map(_text, overview.logs[-1:]))
            print(f"{overview.done:,} of {self._files:,} files  {newest}".rstrip(), flush=True)
            self._next_line = time.monotonic() + 1

    def close(self) -> None:
        pass


def _text(line: LogLine) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(line.created))
    return f"{clock} {line.name:14} {line.message}"


def display_for(job_types: Sequence[str], files: int) -> Display:
    """Return the display that suits standard output."""
    fancy = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return Terminal(job_types, files) if fancy else Plain(files)


def show_table(overview: Overview) -> None:
    """Print what each step did; its speed is that since the pipeline was started last."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Step", no_wrap=True)
    for heading in ("Jobs", "Failures", "Jobs/s"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    jobs, seconds = passed(overview), overview.time - overview.started
    for step in overview.steps:
        speed = step.done / seconds
        table.add_row(step.job_type, f"{jobs[step.job_type]:,}", f"{step.dead:,}", f"{speed:,.0f}")
    Console().print(table)
