"""What the examples in the docstrings of clients talk to: a pipeline with one step that doubles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest

OF_CLIENTS = ("agentzero.pipeline.client.", "agentzero.pipeline.aio.")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a pipeline answers that runs in this process."""
    from agentzero.pipeline import Pipeline, Step, Worker

    class Double(Step):
        job_type = "double"

        def execute(self, instructions: dict[str, Any]) -> dict[str, Any]:
            return {"number": 2 * instructions["number"]}

    with TemporaryDirectory() as folder:
        replies, events, results = (f"ipc://{Path(folder, name)}" for name in ("a", "b", "c"))
        pipeline = Pipeline(
            "examples",
            [Double],
            f"sqlite:///{folder}/examples.db",
            reply_address=replies,
            events_address=events,
            results_address=results,
        )
        worker = Worker(Double(), replies, slots=4)
        threads = [Thread(target=each.run) for each in (pipeline, worker)]
        for thread in threads:
            thread.start()
        yield replies
        worker.stop()
        threads[1].join()
        pipeline.stop()
        threads[0].join()


@pytest.fixture(autouse=True)
def examples(request: pytest.FixtureRequest) -> None:
    """Give the docstrings of clients an `address`."""
    if request.node.name.startswith(OF_CLIENTS):
        names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        names["address"] = request.getfixturevalue("address")
