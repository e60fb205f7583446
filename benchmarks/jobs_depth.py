"""What a job costs this library's pipeline, by how many are queued.

python benchmarks/jobs_depth.py QUEUED SLOTS
"""

from __future__ import annotations

import sys
from itertools import repeat

from jobs import FIRST, LAST
from jobs_agentzero import pipeline, processor_seconds_of, worker
from jobs_side import INSTRUCTIONS, until
from side import Measured, report

from agentzero.pipeline import Client


def measure(queued: int, slots: int) -> Measured:
    """Measure the last jobs that are submitted, and the first that are done; in us of each."""
    last = min(LAST, queued // 2)
    with pipeline() as (process, client):
        ids = client.submit_many(repeat(INSTRUCTIONS, queued - last))
        before = processor_seconds_of(process)
        ids += client.submit_many(repeat(INSTRUCTIONS, last))
        between = processor_seconds_of(process)
        with worker(client, slots):
            until(lambda: done(client) >= FIRST)
            after, number = processor_seconds_of(process), done(client)
        first, last_one = (client.status(ids[each]).changed for each in (0, FIRST - 1))
    return {
        "submit": (between - before) / last * 1e6,
        "work off": (after - between) / number * 1e6,
        "wall": (last_one - first) / FIRST * 1e6,
    }


def done(client: Client) -> int:
    """Return how many jobs are done."""
    (step,) = client.overview().steps
    return step.done


if __name__ == "__main__":
    report(lambda: measure(*map(int, sys.argv[1:])))
