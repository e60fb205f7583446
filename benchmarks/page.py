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
  rounds, and ratios of medians. The idle tasks are measured once.
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
