"""What the demo shows while it works: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

LOG_LINES = 5

_formatter = logging.Formatter("%(asctime)s %(name)-14s %(message)s", "%H:%M:%S")


class Display(Protocol):
    """Shows how far the steps are, and the newest lines of their logs."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def log(self, record: logging.LogRecord) -> None:
        """Take a log record; not every one is shown."""

    def update(self, done: Mapping[str, int]) -> None:
        """Take the number of jobs done by each step; called as often as one likes."""


class Terminal:
    """A bar for each step, and the newest log lines below."""

    def __init__(self, job_types: list[str], files: int) -> None:
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn()
        )
        self._tasks = {name: self._bars.add_task(name, total=files) for name in job_types}
        self._live = Live(console=Console(), auto_refresh=False, get_renderable=self._render)
        self._next = 0.0

    def __enter__(self) -> Terminal:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lines.clear()
        self._live.stop()

    def log(self, record: logging.LogRecord) -> None:
        self._lines.append(_formatter.format(record))

    def update(self, done: Mapping[str, int]) -> None:
        for name, jobs in done.items():
            self._bars.update(self._tasks[name], completed=jobs)
        if time.monotonic() >= self._next:
            self._live.refresh()
            self._next = time.monotonic() + 0.1

    def _render(self) -> Group:
        log = Text("\n".join(self._lines), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(self._bars, log)


class Plain:
    """A line as soon as the first files are done, and then one each second: for files and pipes."""

    def __init__(self, job_types: list[str], files: int) -> None:
        self._last_step, self._files = job_types[-1], files
        self._line = ""
        self._next = 0.0

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def log(self, record: logging.LogRecord) -> None:
        self._line = _formatter.format(record)

    def update(self, done: Mapping[str, int]) -> None:
        jobs = done[self._last_step]
        if jobs and time.monotonic() >= self._next:
            print(f"{jobs:,} of {self._files:,} files | {self._line}", flush=True)
            self._next = time.monotonic() + 1


def display_for(job_types: list[str], files: int) -> Display:
    """Return the display that suits standard output."""
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Terminal(job_types, files)
    return Plain(job_types, files)
