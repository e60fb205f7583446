"""What a Pipeline may be made with, and what Prometheus sees of it."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentzero.pipeline import Client, Pipeline, Step, Worker
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.errors import JobFailed, JournalError, PipelineError
from agentzero.pipeline.events import Available, Metric
from agentzero.pipeline.metrics import Collector, exported
from tests.pipeline.threads import addresses, at_work
from tests.ports import lasting_port


class Divide(Step):
    job_type = "divide"
    max_retries = 1
    min_backoff = max_backoff = 0.01

    def execute(self, instructions: dict[str, Any]) -> dict[str, Any]:
        return {"number": instructions["number"] / instructions["by"]}


class Nameless(Step):
    pass


@pytest.mark.parametrize("steps", [[], [Divide, Divide], [Nameless], [Divide()], ["divide"], [int]])
def test_steps_are_checked(steps: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"step|job_type"):
        Pipeline("numbers", steps)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_retries", "3"),
        ("max_retries", None),
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("max_retries", True),
        ("min_backoff", "3"),
        ("min_backoff", nan),
        ("min_backoff", inf),
        ("min_backoff", 3.0),
        ("max_backoff", -1),
        ("time_limit", 0),
        ("time_limit", nan),
        ("time_limit", "1"),
        ("job_type", 3),
    ],
    ids=str,
)
def test_what_a_step_says_is_checked(name: str, value: object) -> None:
    wrong = type("Wrong", (Divide,), {name: value})
    with pytest.raises((TypeError, ValueError), match=name.removeprefix("min_")):
        Pipeline("numbers", [wrong])


def test_steps_may_come_from_a_generator() -> None:
    assert Pipeline("numbers", (step for step in [Divide])).job_types == ["divide"]


@pytest.mark.parametrize("name", ["", "a/b", "nul\0", 3], ids=repr)
def test_the_name_is_checked(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="name of a pipeline"):
        Pipeline(name, [Divide])


@pytest.mark.parametrize(
    "options",
    [
        {"reply_address": 3},
        {"events_address": "nowhere"},
        {"metrics_port": 70_000},
        {"on_event": 3},
        {"heartbeat": "1"},
        {"heartbeat": 0},
        {"heartbeat": nan},
        {"heartbeat": inf, "lease": inf},
        {"lease": 1.0},
        {"lease": nan},
        {"lease": inf},
        {"grace": -1},
        {"keep": -1},
        {"keep": "long"},
    ],
    ids=str,
)
def test_times_are_checked(options: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Pipeline("numbers", [Divide], **options)


def test_a_journal_that_cannot_be_opened_is_an_error_of_run(tmp_path: Path) -> None:
    pipeline = Pipeline("numbers", [Divide], f"sqlite:///{tmp_path}/nowhere/jobs.db")
    with pytest.raises(JournalError, match="nowhere"):
        pipeline.run()


def test_a_pipeline_that_is_stopped_before_it_runs_ends_at_once_and_runs_once(
    tmp_path: Path,
) -> None:
    anywhere = dict.fromkeys(
        ("reply_address", "events_address", "results_address"), "tcp://127.0.0.1:*"
    )
    pipeline = Pipeline("numbers", [Divide], f"sqlite:///{tmp_path}/jobs.db", **anywhere)
    pipeline.stop()
    pipeline.run()
    with pytest.raises(PipelineError, match="once"):
        pipeline.run()


@pytest.fixture
def port() -> int:
    return lasting_port()


@pytest.fixture
def client(tmp_path: Path, port: int) -> Iterator[Client]:
    """A client of a pipeline that runs with one worker, and exports metrics."""
    places = addresses(tmp_path)
    options: dict[str, Any] = {"heartbeat": 0.1, "lease": 20, "metrics_port": port, **places}
    pipeline = Pipeline("numbers", [Divide], f"sqlite:///{tmp_path}/jobs.db", **options)
    worker = Worker(Divide(), places["reply_address"])
    with at_work(pipeline, worker), Client(places["reply_address"]) as client:
        yield client


def scraped(port: int) -> dict[str, float]:
    """Return what a scrape gives: by name and labels in their order, but the pipeline's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as reply:
        families = text_string_to_metric_families(reply.read().decode())
        samples = [sample for family in families for sample in family.samples]
    return {
        " ".join([name, *(labels[key] for key in sorted(labels) if key != "pipeline")]): value
        for name, labels, value, *_ in samples
    }


def test_prometheus_sees_jobs_durations_depths_workers_and_retries(
    client: Client, port: int
) -> None:
    good = [client.submit({"number": 6, "by": 2}) for _ in range(3)]
    bad = client.submit({"number": 6, "by": 0})
    assert [client.result(job) for job in good] == [{"number": 3.0}] * 3
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        client.result(bad)
    seen = scraped(port)
    expected = {
        "jobs_total done divide": 3,
        "jobs_total failed divide": 2,
        "jobs_total dead divide": 1,
        "jobs_total lost divide": 0,
        "retries_total divide": 1,
        "depth queued divide": 0,
        "depth dead divide": 1,
        "workers divide": 1,
        "execution_seconds_count divide": 5,
        "execution_seconds_bucket +Inf divide": 5,
        "latency_seconds_count divide": 3,
    }
    assert {name: seen.get(f"agentzero_pipeline_{name}") for name in expected} == expected
    assert 0 < seen["agentzero_pipeline_latency_seconds_sum divide"] < 60


def test_numbers_that_workers_tell_are_passed_on(client: Client, port: int) -> None:
    client.result(client.submit({"number": 6, "by": 2}))
    [worker] = [worker.worker for worker in client.overview().workers]
    while not scraped(port).get(f"agentzero_pipeline_metric jobs_done divide {worker}"):
        pass


def test_numbers_are_told_of_workers_that_are_there(port: int) -> None:
    dispatcher = Dispatcher([Divide])
    members = dispatcher.members
    member = members.announced(Available("w1", "divide", "tcp://127.0.0.1:1", 1), 0.0)
    with exported(Collector("numbers", dispatcher), port):
        for worker in ("w1", "stranger"):
            members.note(Metric(worker, "divide", "memory", 5.0))
        told = {name: value for name, value in scraped(port).items() if "memory" in name}
        assert told == {"agentzero_pipeline_metric memory divide w1": 5.0}
        members.remove(member)
        assert not any("memory" in name for name in scraped(port))


def test_the_port_of_the_metrics_is_free_again_afterwards(port: int) -> None:
    for _ in range(2):
        with exported(Collector("numbers", Dispatcher([Divide])), port):
            assert scraped(port)["agentzero_pipeline_workers divide"] == 0
    with pytest.raises(OSError, match="refused"):
        scraped(port)


def test_metrics_without_their_library_say_what_to_install(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(ModuleNotFoundError, match=r"pip install 'agentzero\[pipeline\]'"),
        exported(Collector("numbers", Dispatcher([Divide])), port),
    ):
        pass
