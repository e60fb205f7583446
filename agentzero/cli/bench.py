"""`agentzero bench`: measure how fast messages go."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from statistics import quantiles
from typing import NamedTuple

import click
import msgspec

from agentzero import backends
from agentzero.cli.options import (
    completing,
    number_option,
    serializer_of,
    serializer_option,
    timeout_option,
)
from agentzero.cli.output import meanwhile_said, warn
from agentzero.cli.traffic import PATTERNS, RAW, Measured, Plan, measure
from agentzero.errors import PluginError

__all__ = ["bench"]

LINE = "{:<9} {:>10} {:>8} {:>12} {:>10} {:>9} {:>9} {:>9}"
HEADINGS = ("pattern", "msgs", "size", "msgs/s", "MB/s", "p50 us", "p99 us", "max us")

LARGEST = 1 << 30  # both processes hold several messages of that size


class Row(NamedTuple):
    """What is told of one measurement; latencies are in microseconds."""

    pattern: str
    backend: str
    serializer: str
    msgs: int
    size: int
    seconds: float
    msgs_per_second: float
    mb_per_second: float
    p50_us: float | None = None
    p99_us: float | None = None
    max_us: float | None = None


@click.command()
@click.option(
    "--pattern",
    "patterns",
    type=click.Choice([*PATTERNS]),
    multiple=True,
    default=[*PATTERNS],
    help="What to measure; repeat it for more. Without it, all are.",
)
@number_option("--msgs", "How many messages.", 20_000)
@number_option(
    "--size", "How many characters each holds, or bytes with --raw.", 128, least=0, most=LARGEST
)
@click.option(
    "--backend",
    metavar="NAME",
    shell_complete=completing(backends.available),
    envvar="AGENTZERO_BACKEND",
    show_envvar=True,
    default="threads",
    show_default=True,
    help="How to wait: threads, gevent, asyncio, or one of a plugin.",
)
@serializer_option
@click.option("--raw", is_flag=True, help="Send bytes, without a serializer.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@timeout_option("How long any one message may take.", default=10.0)
def bench(
    patterns: tuple[str, ...],
    msgs: int,
    size: int,
    backend: str,
    serializer: str,
    raw: bool,
    as_csv: bool,
    timeout: float,
) -> None:
    """Measure how fast messages go.

    Two processes send them through the loopback of this machine: push-pull and pub-sub as fast as
    they can, and req-rep one after the other, which tells how long an answer takes.

    \b
    Example:
      agentzero bench --msgs 2000 --size 1000 --serializer msgpack
    """
    _check(backend, serializer)
    codec = RAW if raw else serializer
    warn(f"{backend}, {codec}: two processes on this machine, over tcp")
    click.echo(_csv_line(Row._fields) if as_csv else LINE.format(*HEADINGS))
    for pattern in patterns:
        plan = Plan(pattern, msgs, size, backend, codec)
        with meanwhile_said(f"measuring {pattern} ..."):
            row = _row(plan, _measured(plan, timeout))
        click.echo(_csv_line(row) if as_csv else _text(row))


def _check(backend: str, serializer: str) -> None:
    serializer_of(serializer)
    try:
        if backend != "asyncio":
            backends.resolve(backend)
    except PluginError as error:
        raise click.UsageError(str(error)) from error


def _measured(plan: Plan, timeout: float) -> Measured:
    with ExitStack() as stack:

        def start(address: str) -> None:
            words = [msgspec.json.encode(plan).decode(), address]
            command = [sys.executable, "-m", "agentzero.cli.traffic", *words]
            # Its group is its own, or Ctrl-C would reach it as well.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
            stack.enter_context(process)
            stack.callback(process.kill)

        return measure(plan, start, timeout)


def _row(plan: Plan, measured: Measured) -> Row:
    rate = plan.messages / measured.seconds
    latencies = [seconds * 1e6 for seconds in measured.latencies]
    cuts = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    return Row(
        plan.pattern,
        plan.backend,
        plan.serializer,
        plan.messages,
        plan.size,
        measured.seconds,
        rate,
        rate * plan.size / 1e6,
        *((cuts[49], cuts[98], max(latencies)) if latencies else ()),
    )


def _text(row: Row) -> str:
    latencies = ("" if us is None else f"{us:,.0f}" for us in (row.p50_us, row.p99_us, row.max_us))
    rates = (f"{row.msgs_per_second:,.0f}", f"{row.mb_per_second:,.2f}")
    return LINE.format(row.pattern, f"{row.msgs:,}", f"{row.size:,}", *rates, *latencies).rstrip()


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
