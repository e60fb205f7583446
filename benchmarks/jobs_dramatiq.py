"""dramatiq on Redis.

python benchmarks/jobs_dramatiq.py JOBS TRIPS
"""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from jobs_redis import redis_server
from jobs_side import INSTRUCTIONS, guarded, measured, work
from side import Measured, report

URL = "BENCH_REDIS_URL"
WORKER = ("dramatiq", "jobs_dramatiq:Dramatiq", "--processes", "1", "--skip-logging")


def work_and_drop(instructions: dict[str, str]) -> None:
    """Do the job for an actor that stores no result, and would warn of each."""
    work(instructions)


class Dramatiq:
    """Its broker and actors; a worker calls this as well."""

    def __init__(self) -> None:
        url = os.environ[URL]
        self._broker = RedisBroker(url=url)
        self._broker.add_middleware(Results(backend=RedisBackend(url=url)))
        dramatiq.set_broker(self._broker)
        self._work = dramatiq.actor(work_and_drop)
        self._work_and_answer = dramatiq.actor(store_results=True)(work)

    def submit(self, count: int) -> None:
        for _ in range(count):
            self._work.send(INSTRUCTIONS)

    def unfinished(self) -> int:
        return int(self._broker.do_qsize(self._work.queue_name))

    def ask(self) -> object:
        return self._work_and_answer.send(INSTRUCTIONS).get_result(block=True)


def measure(jobs: int, trips: int) -> Measured:
    """Measure one process of workers, with as many threads as it has by default."""
    with redis_server() as url:
        os.environ[URL] = url
        with guarded(sys.executable, "-m", *WORKER):
            return measured(Dramatiq(), jobs, trips)


if __name__ == "__main__":
    report(lambda: measure(*map(int, sys.argv[1:])))
