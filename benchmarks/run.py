"""Measure this library beside pyzmq and others; print the figures, and write docs/benchmarks.md.

    python benchmarks/run.py [--rounds 7] [--messages 100000] [--round-trips 4000] [--quick]

`--quick` is for work on these benchmarks: one round of few messages, printed and not written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import jobs
import machine
import msgspec
import page
from aims import (
    BARE_LARGE,
    POLLER,
    claims,
    depth_claims,
    idle_claims,
    job_claims,
    large_claims,
    polling_claims,
    scale_claim,
)
from children import Child, alone, converse
from peers import ASYNCIO, GEVENT, PEERS, THREADS, TRIO, UVLOOP, Peer
from rounds import Rounds, add_round
from side import MESSAGE

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

SHORT = {THREADS: "threads", GEVENT: "gevent", ASYNCIO: "asyncio", UVLOOP: "uvloop", TRIO: "trio"}
POLLED = {
    "ready": "ready, us",
    "waiting": "waiting, processor us",
    "late": "sent while waiting, us",
}
LARGE = [BARE_LARGE, f"{BARE_LARGE}, copying"]
ARRAYS = 10
SIZE = len(msgspec.json.encode(MESSAGE))
WAITING = {"threads": "200 threads", "gevent": "1,000 greenlets"}


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--round-trips", type=int, default=4_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.settle, options.idle = 15.0, 20.0
    options.arrays = find_spec("numpy") is not None
    options.jobs = jobs.QUICK if options.quick else jobs.Plan()
    if options.quick:
        options.rounds, options.messages, options.round_trips = 1, 20_000, 500
        options.settle, options.idle = 1.0, 3.0
    return options


def measure(options: argparse.Namespace, peers: list[Peer], backends: list[str]) -> list[Rounds]:
    """Measure whatever goes in rounds: the peers, waiting for any, many sockets, large arrays."""
    of_peers, of_polling, of_scale, of_large = Rounds(), Rounds(), Rounds(), Rounds()
    for round_number in range(options.rounds):
        turn = -1 if round_number % 2 else 1
        add_round(of_peers, peers[::turn], options.messages, options.round_trips)
        for subject in [POLLER, *backends][::turn]:
            for figure, value in alone("polling.py", subject).items():
                of_polling.add(subject, POLLED[figure], value)
        for figure, value in alone("scale.py").items():
            of_scale.add("scale", figure, value)
        for subject in [*LARGE, *backends][::turn] if options.arrays else ():
            replier, requester = (("large.py", subject, role) for role in ("reply", "request"))
            of_large.add(subject, "MB/s", converse(replier, requester, ARRAYS)[1]["rate"])
        print(f"round {round_number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return [of_peers, of_polling, of_scale, of_large]


def idle_shares(backends: list[str], settle: float, seconds: float) -> dict[str, float]:
    """Return what share of a processor idle tasks take, in per cent; all backends at once."""
    children = {name: Child("idle.py", name, str(settle), str(seconds)) for name in backends}
    try:
        return {
            WAITING.get(name, f"1,000 tasks of {name}"): child.measured()["share"]
            for name, child in children.items()
        }
    finally:
        for child in children.values():
            child.kill()


def sections(options: argparse.Namespace) -> Iterator[str]:
    """Measure, and return the page in its parts."""
    description = machine.description()
    missing = {peer.name: reason for peer in PEERS if (reason := peer.missing())}
    peers = [peer for peer in PEERS if peer.name not in missing]
    backends = [SHORT[peer] for peer in peers if peer in SHORT]
    yield page.HEAD
    yield page.described(description)
    measured = measure(options, peers, backends)
    of_peers, of_polling, of_scale, of_large = (rounds.medians() for rounds in measured)
    yield page.measured({peer.name: of_peers[peer.name] for peer in peers})
    yield page.stalled(measured[0].stalled)
    yield page.left_out(missing)
    yield "## Aims\n"
    yield page.judged(claims(of_peers))
    yield page.POLLING
    polled = {subject: of_polling[subject] for subject in (POLLER, *backends)}
    yield page.measured(polled)
    yield page.judged(polling_claims(polled))
    yield page.IDLE.format(seconds=options.idle)
    yield page.judged(idle_claims(idle_shares(backends, options.settle, options.idle)), "measured")
    yield page.SCALE
    yield page.judged([scale_claim(**of_scale["scale"])])
    if of_large:
        of_large = {subject: of_large[subject] for subject in (*LARGE, *backends)}
        yield page.LARGE.format(arrays=ARRAYS)
        yield page.measured(of_large)
        yield page.judged(large_claims(of_large))
    yield from of_jobs(options.jobs)
    yield page.METHOD.format(
        size=SIZE,
        messages=options.messages,
        trips=options.round_trips,
        rounds=options.rounds,
        job_rounds=options.jobs.rounds,
    )


def of_jobs(plan: jobs.Plan) -> Iterator[str]:
    """Measure job queues, and return what the page has on them."""
    missing = {queue.peer.name: reason for queue in jobs.QUEUES if (reason := queue.missing())}
    queues = [queue for queue in jobs.QUEUES if queue.peer.name not in missing]
    slower = [queue for queue in queues if queue.slower > 1]
    yield page.JOBS.format(
        size=SIZE,
        slots=jobs.SLOTS,
        fewer=", ".join(f"{each.peer.name}: {each.share(plan.jobs):,}" for each in slower),
        sync=jobs.sync_seconds() * 1e6,
        **plan._asdict(),
    )
    yield page.left_out(missing)
    if jobs.PIPELINE.name in missing:
        return
    measured = jobs.measure(plan, queues)
    of_queues, of_depths = (rounds.medians() for rounds in measured)
    of_queues = {queue.peer.name: of_queues[queue.peer.name] for queue in queues}
    yield page.measured(of_queues)
    yield page.stalled(measured[0].stalled + measured[1].stalled)
    yield page.judged(job_claims(of_queues), "measured")
    yield page.DEPTHS.format(last=jobs.LAST, first=jobs.FIRST)
    yield page.measured({depth: of_depths[depth] for depth in map(jobs.queued, plan.depths)})
    yield page.judged(depth_claims(of_depths))


def main() -> None:
    """Measure, print and write."""
    options = arguments()
    parts = []
    for part in filter(None, sections(options)):
        print(part, flush=True)
        parts.append(part)
    if not options.quick:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
