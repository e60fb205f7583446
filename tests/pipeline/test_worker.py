"""A worker joins, does jobs, tells what it does, and fails jobs rather than itself."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from agentzero.errors import SocketBindError
from agentzero.pipeline import Step, Worker
from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.events import Error, Failed, Metric, Started, Success
from agentzero.pipeline.wire import Outcome, Refused
from agentzero.serializers import JSON
from tests.pipeline.chores import Chore
from tests.pipeline.fake_pipeline import (
    FakePipeline,
    Gate,
    Running,
    job,
    warnings,
)
from tests.pipeline.fake_pipeline import gate as gate
from tests.pipeline.fake_pipeline import pipeline as pipeline
from tests.pipeline.fake_pipeline import start as start
from tests.processes import START, eventually, running

Start = Callable[..., Running]


def test_a_worker_announces_itself(pipeline: FakePipeline, start: Start) -> None:
    worker = start(pipeline, slots=3).worker
    event = pipeline.meet()
    assert (event.worker, event.job_type, event.slots) == (worker.id, "chore", 3)
    assert event.jobs == {}


def test_a_job_is_done(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1", lease=4))
    result = pipeline.result()
    assert (result.id, result.lease, result.outcome) == ("j1", 4, Outcome.SUCCESS)
    assert (result.output, result.error) == ({"text": "j1"}, None)


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_it_speaks_the_serializer_of_the_pipeline(start: Start, serializer: str) -> None:
    pipeline = FakePipeline(serialization_backend=serializer)
    start(pipeline, serializer=serializer)
    pipeline.meet()
    assert pipeline.done(job("j1")) == {"text": "j1"}
    pipeline.die()


def test_it_waits_for_a_pipeline_that_is_not_there_yet(
    pipeline: FakePipeline, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.die()
    start(pipeline)
    eventually(lambda: f"waiting for the pipeline at {pipeline.address}" in caplog.text)
    later = pipeline.back()
    later.meet()
    assert later.done(job("j1")) == {"text": "j1"}
    later.die()


def test_stopped_before_there_is_a_pipeline_it_ends(pipeline: FakePipeline, start: Start) -> None:
    pipeline.die()
    running = start(pipeline, grace=1000.0)
    running.stop()
    running.ended()


def test_stopped_before_it_runs_it_ends(pipeline: FakePipeline) -> None:
    worker = Worker(Chore(), pipeline.address)
    worker.stop()
    worker.run()


def test_it_waits_for_a_pipeline_that_is_not_itself_yet(
    pipeline: FakePipeline, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    welcome, pipeline.welcome = pipeline.welcome, Refused({"message": "about to end"})
    start(pipeline)
    eventually(lambda: "about to end" in caplog.text)
    pipeline.welcome = welcome
    pipeline.meet()


def test_a_pipeline_without_that_step_is_an_error_that_names_its_steps(start: Start) -> None:
    pipeline = FakePipeline(job_types=("resize", "upload"))
    with pytest.raises(PipelineError, match="pipeline fake has no step chore: resize, upload"):
        start(pipeline).ended()
    pipeline.die()


def test_a_worker_runs_once(pipeline: FakePipeline, start: Start) -> None:
    running = start(pipeline)
    pipeline.meet()
    with pytest.raises(PipelineError, match="once"):
        running.worker.run()


class Endless(Chore):
    time_limit = 0


@pytest.mark.parametrize(
    ("step", "options", "error", "text"),
    [
        (Chore, {}, TypeError, "an instance of a Step"),
        (Step(), {}, TypeError, "Step has no job_type"),
        (Endless(), {}, ValueError, "Endless.time_limit is a number of seconds, 0.001 or more"),
        (Chore(), {"slots": 0}, ValueError, "1 slot or more"),
        (Chore(), {"slots": 1.5}, TypeError, "slots is a whole number, not 1.5"),
        (Chore(), {"slots": "2"}, TypeError, "slots is a whole number, not '2'"),
        (Chore(), {"slots": True}, TypeError, "slots is a whole number, not True"),
        (Chore(), {"executor": "processes"}, TypeError, "an executor, .*, not 'processes'"),
        (Chore(), {"executor": 3}, TypeError, "an executor, or a function that makes one, not 3"),
        (Chore(), {"bind": 3}, TypeError, "bind is a str or None, not 3"),
        (Chore(), {"bind": "x"}, ValueError, "bind is like 'tcp://eth0' .*, not 'x'"),
        (Chore(), {"bind": "tcp://"}, ValueError, "bind is like"),
        (Chore(), {"bind": "inproc://x"}, ValueError, "bind is like"),
        (Chore(), {"bind": "tcp://*:65536"}, ValueError, "bind is like"),
        (Chore(), {"grace": -1}, ValueError, "grace is a number of seconds, 0 or more"),
        (Chore(), {"grace": math.nan}, ValueError, "grace is a number of seconds, 0 or more"),
        (Chore(), {"grace": "1"}, TypeError, "grace is a number of seconds"),
        (Chore(), {"reply_address": 3}, TypeError, "an address is a str, not 3"),
        (Chore(), {"reply_address": "7710"}, ValueError, "an address is like .*, not '7710'"),
        (Chore(), {"reply_address": "tcp://here"}, ValueError, "an address is like"),
        (Chore(), {"reply_address": "tcp://here:65536"}, ValueError, "an address is like"),
    ],
)
def test_what_makes_no_worker_is_refused(
    step: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Worker(step, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"bind": "tcp://[::1]"},
        {"bind": "tcp://eth0:7000"},
        {"bind": "ipc://resize"},
        {"reply_address": "tcp://[::1]:7710"},
        {"reply_address": "ipc:///run/jobs"},
        {"grace": 0},
        {"grace": math.inf},
    ],
)
def test_what_makes_a_worker_is_not(options: Any) -> None:
    assert Worker(Chore(), **options).id


def test_as_many_jobs_run_at_a_time_as_there_are_slots(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, slots=2)
    pipeline.meet()
    pipeline.order(*(gate.job(name) for name in ("j1", "j2", "j3")))
    gate.begun("j1", "j2")
    pipeline.event(Metric, lambda metric: (metric.name, metric.value) == ("slots_busy", 2))
    assert not gate.times("j3")
    gate.open()
    assert pipeline.results(3).keys() == {"j1", "j2", "j3"}


@pytest.mark.parametrize(
    ("do", "details", "name", "message"),
    [
        ("fail", {"text": "too small"}, "ValueError", "too small"),
        ("leave", {}, "SystemExit", "3"),
        ("interrupt", {}, "KeyboardInterrupt", ""),
        ("give", {"what": "a list"}, "TypeError", "step 'chore' returned list, and not a dict"),
        ("give", {"what": "nothing"}, "TypeError", "returned NoneType, and not a dict"),
        ("give", {"what": "not a number"}, "SerializationError", "JSON"),
        ("unknown", {}, "AttributeError", "unknown"),
    ],
)
def test_a_job_that_fails_is_reported_and_the_worker_goes_on(
    pipeline: FakePipeline, start: Start, do: str, details: Any, name: str, message: str
) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1", do, **details))
    result = pipeline.result()
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert result.error["name"] == name
    assert message in result.error["message"]
    assert pipeline.done(job("j2")) == {"text": "j2"}


def test_what_a_step_does_to_its_output_later_changes_no_result(
    pipeline: FakePipeline, start: Start
) -> None:
    class Forgetful(Chore):
        kept: dict[str, str] = {}  # noqa: RUF012

        def echo(self, text: str) -> Any:
            self.kept["text"] = text
            return self.kept

    start(pipeline, Forgetful())
    pipeline.meet()
    pipeline.order(job("j1"), job("j2"))
    pipeline.results(2)
    pipeline.available()
    assert {name: result.output for name, result in pipeline.results(2).items()} == {
        "j1": {"text": "j1"},
        "j2": {"text": "j2"},
    }


def test_success_is_told_in_events(pipeline: FakePipeline, start: Start) -> None:
    worker = start(pipeline).worker.id
    pipeline.meet()
    pipeline.order(job("j1"))
    assert pipeline.event(Started) == Started(worker, "chore", "j1", 1)
    success = pipeline.event(Success)
    assert (success.worker, success.job, success.attempt) == (worker, "j1", 1)
    assert 0 <= success.seconds < 60
    pipeline.event(Metric, lambda metric: (metric.name, metric.value) == ("jobs_done", 1))


class Noting(JSON):
    """Notes what it writes."""

    def initialize(self) -> None:
        super().initialize()
        self.written: set[type] = set()

    def pack(self, item: Any) -> bytes:
        self.written.add(type(item))
        return super().pack(item)


def test_what_nobody_subscribed_to_is_not_even_written(
    pipeline: FakePipeline, start: Start
) -> None:
    serializer = Noting()
    pipeline.sockets.unset_topic("events", "")
    pipeline.sockets.set_topic("events", "available")
    start(pipeline, serializer=serializer)
    pipeline.meet()
    pipeline.available()  # between two announcements it looks who is there
    pipeline.done(job("j1"))
    assert not serializer.written & {Started, Success}
    pipeline.sockets.set_topic("events", "started")
    pipeline.sockets.set_topic("events", "success")
    pipeline.available()
    pipeline.available()
    pipeline.done(job("j2"))
    assert pipeline.event(Started).job == "j2"
    assert pipeline.event(Success).job == "j2"


def test_failure_is_told_in_events(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1", "fail", text="too small"))
    error = pipeline.event(Error)
    assert (error.job, error.error["message"]) == ("j1", "too small")
    assert "raise ValueError" in error.error["traceback"]
    assert pipeline.event(Failed).job == "j1"


@pytest.mark.parametrize(
    ("do", "details", "error"),
    [
        ("fail", {"text": "too small"}, "ValueError: too small"),
        ("fail", {"text": "\nfirst\nsecond"}, "ValueError: first"),
        ("fail", {"text": "x" * 201}, "ValueError: " + "x" * 200),
        ("interrupt", {}, "KeyboardInterrupt"),
    ],
)
def test_failure_is_logged_in_one_line(
    pipeline: FakePipeline,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    do: str,
    details: Any,
    error: str,
) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.order(job("j1", do, **details))
    pipeline.event(Failed)
    pipeline.done(job("j2"))
    assert warnings(caplog) == [f"job j1 failed in step chore, attempt 1: {error}"]


def test_what_a_step_logs_is_published(pipeline: FakePipeline, start: Start) -> None:
    running = start(pipeline)
    pipeline.meet()
    pipeline.done(job("j1", "log", text="hello"))
    record = pipeline.log()
    assert (record["msg"], record["name"]) == ("it says hello", "chore")
    running.stop()
    running.ended()
    assert logging.getLogger("chore").handlers == []
    assert logging.getLogger("chore").level == logging.NOTSET


def test_heartbeats_go_on_while_jobs_compute(
    pipeline: FakePipeline, start: Start, gate: Gate
) -> None:
    start(pipeline, slots=2)
    pipeline.meet()
    pipeline.order(gate.job("j1", "compute"), gate.job("j2", "compute"))
    gate.begun("j1", "j2")
    for _ in range(5):
        pipeline.available(lambda event: event.jobs == {"j1": 1, "j2": 1})


def test_an_order_that_cannot_be_read_changes_nothing(pipeline: FakePipeline, start: Start) -> None:
    start(pipeline)
    pipeline.meet()
    pipeline.sockets.send_multipart(pipeline.worker, [b"\xff"])
    pipeline.sockets.send(pipeline.worker, {"jobs": 1})
    assert pipeline.done(job("j1")) == {"text": "j1"}


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        (None, "tcp://127.0.0.1:"),
        ("tcp://127.0.0.1", "tcp://127.0.0.1:"),
        ("tcp://*", "tcp://127.0.0.1:"),
        ("ipc://{}/chore", "ipc://{}/chore-"),
    ],
)
def test_it_pulls_orders_where_it_is_told_to(
    pipeline: FakePipeline, start: Start, bind: str | None, address: str, tmp_path: Any
) -> None:
    start(pipeline, bind=bind and bind.format(tmp_path))
    assert pipeline.meet().address.startswith(address.format(tmp_path))
    assert pipeline.done(job("j1")) == {"text": "j1"}


def test_an_address_that_cannot_be_bound_is_an_error(pipeline: FakePipeline, start: Start) -> None:
    with pytest.raises(SocketBindError, match=r"192\.0\.2\.1"):
        start(pipeline, bind="tcp://192.0.2.1").ended()


def test_wildcard_addresses_mean_the_host_of_the_question(start: Start) -> None:
    pipeline = FakePipeline(("tcp://127.0.0.1:*", "tcp://*:*", "tcp://*:*"))
    assert pipeline.addresses[1].startswith("tcp://0.0.0.0:")
    start(pipeline)
    pipeline.meet()
    assert pipeline.done(job("j1")) == {"text": "j1"}
    pipeline.die()


FORKED = """
import os
from agentzero.pipeline import Worker
from tests.pipeline.chores import Chore

worker = Worker(Chore(), "tcp://127.0.0.1:1")
made = worker.id
worker.stop()
if os.fork() == 0:
    worker.run()
    os._exit(worker.id != made)
_, status = os.wait()
worker.run()
print(os.waitstatus_to_exitcode(status), worker.id == made)
"""


def test_a_worker_that_was_forked_has_another_name_than_its_twin() -> None:
    with running("-c", FORKED) as process:
        assert process.end(within=START).out == "1 True\n"
