"""The figures as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aims import Claim
from rounds import Medians

HEAD = """\
# Benchmarks

Made by `make bench`, which overwrites it.
[How to run it, and where the time goes](../benchmarks/README.md).
"""

METHOD = """\
## Method

- Each side is a process of its own. They talk over tcp on loopback: a dict of {size} bytes, as JSON
  that msgspec writes and reads, in all peers. {messages:,} messages or {trips:,} round trips are
  measured, after a warm-up of a tenth of that.
- Where a peer receives or sends, its partner is bare pyzmq, the same for all: nobody is held back
  by a slow partner of its own, and nobody can be much faster than that partner. pynng speaks nng's
  protocols, so that both sides are pynng. In a round trip (REQ and REP) both sides are the same
  library.
- The loops are plain `for` loops as users write them, of the same shape in all peers. Processor
  time is that of all threads of the measured process, its I/O thread included.
- A round measures every peer once, every other round in reverse. Shown are medians over {rounds}
  rounds, and ratios of medians; of jobs over {job_rounds}. The idle tasks are measured once.
"""

POLLING = """\
## Waiting for any of 1,000 sockets

`engage` beside zmq.Poller, each over 1,000 sockets (PULL, inproc). Ready: 5 of them have a message;
the time to wait, and to receive all 5. Waiting: there is none, and 30 ms later another thread sends
one; the processor time of the thread that waits, and the time from sending until it is received.
"""

IDLE = """\
## Waiting for nothing

Tasks that each wait in `recv` on a socket of their own, for {seconds:g} s after they have settled.
"""

SCALE = """\
## Many sockets

On the threads backend, inproc, with 1,000 other sockets registered.
"""

LARGE = """\
## Large arrays

A numpy array of 100 MB goes over tcp on loopback to another process, which looks at both its ends
and answers; nothing is copied but where it says so. The median of {arrays} arrays.
"""

JOBS = """\
## Jobs

Trivial jobs, a dict of {size} bytes in and a small one out, through a pipeline of one step, and
through dramatiq and rq with a Redis server on this machine. Each has one process of workers: here
with {slots} slots, dramatiq's with its default of 8 threads, rq's as its default Worker, which
forks for each job, or as its SimpleWorker, which does not.

{jobs:,} jobs ({fewer}) are submitted, each
queue in its quickest way, and worked off meanwhile. Per core means for each second of processor
time of all processes: who submits, the pipeline or Redis, and the worker. Idle: one job is
submitted and its result waited for while there is no other, {trips:,} times.

What a power failure takes: here nothing that was answered. A job is in an SQLite file (WAL,
synchronous=FULL) before its id is answered, and so is its result before anybody sees it. To bring
4 KiB to the disk takes {sync:,.0f} us here. dramatiq and rq have Redis as it is by default, also on
Debian: it writes a snapshot once 10,000 keys have changed in a minute, 100 in 5 minutes or 1 in an
hour, and no log; what came after the last snapshot is lost. This library and rq keep each result.
dramatiq by default keeps none, and does here only where it is waited for.
"""

DEPTHS = """\
## Long queues

What a job costs the process of the pipeline while so many are queued: the last {last:,} of them (or
half) when they are submitted, and the first {first:,} when a worker as above works them off.
"""


def stalled(times: Mapping[str, int]) -> str:
    """Return a word on who did not come to an end, and how often; nothing where all did."""
    said = (f"{name} {number} x" for name, number in times.items())
    return f"Stalled, and measured anew: {', '.join(said)}.\n" if times else ""


def number(value: float) -> str:
    """Return a number with as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are set to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def measured(medians: Medians, what: str = "") -> str:
    """Return a row for each who was measured, a column for each figure."""
    figures = list(next(iter(medians.values())))
    return table(
        [what, *figures],
        ([who, *(number(by_figure[figure]) for figure in figures)]
         for who, by_figure in medians.items()),
    )  # fmt: skip


def judged(claims: Iterable[Claim], value: str = "ratio") -> str:
    """Return a row for each claim, with whether it is reached."""
    return table(
        ["", value, "aim", ""],
        ([claim.what, f"{claim.value:.2f}", f"{claim.sign} {claim.bound:g}", claim.verdict]
         for claim in claims),
    )  # fmt: skip


def described(description: Mapping[str, str]) -> str:
    """Return what it was measured on, as a list."""
    return "".join(f"- {what}: {text}\n" for what, text in description.items())


def left_out(reasons: Mapping[str, str]) -> str:
    """Return who was not measured, and why."""
    return "".join(f"Left out: {who} ({reason}).\n" for who, reason in reasons.items())
