"""What this library is meant to reach, and whether it does: computed from the medians."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jobs import IDLE, PER_CORE, PIPELINE, SUBMIT, WORK_OFF
from peers import (
    AIOZMQ,
    ASYNCIO,
    BARE,
    GEVENT,
    GREEN,
    PYNNG,
    THREADS,
    TRIO,
    UVLOOP,
    ZMQ_ASYNCIO,
    ZMQ_UVLOOP,
    Peer,
)
from rounds import P50, RECEIVE, SEND, Medians

HOLDS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}

POLLER = "zmq.Poller"
BARE_LARGE = "pyzmq"

# backend, figure, what it is measured by, bound of the ratio
BY_FLAVOUR = (
    (THREADS, RECEIVE, BARE, ">=", 0.95),
    (THREADS, SEND, BARE, ">=", 0.95),
    (THREADS, P50, BARE, "<=", 1.1),
    (GEVENT, RECEIVE, GREEN, ">=", 3.5),
    (GEVENT, SEND, GREEN, ">", 1.0),
    (GEVENT, P50, GREEN, "<=", 1.0),
    (ASYNCIO, RECEIVE, ZMQ_ASYNCIO, ">=", 5.0),
    (ASYNCIO, SEND, ZMQ_ASYNCIO, ">", 1.0),
    (ASYNCIO, P50, ZMQ_ASYNCIO, "<=", 1.0),
    (UVLOOP, RECEIVE, ZMQ_UVLOOP, ">=", 5.0),
    (UVLOOP, SEND, ZMQ_UVLOOP, ">", 1.0),
    (UVLOOP, P50, ZMQ_UVLOOP, "<=", 1.0),
)
OTHER_LIBRARIES = (AIOZMQ, PYNNG)
BACKENDS = (THREADS, GEVENT, ASYNCIO, UVLOOP, TRIO)
AHEAD = ((RECEIVE, ">", max), (SEND, ">", max), (P50, "<", min))

POLLING_AIM = ("<=", 1.0)  # of zmq.Poller's time
IDLE_AIM = ("<", 1.0)  # per cent of a processor
LARGE_AIM = (">=", 0.9)  # of bare pyzmq's rate
SCALE_AIM = ("<=", 1.1)  # of the time with no other sockets
QUEUES_AIM = (">", 1.0)  # of the jobs of another queue
JOB_AIM = ("<", 5.0)  # ms
DEPTHS_AIM = ("<=", 1.25)  # of the least, from the shortest queue to the longest


class Claim(NamedTuple):
    """Something to reach, and what was reached."""

    what: str
    value: float
    sign: str
    bound: float

    @property
    def verdict(self) -> str:
        """Whether it is reached."""
        return "reached" if HOLDS[self.sign](self.value, self.bound) else "not reached"


def claims(medians: Medians) -> Iterator[Claim]:
    """Compare each backend to its flavour of pyzmq, then to other libraries, as far as measured."""
    for backend, figure, flavour, sign, bound in BY_FLAVOUR:
        if backend.name in medians and flavour.name in medians:
            yield _claim(medians, backend, figure, flavour, sign, bound)
    others = [other for other in OTHER_LIBRARIES if other.name in medians]
    for backend in BACKENDS:
        for figure, sign, best_of in AHEAD:
            if backend.name in medians and others:
                best = best_of(others, key=lambda other: medians[other.name][figure])
                yield _claim(medians, backend, figure, best, sign, 1.0)


def _claim(
    medians: Medians, backend: Peer, figure: str, base: Peer, sign: str, bound: float
) -> Claim:
    ratio = medians[backend.name][figure] / medians[base.name][figure]
    return Claim(f"{backend.name}: {figure.split(',')[0]}, to {base.name}", ratio, sign, bound)


def polling_claims(medians: Medians) -> Iterator[Claim]:
    """Compare `engage` to zmq.Poller."""
    for subject, by_figure in medians.items():
        for figure, value in by_figure.items():
            if subject != POLLER:
                ratio = value / medians[POLLER][figure]
                yield Claim(f"{subject}: {figure.split(',')[0]}, to {POLLER}", ratio, *POLLING_AIM)


def idle_claims(shares: Mapping[str, float]) -> Iterator[Claim]:
    """Judge what waiting costs, by who waits."""
    for subject, share in shares.items():
        yield Claim(f"{subject}, % of a processor", share, *IDLE_AIM)


def scale_claim(alone: float, among: float) -> Claim:
    """Judge what other sockets cost."""
    what = f"one send and one receive: {among:.2f} us, to {alone:.2f} us with no other socket"
    return Claim(what, among / alone, *SCALE_AIM)


def large_claims(medians: Medians) -> Iterator[Claim]:
    """Compare how fast large arrays cross to bare pyzmq, where nothing is copied either."""
    bare = medians[BARE_LARGE]["MB/s"]
    for subject, by_figure in medians.items():
        if not subject.startswith(BARE_LARGE):
            yield Claim(f"{subject}, to {BARE_LARGE}", by_figure["MB/s"] / bare, *LARGE_AIM)


def job_claims(medians: Medians) -> Iterator[Claim]:
    """Compare the pipeline to other job queues, and judge how long one job takes."""
    ours = medians[PIPELINE.name]
    for other, by_figure in medians.items():
        if other != PIPELINE.name:
            ratio = ours[PER_CORE] / by_figure[PER_CORE]
            yield Claim(f"{PER_CORE}, to {other}", ratio, *QUEUES_AIM)
    yield Claim(IDLE, ours[IDLE], *JOB_AIM)


def depth_claims(medians: Medians) -> Iterator[Claim]:
    """Compare the largest cost of a job to the smallest, over queues of all lengths."""
    for figure in (SUBMIT, WORK_OFF):
        costs = [by_figure[figure] for by_figure in medians.values()]
        yield Claim(f"{figure}, largest to smallest", max(costs) / min(costs), *DEPTHS_AIM)
