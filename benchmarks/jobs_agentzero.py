"""This library's pipeline: one step, and a journal in an SQLite file.

python benchmarks/jobs_agentzero.py SLOTS JOBS TRIPS

and, for the processes of that:

python benchmarks/jobs_agentzero.py pipeline FOLDER ADDRESS
python benchmarks/jobs_agentzero.py worker ADDRESS SLOTS
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat
from tempfile import TemporaryDirectory
from threading import Thread

from jobs_side import INSTRUCTIONS, PATIENCE, Running, guarded, measured, running, work
from side import Measured, report

from agentzero.pipeline import Client, Pipeline, Step, Worker
from agentzero.pipeline.jobs import Instructions
from agentzero.util import get_free_tcp_port

ANY_PORT = "tcp://127.0.0.1:*"
SCRIPT = __file__


class Work(Step):
    """The only step."""

    job_type = "work"

    def execute(self, instructions: Instructions) -> Instructions:
        return work(instructions)


class AgentZero:
    """Submits to the pipeline."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(self, count: int) -> None:
        self._client.submit_many(repeat(INSTRUCTIONS, count))

    def unfinished(self) -> int:
        (step,) = self._client.overview().steps
        return step.queued + step.running

    def ask(self) -> object:
        return self._client.result(self._client.submit(INSTRUCTIONS))


@contextmanager
def pipeline() -> Iterator[tuple[Running, Client]]:
    """Run a pipeline with an empty journal, and be its client."""
    address = f"tcp://127.0.0.1:{get_free_tcp_port()}"
    with (
        TemporaryDirectory() as folder,
        running(SCRIPT, "pipeline", folder, address) as process,
        Client(address, timeout=PATIENCE) as client,
    ):
        client.overview()  # once it is there
        yield process, client


def worker(client: Client, slots: int) -> AbstractContextManager[Running]:
    """Run a worker of the pipeline that this is a client of."""
    return guarded(sys.executable, SCRIPT, "worker", client.reply_address, str(slots))


def processor_seconds_of(process: Running) -> float:
    """Ask a pipeline how much processor time it has used."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def run_pipeline(folder: str, address: str) -> None:
    """Be the pipeline until stdin ends; each line there asks what it took so far."""
    pipeline = Pipeline(
        "bench",
        [Work],
        f"sqlite:///{folder}/journal.db",
        reply_address=address,
        events_address=ANY_PORT,
        results_address=ANY_PORT,
    )
    Thread(target=_attend_stdin, args=(pipeline,), daemon=True).start()
    pipeline.run()


def _attend_stdin(pipeline: Pipeline) -> None:
    while os.read(sys.stdin.fileno(), 1):
        print(time.process_time(), flush=True)
    pipeline.stop()


def run_worker(address: str, slots: str) -> None:
    """Be a worker until a signal ends it."""
    Worker(Work(), address, slots=int(slots)).run()


def measure(slots: int, jobs: int, trips: int) -> Measured:
    """Measure one worker with so many slots."""
    with pipeline() as (_, client), worker(client, slots):
        return measured(AgentZero(client), jobs, trips)


if __name__ == "__main__":
    roles = {"pipeline": run_pipeline, "worker": run_worker}
    role, *arguments = sys.argv[1:]
    if role in roles:
        roles[role](*arguments)
    else:
        report(lambda: measure(*map(int, sys.argv[1:])))
