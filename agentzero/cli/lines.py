"""A pipeline in plain lines: for files, pipes and terminals that can do no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import click

from agentzero.cli.output import one_line, warn
from agentzero.cli.rates import Progress, progress
from agentzero.pipeline.wire import LogLine, Overview, StepOverview, WorkerOverview

__all__ = ["Lines", "clock", "log_text", "time_left"]


class Lines:
    """Prints a line for all that an overview tells of, and each log record once."""

    def __init__(self) -> None:
        self._logged: set[LogLine] = set()

    def show(self, overview: Overview, rates: dict[str, float]) -> None:
        """Print an overview."""
        now = clock(overview.time)
        lines = [f"{now} {line}" for line in _lines(overview, rates)]
        click.echo("\n".join([*lines, *self._new(overview.logs)]))

    def _new(self, logs: Iterable[LogLine]) -> Iterator[str]:
        shown, self._logged = self._logged, set(logs)
        return (log_text(line) for line in logs if line not in shown)

    def trouble(self, words: str) -> None:
        """Say why there is no overview."""
        warn(words)

    def close(self) -> None:
        """Nothing is left to do."""


def _lines(overview: Overview, rates: dict[str, float]) -> Iterator[str]:
    if (far := progress(overview, rates)) is not None:
        yield _far(far)
    for step in overview.steps:
        yield _step(step, rates[step.job_type])
    for worker in overview.workers:
        yield _worker(worker)


def _far(far: Progress) -> str:
    return (
        f"{far.ended:,} of {far.total:,} jobs ({far.ended / far.total:.0%}), "
        f"{far.rate:,.1f} jobs/s, {time_left(far)}"
    )


def _step(step: StepOverview, rate: float) -> str:
    return (
        f"step {one_line(step.job_type)}: {step.queued:,} queued, {step.running:,} running, "
        f"{step.dead:,} dead, {step.workers:,} workers, {step.slots:,} slots, {rate:,.1f} jobs/s, "
        f"{step.failed:,} failed, {step.retried:,} retried"
    )


def _worker(worker: WorkerOverview) -> str:
    return (
        f"worker {one_line(worker.worker)}: {one_line(worker.job_type)} at "
        f"{one_line(worker.address)}, {worker.jobs:,} of {worker.slots:,} slots busy, "
        f"silent for {worker.silence:.1f} s"
    )


def clock(timestamp: float) -> str:
    """Return a time, in seconds since the epoch, as a clock on the wall shows it.

    >>> len(clock(0.0))
    8
    """
    return datetime.fromtimestamp(timestamp).strftime("%H:%M:%S")  # noqa: DTZ006 - local time


def time_left(far: Progress) -> str:
    """Return in words how long the rest takes.

    >>> time_left(Progress(ended=1, total=2, rate=0.1, left=10.0))
    '0:00:10 left'
    """
    if far.left is None:
        return "nothing moves" if far.ended < far.total else "all ended"
    return f"{timedelta(seconds=round(far.left))} left"


def log_text(line: LogLine) -> str:
    """Return a log record in one line.

    >>> log_text(LogLine(0.0, 30, "resize", "disk full"))[8:]
    ' resize: disk full'
    """
    return f"{clock(line.created)} {one_line(line.name)}: {one_line(line.message)}"
