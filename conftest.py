"""For all tests: no clock judges them, and docstrings of clients have a pipeline to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long it takes to make examples is a matter of the machine, and of what else it does.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

OF_CLIENTS = ("agentzero.pipeline.client.", "agentzero.pipeline.aio.")


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a pipeline answers that runs in this process; its one step doubles numbers."""
    from agentzero.pipeline import Pipeline, Step, Worker
    from tests.pipeline.threads import addresses, at_work

    class Double(Step):
        job_type = "double"

        def execute(self, instructions: dict[str, Any]) -> dict[str, Any]:
            return {"number": 2 * instructions["number"]}

    with TemporaryDirectory() as folder:
        places = addresses(Path(folder))
        pipeline = Pipeline("examples", [Double], f"sqlite:///{folder}/examples.db", **places)
        with at_work(pipeline, Worker(Double(), places["reply_address"], slots=4)):
            yield places["reply_address"]


@pytest.fixture(autouse=True)
def examples(request: pytest.FixtureRequest) -> None:
    """Give the docstrings of clients an `address`."""
    if request.node.name.startswith(OF_CLIENTS):
        names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        names["address"] = request.getfixturevalue("address")
