"""The drawing of docs/pipeline.md shows the sockets that there are."""

from __future__ import annotations

import gc
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.pipeline import Client, Instructions, Pipeline, Step, Worker
from agentzero.pipeline.client import NOTHING
from tests.pipeline.threads import addresses, at_work
from tests.processes import ROOT

SCRIPT = ROOT / "docs" / "pipeline_sockets.py"


class Echo(Step):
    job_type = "echo"

    def execute(self, instructions: Instructions) -> Instructions:
        return instructions


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def managers(tmp_path: Path) -> Iterator[dict[str, SocketManager]]:
    """Those of a client, a pipeline and a worker that have just done a job, by whose they are."""
    others = _managers()  # held, so that no new one has the identity of one of them
    places = addresses(tmp_path)
    pipeline = Pipeline("drawn", [Echo], f"sqlite:///{tmp_path}/drawn.db", **places)
    worker = Worker(Echo(), places["reply_address"])
    with at_work(pipeline, worker), Client(places["reply_address"], timeout=20.0) as client:
        client.result(client.submit({}))
        ours = [one for one in _managers() if not any(one is other for other in others)]
        yield {_owner(one, worker.id): one for one in ours}


def _managers() -> list[SocketManager]:
    return [one for one in gc.get_objects() if isinstance(one, SocketManager) and len(one)]


def _owner(manager: SocketManager, worker: str) -> str:
    if f"orders of {worker}" in manager:
        return "pipeline"
    return "worker" if "orders" in manager else "client"


def test_it_shows_the_sockets_of_a_pipeline_that_runs(
    source: dict[str, Any], managers: dict[str, SocketManager]
) -> None:
    drawn = {(one.owner, one.name, one.kind, one.binds) for one in source["SOCKETS"]}
    real = {seen for owner, manager in managers.items() for seen in _seen(owner, manager)}
    assert real == drawn


def _seen(owner: str, manager: SocketManager) -> Iterator[tuple[str, str, str, bool]]:
    own = {"replies", "pipeline", "orders", "results", "events"}
    for name in set(manager.names()) - {NOTHING}:  # that one is connected to nothing
        kind = zmq.SocketType(manager.get_by_name(name).type)
        [endpoint] = manager._channels[name].endpoints
        yield owner, name if name in own else "", kind.name, endpoint.bound


def test_what_flows_there_flows_between_sockets_that_fit(source: dict[str, Any]) -> None:
    fitting = {("DEALER", "ROUTER"), ("PUSH", "PULL"), ("XPUB", "SUB")}
    assert {(flow.source.kind, flow.target.kind) for flow in source["FLOWS"]} == fitting
    assert all(flow.source.binds != flow.target.binds for flow in source["FLOWS"])


def test_it_is_what_its_source_draws(source: dict[str, Any]) -> None:
    drawn = (ROOT / "docs" / "pipeline.svg").read_text(encoding="utf-8")
    assert drawn == source["drawing"](), "python docs/pipeline_sockets.py > docs/pipeline.svg"
