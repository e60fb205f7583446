"""A pipeline's process that writes its journal until it is killed.

Arguments: the URL of the database, and the number of the batch to freeze after, if any. Each turn
it adds a batch of jobs, and ends those of the batch before in the same write; then it prints the
number of the batch.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys

import msgspec

from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.journal import Journal

BATCH = 5


def batch(number: int) -> list[Job]:
    return [
        Job(id=f"{number}-{place}", step="s", instructions={"is": place}, submitted=1.0)
        for place in range(BATCH)
    ]


def ended(jobs: list[Job]) -> list[Job]:
    return [msgspec.structs.replace(job, state=State.DONE, result={"ok": True}) for job in jobs]


if __name__ == "__main__":
    with Journal(sys.argv[1], "p", timeout=60.0) as journal:
        begun = sum(journal.counts().values()) // BATCH
        for number in itertools.count(begun):
            journal.write(batch(number), ended(batch(number - 1)))
            print(number, flush=True)
            if sys.argv[2:] == [str(number)]:
                os.kill(os.getpid(), signal.SIGSTOP)
