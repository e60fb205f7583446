"""rq on Redis.

python benchmarks/jobs_rq.py Worker|SimpleWorker JOBS TRIPS
"""

from __future__ import annotations

import sys

from jobs_redis import redis_server
from jobs_side import INSTRUCTIONS, PATIENCE, guarded, measured, work
from redis import Redis
from rq import Queue
from side import Measured, report


class RQ:
    """Submits to the default queue of rq."""

    def __init__(self, url: str) -> None:
        self._queue = Queue(connection=Redis.from_url(url))
        self._submitted = 0

    def submit(self, count: int) -> None:
        data = Queue.prepare_data(work, (INSTRUCTIONS,))
        self._submitted += len(self._queue.enqueue_many([data] * count))

    def unfinished(self) -> int:
        finished = self._queue.finished_job_registry.get_job_count(cleanup=False)
        return self._submitted - int(finished)

    def ask(self) -> object:
        self._submitted += 1
        result = self._queue.enqueue(work, INSTRUCTIONS).latest_result(timeout=int(PATIENCE))
        assert result is not None
        return result.return_value


def measure(worker: str, jobs: int, trips: int) -> Measured:
    """Measure one worker of that class."""
    with redis_server() as url:
        options = ("--quiet", "--worker-class", f"rq.{worker}", "--url", url)
        with guarded(sys.executable, "-m", "rq.cli", "worker", *options):
            return measured(RQ(url), jobs, trips)


if __name__ == "__main__":
    report(lambda: measure(sys.argv[1], *map(int, sys.argv[2:])))
