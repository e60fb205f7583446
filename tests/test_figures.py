"""What pages say of speed, in words, is what docs/benchmarks.md says in figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.processes import ROOT

Figures = dict[str, dict[str, float]]  # row -> heading of the column -> figure


class Claim(NamedTuple):
    """A sentence of a page, and whether the figures bear it out."""

    page: str
    words: str
    holds: Callable[[Figures], bool]


def figures() -> Figures:
    """All figures of all tables, ratios included."""
    rows: Figures = {}
    for table in re.findall(r"(?:^\|.*\n)+", _read("benchmarks"), re.MULTILINE):
        heading, _, *lines = (
            [cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()
        )
        for name, *cells in lines:
            for column, cell in zip(heading[1:], cells, strict=True):
                if re.fullmatch(r"[\d.,]+", cell):
                    rows.setdefault(name, {})[column] = float(cell.replace(",", ""))
    return rows


def _read(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


RECEIVED, SENT, ANSWERED = "receive, msg/s", "send, msg/s", "request/reply p50, us"
BACKENDS = [f"agentzero, {name}" for name in ("threads", "gevent", "asyncio", "uvloop", "trio")]
THREADS, GEVENT, ASYNCIO, *_ = BACKENDS
FLAVOURS = {
    THREADS: "bare pyzmq",
    GEVENT: "zmq.green",
    ASYNCIO: "zmq.asyncio",
    "agentzero, uvloop": "zmq.asyncio, uvloop",
}
WAITERS = [name.removeprefix("agentzero, ") for name in BACKENDS]
READY, LARGE, PER_SECOND = "ready, us", "MB/s", "jobs/s"


def ratio(figures: Figures, one: str, other: str, column: str) -> float:
    return figures[one][column] / figures[other][column]


def spread(figures: Figures, column: str) -> float:
    rates = [figures[name][column] for name in BACKENDS]
    return max(rates) / min(rates)


def idle(figures: Figures) -> list[float]:
    return [row["measured"] for name, row in figures.items() if name.endswith("% of a processor")]


CLAIMS = [
    Claim(
        "performance",
        "moves more than half as many messages a second as bare pyzmq does, in each direction",
        lambda f: min(ratio(f, THREADS, "bare pyzmq", way) for way in (RECEIVED, SENT)) > 0.5,
    ),
    Claim(
        "performance",
        "With gevent it receives more than twice as many as zmq.green",
        lambda f: ratio(f, GEVENT, "zmq.green", RECEIVED) > 2,
    ),
    Claim(
        "performance",
        "with asyncio more than four times as many as zmq.asyncio",
        lambda f: ratio(f, ASYNCIO, "zmq.asyncio", RECEIVED) > 4,
    ),
    Claim(
        "performance",
        "A round trip takes at most half as long again as with the same flavour of pyzmq",
        lambda f: max(ratio(f, one, other, ANSWERED) for one, other in FLAVOURS.items()) <= 1.5,
    ),
    Claim(
        "performance",
        "the fastest backend moves less than one and a half times as much as the slowest",
        lambda f: max(spread(f, RECEIVED), spread(f, SENT)) < 1.5,
    ),
    Claim(
        "performance",
        "in less than a fifth of the time that zmq.Poller takes",
        lambda f: max(ratio(f, name, "zmq.Poller", READY) for name in WAITERS) < 0.2,
    ),
    Claim(
        "performance",
        "1,000 tasks that wait take less than a hundredth of a processor",
        lambda f: len(idle(f)) == 5 and max(idle(f)) < 1,
    ),
    Claim(
        "performance",
        "A verb takes the same time with 1,000 other sockets as with none",
        lambda f: (
            [r["ratio"] <= 1.1 for n, r in f.items() if n.startswith("one send and")] == [True]
        ),
    ),
    Claim(
        "performance",
        "about as fast as with pyzmq without a copy",
        lambda f: min(ratio(f, name, "pyzmq", LARGE) for name in WAITERS) > 0.9,
    ),
    Claim(
        "performance",
        "more than twice as fast as with copies",
        lambda f: min(ratio(f, name, "pyzmq, copying", LARGE) for name in WAITERS) > 2,
    ),
    Claim(
        "performance",
        "The pipeline does more than a thousand jobs a second",
        lambda f: f["agentzero"][PER_SECOND] > 1000,
    ),
    Claim(
        "performance",
        "an idle one does a job in less than ten milliseconds",
        lambda f: f["agentzero"]["idle p50, ms"] < 10,
    ),
    Claim(
        "performance",
        "A queue of 200,000 jobs makes none of them dearer",
        lambda f: all(r["ratio"] < 1.25 for n, r in f.items() if n.endswith("largest to smallest")),
    ),
    Claim(
        "performance",
        "uvloop answers a question sooner",
        lambda f: ratio(f, "agentzero, uvloop", ASYNCIO, ANSWERED) < 1,
    ),
    Claim(
        "comparison",
        "Bare pyzmq receives and sends more than AgentZero does, and answers a question sooner",
        lambda f: all(
            ratio(f, "bare pyzmq", name, RECEIVED) > 1
            and ratio(f, "bare pyzmq", name, SENT) > 1
            and ratio(f, "bare pyzmq", name, ANSWERED) < 1
            for name in BACKENDS
        ),
    ),
    Claim(
        "comparison",
        "`zmq.green` receives less than half as many messages a second as AgentZero with gevent",
        lambda f: ratio(f, "zmq.green", GEVENT, RECEIVED) < 0.5,
    ),
    Claim(
        "comparison",
        "`zmq.asyncio` and aiozmq receive less than a third of what AgentZero with asyncio does",
        lambda f: (
            max(ratio(f, name, ASYNCIO, RECEIVED) for name in ("zmq.asyncio", "aiozmq")) < 1 / 3
        ),
    ),
    Claim(
        "comparison",
        "aiozmq sends more than half as much, and answers a question sooner",
        lambda f: (
            ratio(f, "aiozmq", ASYNCIO, SENT) > 0.5 and ratio(f, "aiozmq", ASYNCIO, ANSWERED) < 1
        ),
    ),
    Claim(
        "comparison",
        "pynng receives less than a quarter of what AgentZero does with threads",
        lambda f: ratio(f, "pynng", THREADS, RECEIVED) < 0.25,
    ),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.words)
def test_what_is_said_in_words_is_so_in_figures(claim: Claim) -> None:
    assert claim.words in " ".join(_read(claim.page).split())
    assert claim.holds(figures())
