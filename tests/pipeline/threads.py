"""A pipeline and its worker in threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from agentzero.pipeline import Pipeline, Worker


def addresses(folder: Path) -> dict[str, str]:
    """The addresses of a pipeline that nobody else has, as it is given them."""
    names = ("reply_address", "events_address", "results_address")
    return {name: f"ipc://{folder / letter}" for name, letter in zip(names, "abc", strict=True)}


@contextmanager
def at_work(pipeline: Pipeline, worker: Worker) -> Iterator[None]:
    """Have both at work as long as the block runs."""
    serving, working = (Thread(target=each.run) for each in (pipeline, worker))
    serving.start()
    working.start()
    try:
        yield
    finally:
        worker.stop()
        working.join()
        pipeline.stop()
        serving.join()
