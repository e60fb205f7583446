"""One process of the demo, at work in the folder of its state: the pipeline, or a step's worker.

python process.py pipeline
python process.py calculate-hash
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from state import EVENTS, JOURNAL, REPLIES, RESULTS
from steps import STEPS

SLOTS = 32  # jobs that a worker has at a time: with some in stock, it never waits for the next
GRACE = 1.0  # seconds for what runs when the process is asked to end


def serve() -> None:
    """Run the pipeline."""
    from agentzero.pipeline import Pipeline  # not above: it needs a database, and workers do not

    pipeline = Pipeline(
        "demo",
        STEPS,
        f"sqlite:///{JOURNAL}",
        reply_address=f"ipc://{REPLIES}",
        events_address=f"ipc://{EVENTS}",
        results_address=f"ipc://{RESULTS}",
        heartbeat=0.5,
        lease=2.0,  # what a worker had that was killed goes to the next one after so many seconds
        grace=GRACE,
    )
    pipeline.run()


def work(job_type: str) -> None:
    """Run the worker of a step."""
    from agentzero.pipeline import Worker

    step = next(step for step in STEPS if step.job_type == job_type)
    Worker(step(), f"ipc://{REPLIES}", slots=SLOTS, grace=GRACE).run()


def end_with_parent() -> None:
    """End at once when standard input ends.

    Whoever starts this process holds the other end, and the system closes that when they die,
    however they die: no process outlives its parent.
    """
    os.read(0, 1)
    os._exit(1)


def main(role: str) -> None:
    """Play a role."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.getLogger("agentzero").setLevel(logging.ERROR)  # no warning that another is away
    if role == "pipeline":
        serve()
    else:
        work(role)


if __name__ == "__main__":
    main(*sys.argv[1:])
