"""A running pipeline, its journal and its sockets, with workers that do what the test says."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from math import inf, nan
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import zmq

from agentzero import Envelope, Event, SocketManager
from agentzero.errors import SerializationError, SocketBindError
from agentzero.pipeline import Client, Job, Pipeline, State, Step
from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.errors import JournalError, JournalTaken
from agentzero.pipeline.events import Available, Started
from agentzero.pipeline.inbox import EVENTS, QUESTIONS, RESULTS
from agentzero.pipeline.journal import Journal
from agentzero.pipeline.service import Service
from agentzero.pipeline.wire import (
    Assignment,
    Cancel,
    Dead,
    Found,
    Outcome,
    Refused,
    Reply,
    Requeue,
    Result,
    Results,
    Show,
    Status,
    Submission,
    Submit,
    Wait,
)
from agentzero.serializers import JSON, MSGPACK
from tests.pipeline.fake_worker import PATIENCE, FakeWorker
from tests.ports import lasting_port

Running: TypeAlias = Callable[..., AbstractContextManager["Asker"]]


class First(Step):
    job_type = "first"
    max_retries = 1
    min_backoff = max_backoff = 0.01


class Second(First):
    job_type = "second"


class Asker:
    """A client of bare questions, beside a pipeline that runs in a thread."""

    def __init__(self, pipeline: Pipeline, serializer: str | None = None) -> None:
        self.pipeline = pipeline
        self.sockets = SocketManager(linger=0, timeout=PATIENCE, serialization_backend=serializer)
        self.sockets.ensure_and_connect("ask", zmq.DEALER, pipeline.settings.reply_address)

    def ask(self, question: object) -> Any:
        return self.sockets.request("ask", question, type=Reply)

    def submit(self, *names: str) -> None:
        reply = self.ask(Submit([Submission(name, {"name": name}) for name in names]))
        assert reply.ids == list(names)

    def job(self, name: str) -> Job:
        [job] = self.ask(Status([name])).jobs
        assert isinstance(job, Job)
        return job

    def ended(self, name: str) -> Job:
        [job] = self.ask(Wait(name, PATIENCE)).jobs
        assert isinstance(job, Job)
        return job

    def worker(self, job_type: str = "first", slots: int = 1) -> FakeWorker:
        return FakeWorker(self.pipeline.settings, job_type, slots)


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def make(journal: str) -> Callable[..., Pipeline]:
    """Make pipelines, all with the same addresses and the same journal."""
    addresses = {
        name: f"tcp://127.0.0.1:{lasting_port()}"
        for name in ("reply_address", "events_address", "results_address")
    }

    def make(**options: Any) -> Pipeline:
        options = {"heartbeat": 0.1, "lease": 30.0, "grace": 1.0} | addresses | options
        return Pipeline("test", [First, Second], journal, **options)

    return make


@pytest.fixture
def running(make: Callable[..., Pipeline]) -> Running:
    """Run a pipeline in a thread as long as a block does."""

    @contextmanager
    def run(**options: Any) -> Iterator[Asker]:
        pipeline = make(**options)
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        asker = Asker(pipeline)
        try:
            yield asker
        finally:
            pipeline.stop()
            pipeline.stop()
            thread.join(PATIENCE)
            asker.sockets.close_all()
            assert not thread.is_alive()

    return run


@pytest.fixture
def asker(running: Running) -> Iterator[Asker]:
    with running() as asker:
        yield asker


@pytest.fixture
def worker(asker: Asker) -> Iterator[FakeWorker]:
    with asker.worker() as worker:
        yield worker


def test_a_job_goes_through_all_steps(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1")
    worker.announce()
    [job] = worker.jobs()
    assert (job.instructions, job.attempt) == ({"name": "j1"}, 1)
    worker.succeed(job, half="done")
    with asker.worker("second") as other:
        other.announce()
        [job] = other.jobs()
        assert job.instructions == {"half": "done"}
        other.succeed(job, all="done")
        done = asker.ended("j1")
    assert (done.state, done.result, done.worker) == (State.DONE, {"all": "done"}, other.name)


def test_an_accepted_job_is_in_the_journal(asker: Asker, tmp_path: Path) -> None:
    asker.submit("j1", "j2")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database:
        [(number,)] = database.execute("SELECT count(*) FROM agentzero_jobs WHERE state='queued'")
    assert number == 2


def test_a_submission_that_comes_twice_makes_one_job(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1")
    asker.submit("j1", "j2")
    worker.slots = 10
    worker.announce()
    assert {job.id for job in worker.jobs(2)} == {"j1", "j2"}
    asker.submit("j1")
    assert asker.ask(Show()).steps[0].running == 2


def test_a_result_is_settled_once_it_is_in_the_journal(
    asker: Asker, worker: FakeWorker, journal: str
) -> None:
    asker.submit("j1")
    worker.announce()
    [job] = worker.jobs()
    worker.succeed(job)
    worker.settled(job)
    worker.succeed(job)
    worker.settled(job)
    assert asker.job("j1").step == "second"


def test_a_failing_job_is_tried_again_and_then_dead(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1")
    worker.announce()
    for attempt in (1, 2):
        [job] = worker.jobs()
        assert job.attempt == attempt
        worker.fail(job)
    dead = asker.ended("j1")
    assert (dead.state, dead.error) == (State.DEAD, {"name": "OSError", "message": "no luck"})
    assert [job.id for job in asker.ask(Dead()).jobs] == ["j1"]
    assert asker.ask(Requeue(["j1", "j9"])).jobs == 1
    [job] = worker.jobs()
    worker.succeed(job)
    worker.settled(job)
    assert asker.ask(Dead()).jobs == []


def test_thousands_of_dead_letters_are_requeued_in_pieces(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentzero.pipeline.desk.REQUEUED", 3)
    names = [f"j{number}" for number in range(7)]
    asker.submit(*names)
    with asker.worker(slots=7) as worker, Client(asker.pipeline.settings.reply_address) as client:
        worker.announce()
        for _ in range(2):
            for job in worker.jobs(7):
                worker.fail(job)
        for name in names:
            assert asker.ended(name).state is State.DEAD
        assert client.requeue() == 7
        assert client.dead() == []
        assert {job.attempt for job in worker.jobs(7)} == {1}


def test_a_silent_worker_loses_its_jobs_to_another(running: Running) -> None:
    with running(lease=0.4) as asker, asker.worker() as silent, asker.worker() as other:
        asker.submit("j1")
        silent.announce()
        [lost] = silent.jobs()
        assert asker.job("j1").state is State.RUNNING
        job = None
        while job is None:
            other.announce()
            order = other.sockets.recv_safe("orders", timeout=0.05)
            job = order and order.get("jobs")
        silent.succeed(lost, late=True)
        assert asker.job("j1").worker == other.name


def test_a_worker_that_is_back_is_told_that_its_job_is_not_its_any_more(
    running: Running,
) -> None:
    with running(lease=0.3) as asker, asker.worker() as worker:
        asker.submit("j1")
        worker.announce()
        [job] = worker.jobs()
        while asker.ask(Show()).workers:
            pass
        worker.announce(job)
        order = worker.order()
        assert order.withdrawn == [(job.id, job.lease)]


def test_a_pipeline_that_was_killed_goes_on_from_its_journal(running: Running) -> None:
    with ExitStack() as stack:
        with running() as asker:
            first = stack.enter_context(asker.worker(slots=1))
            asker.submit("j1", "j2")
            first.announce()
            [job] = first.jobs()
            while asker.job("j1").state is State.QUEUED:
                pass
        with running() as asker:
            first.succeed(job)
            first.settled(job)
            assert asker.job("j1").step == "second"
            assert [job.id for job in first.jobs()] == ["j2"]


def test_jobs_beyond_what_memory_holds_come_in_order(asker: Asker, worker: FakeWorker) -> None:
    names = [f"j{number:05}" for number in range(2500)]
    asker.submit(*names)
    worker.slots = 500
    worker.announce()
    got: list[str] = []
    while len(got) < len(names):
        jobs = worker.jobs()
        got += [job.id for job in jobs]
        for job in jobs:
            worker.succeed(job)
    assert got == names


def test_whoever_waits_is_answered_as_soon_as_the_job_ends_or_the_time_is_over(
    asker: Asker,
) -> None:
    asker.submit("j1")
    [job] = asker.ask(Wait("j1", 0.05)).jobs
    assert job.state is State.QUEUED
    assert asker.ask(Wait("nobody", 5)).jobs == []
    answers: list[Job] = []
    thread = threading.Thread(target=lambda: answers.append(asker.ended("j1")))
    thread.start()
    while not asker.ask(Cancel(["j1"])).jobs and thread.is_alive():
        pass
    thread.join(PATIENCE)
    assert [job.state for job in answers] == [State.CANCELLED]


@pytest.mark.parametrize("timeout", [nan, inf])
def test_a_wait_without_an_end_keeps_nobody_else_waiting(running: Running, timeout: float) -> None:
    with running(serializer="msgpack") as other:
        asker = Asker(other.pipeline, "msgpack")
        with asker.sockets as sockets:
            asker.submit("j1")
            sockets.send_multipart("ask", [b"1", b"", MSGPACK().pack(Wait("j1", timeout))])
            [job] = asker.ask(Wait("j1", 0.05)).jobs
    assert job.state is State.QUEUED


def test_whoever_waits_is_not_answered_between_two_steps(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1")
    with asker.worker("second") as other, ThreadPoolExecutor() as threads:
        answer = threads.submit(asker.ended, "j1")
        worker.announce()
        other.announce()
        worker.succeed(*worker.jobs())
        [job] = other.jobs()
        assert not answer.done()
        other.succeed(job, all="done")
        assert answer.result(PATIENCE).result == {"all": "done"}


def test_cancelling_withdraws_a_running_job_and_says_how_many(
    asker: Asker, worker: FakeWorker
) -> None:
    asker.submit("j1", "j2")
    worker.announce()
    [job] = worker.jobs()
    assert asker.ask(Cancel(["j1", "j1", "nobody"])).jobs == 1
    order = worker.order()
    assert order.withdrawn == [(job.id, job.lease)]
    assert asker.ask(Cancel(["j1"])).jobs == 1  # as it would be asked again, were this lost
    assert asker.ask(Show()).cancelled == 1
    worker.succeed(job)
    worker.settled(job)
    assert asker.job("j1").state is State.CANCELLED


@pytest.mark.parametrize(
    "question",
    [
        None,
        "submit",
        {"type": "nonsense"},
        {"type": "submit"},
        {"type": "submit", "jobs": [{"id": 5}]},
        {"type": "wait", "id": "j", "timeout": "soon"},
    ],
)
def test_what_is_no_question_is_refused_with_the_reason(asker: Asker, question: object) -> None:
    reply = asker.ask(question)
    assert isinstance(reply, Refused)
    assert reply.error["name"] == "DeserializationError"


class Stubborn(JSON):
    """Reads what it does not write."""

    def pack(self, item: object) -> bytes | str:
        packed = super().pack(item)
        if b"unwritable" in (packed if isinstance(packed, bytes) else packed.encode()):
            raise SerializationError("not this")
        return packed


@pytest.mark.parametrize("name", ["j" * 256, "nul\0", ""], ids=["long", "nul", "empty"])
def test_a_submission_that_the_journal_cannot_hold_is_refused_as_a_whole(
    asker: Asker, name: str
) -> None:
    assert isinstance(asker.ask(Submit([Submission("j1", {}), Submission(name, {})])), Refused)
    assert asker.ask(Status(["j1"])).jobs == []
    asker.submit("j1", "j" * 255)


def test_a_result_that_the_journal_cannot_hold_is_a_failure(running: Running) -> None:
    with running(serializer=Stubborn()) as asker, asker.worker() as worker:
        reply = asker.ask(Submit([Submission("j1", {}), Submission("j2", {"a": "unwritable"})]))
        assert (type(reply), reply.error["message"]) == (Refused, "not this")
        asker.submit("j1")
        worker.announce()
        for _ in range(2):
            [job] = worker.jobs()
            worker.succeed(job, value="unwritable")
        dead = asker.ended("j1")
        assert dead.error
        assert (dead.state, dead.error["message"]) == (State.DEAD, "not this")


@pytest.mark.parametrize("raw", [b"{", b"\xff", b""])
def test_a_question_that_cannot_be_read_is_refused(asker: Asker, raw: bytes) -> None:
    with SocketManager(linger=0) as sockets:
        sockets.ensure_and_connect("ask", zmq.REQ, asker.pipeline.settings.reply_address)
        sockets.send_multipart("ask", [raw])
        reply = sockets.recv("ask", timeout=PATIENCE, type=Reply)
    assert isinstance(reply, Refused)
    assert "cannot read a message" in reply.error["message"]


def test_a_journal_of_another_serializer_is_refused_at_the_start(
    running: Running, make: Callable[..., Pipeline]
) -> None:
    with running() as asker:
        asker.submit("j1")
    with pytest.raises(JournalError, match=r"'j1' .* cannot be read"):
        make(serializer="msgpack").run()


def test_garbage_on_any_socket_stops_nothing(asker: Asker, worker: FakeWorker) -> None:
    settings = asker.pipeline.settings
    with SocketManager(linger=1) as sockets:
        for name, kind, address in (
            ("dealer", zmq.DEALER, settings.reply_address),
            ("push", zmq.PUSH, settings.results_address),
            ("pub", zmq.XPUB, settings.events_address),
        ):
            sockets.ensure_and_connect(name, kind, address)
        sockets.wait_for_subscribers("pub", "available", timeout=PATIENCE)
        for garbage in (b"", b"\xff\x00", b"{}", b"[1]", b'{"worker": 3}', b"null"):
            sockets.send_multipart("dealer", [garbage])
            sockets.send_multipart("dealer", [b"", garbage, garbage])
            sockets.send_multipart("push", [garbage])
            sockets.send_multipart("push", [garbage, garbage])
            sockets.send_multipart("pub", [b"available", garbage])
            sockets.send_multipart("pub", [b"logs", garbage])
            sockets.send_multipart("pub", [b"available"])
        sockets.publish(
            "pub",
            "available",
            {"worker": "x", "job_type": "first", "address": "nowhere", "slots": 1, "jobs": {}},
        )
    asker.submit("j1")
    worker.announce()
    assert [job.id for job in worker.jobs()] == ["j1"]


@pytest.mark.parametrize("name", [EVENTS, RESULTS, QUESTIONS])
def test_a_worker_that_is_called_like_a_socket_of_the_pipeline_is_one_like_any(
    asker: Asker, worker: FakeWorker, name: str
) -> None:
    worker.name = name
    asker.submit("j1")
    worker.succeed(Assignment("j1", 1, 1, {}))
    worker.announce()
    [job] = worker.jobs()
    worker.succeed(job)
    worker.settled(job)
    worker.leave()
    asker.submit("j2")


def test_a_clock_that_is_set_back_puts_nothing_off(
    asker: Asker, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker.submit("j1")
    before = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: before)
    asker.submit("j2")
    worker.slots = 2
    worker.announce()
    assert [job.id for job in worker.jobs(2)] == ["j1", "j2"]


@contextmanager
def frozen(journal: str) -> Iterator[None]:
    """Hold the lock of a journal: the turn that writes next waits, and then fails."""
    path = journal.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        yield
        locker.execute("ROLLBACK")


def test_a_locked_journal_is_told_to_the_submitter_and_loses_nothing(
    asker: Asker, worker: FakeWorker, journal: str
) -> None:
    asker.submit("j1")
    worker.announce()
    [job] = worker.jobs()
    with frozen(journal):
        worker.succeed(job)
        reply = asker.ask(Submit([Submission("j2", {})]))
        assert isinstance(reply, Refused)
        assert reply.error["name"] == "JournalError"
        assert "locked" in reply.error["message"]
        assert asker.job("j1").state is State.RUNNING
    worker.settled(job)
    assert asker.ask(Status(["j2"])) == Found([])
    asker.submit("j2")
    assert [job.id for job in worker.jobs()] == ["j2"]


class Doubtful(Journal):
    """Loses its connection just when its first new jobs are in the database."""

    lost = False

    def write(self, new: Sequence[Job] = (), changed: Collection[Job] = ()) -> set[str]:
        known = super().write(new, changed)
        if new and not self.lost:
            self.lost = True
            raise JournalError("the connection was lost")
        return known


def test_what_was_refused_and_written_all_the_same_is_done(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentzero.pipeline.service.Journal", Doubtful)
    with running() as asker, asker.worker(slots=2) as worker:
        assert isinstance(asker.ask(Submit([Submission("j1", {})])), Refused)
        asker.submit("j1", "j2")
        worker.announce()
        assert {job.id for job in worker.jobs(2)} == {"j1", "j2"}
        assert asker.ask(Show()).steps[0].running == 2


class Unsure(Journal):
    """Loses its connection just when the first job that has gone on is in the database."""

    lost = False

    def write(self, new: Sequence[Job] = (), changed: Collection[Job] = ()) -> set[str]:
        known = super().write(new, changed)
        if not self.lost and any(job.step == "second" for job in changed):
            self.lost = True
            raise JournalError("the connection was lost")
        return known


def test_a_result_that_was_written_after_all_counts_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentzero.pipeline.service.Journal", Unsure)
    with running() as asker, asker.worker() as worker, asker.worker("second") as other:
        other.announce()
        asker.submit("j1")
        worker.announce()
        [job] = worker.jobs()
        asker.submit("j2")  # the hand-out is in the journal with it
        worker.succeed(job)
        worker.settled(job)
        [second] = other.jobs()
        other.succeed(second)
        other.settled(second)
        [job] = worker.jobs()
        assert job.id == "j2"
        overview = asker.ask(Show())
        assert (overview.done, overview.steps[0].running, overview.steps[1].queued) == (1, 1, 0)


class Unprunable(Journal):
    """Deletes nothing."""

    tries = 0

    def prune(self, before: float, limit: int) -> Counter[tuple[str, State]]:
        Unprunable.tries += 1
        raise JournalError("nothing can be deleted")


def test_a_lasting_failure_is_logged_once(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agentzero.pipeline.service.Journal", Unprunable)
    monkeypatch.setattr("agentzero.pipeline.ledger.PRUNING", 0.0)
    with running() as asker:
        while Unprunable.tries < 5:
            asker.ask(Show())
    assert len([record for record in caplog.records if "no job goes on" in record.message]) == 1


def test_a_pipeline_that_has_nothing_to_write_notices_that_its_journal_is_taken(
    make: Callable[..., Pipeline], journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentzero.pipeline.ledger.PRUNING", 0.0)
    pipeline = make()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(pipeline.run)
        asker = Asker(pipeline)
        with asker.sockets:
            asker.submit("j1")
        with Journal(journal, "test"), pytest.raises(JournalTaken):
            running.result(PATIENCE)
        pipeline.stop()


def test_only_one_pipeline_has_the_journal(
    make: Callable[..., Pipeline], journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = make()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            pipeline.run()
        except JournalTaken as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    asker = Asker(pipeline)
    with asker.sockets:
        asker.submit("j0")
        asker.submit("j1")  # so that its first turn, in which it prunes, is over
        with Journal(journal, "test"):
            reply = asker.ask(Submit([Submission("j2", {})]))
            thread.join(PATIENCE)
    assert isinstance(reply, Refused)
    assert [type(error) for error in raised] == [JournalTaken]


def test_an_address_that_is_taken_leaves_the_journal_to_who_has_it(
    asker: Asker, make: Callable[..., Pipeline]
) -> None:
    asker.submit("j0")
    with pytest.raises(SocketBindError):
        make().run()
    asker.submit("j1")


def test_a_stopped_pipeline_waits_for_what_runs_and_takes_no_more(
    make: Callable[..., Pipeline],
) -> None:
    pipeline = make(grace=PATIENCE)
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    asker = Asker(pipeline)
    with asker.worker() as worker, asker.sockets:
        asker.submit("j1", "j2")
        worker.announce()
        [job] = worker.jobs()
        pipeline.stop()
        while not isinstance(reply := asker.ask(Submit([Submission("j3", {})])), Refused):
            pass
        assert reply.error["name"] == "PipelineDraining"
        worker.succeed(job)
        worker.settled(job)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_events_reach_the_listener_as_dataclasses(running: Running) -> None:
    heard: list[object] = []
    with running(on_event=heard.append) as asker, asker.worker() as worker:
        worker.publish("started", Started(worker.name, "first", "j1", 1))
        while not heard:
            asker.ask(Show())
    assert heard == [Started(worker.name, "first", "j1", 1)]


def test_the_overview_counts_and_shows_log_lines(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1", "j2")
    worker.announce()
    worker.publish("logs", {"msg": "hello", "level": 20, "name": "first", "created": 5.0})
    [job] = worker.jobs()
    worker.fail(job)
    worker.settled(job)
    while not (shown := asker.ask(Show())).logs:
        pass
    [first, second] = shown.steps
    assert (first.job_type, first.workers, first.slots, first.failed, first.retried) == (
        "first", 1, 1, 1, 1,
    )  # fmt: skip
    assert first.queued + first.running == 2
    assert second.workers == 0
    assert [line.message for line in shown.logs] == ["hello"]
    assert [worker.worker for worker in shown.workers] == [worker.name]


def test_a_worker_that_leaves_is_not_counted_on(asker: Asker, worker: FakeWorker) -> None:
    asker.submit("j1")
    worker.announce()
    worker.jobs()
    worker.leave()
    with asker.worker() as other:
        other.announce()
        [job] = other.jobs()
    assert (job.id, job.attempt) == ("j1", 1)


class Arrived:
    """What is there when a turn begins: a result, and what its worker has published."""

    def __init__(self, job: Assignment, *events: Event) -> None:
        self._result = Result(job.id, job.lease, Outcome.SUCCESS, {})
        self._events = events

    def events(self) -> tuple[Event, ...]:
        return self._events

    def results(self) -> list[Results]:
        return [Results("w1", [self._result])]

    def questions(self) -> list[Envelope]:
        return []


def decided(pipeline: Pipeline, *events: Event) -> Changes:
    """Return what is decided when the result of the job "j1" arrives with these events."""
    service = Service(pipeline.settings, lambda: 0)
    dispatcher, now, changes = service.dispatcher, Moment(1000.0, 1000.0), Changes()
    dispatcher.refill("first", [], None)
    dispatcher.submit(changes, [Submission("j1", {})], now)
    dispatcher.announce(changes, Available("w1", "first", "inproc://w1", 1), now)
    dispatcher.absorb(changes, (), now)
    [job] = dispatcher.assign(now)["w1"]
    service.inbox = Arrived(job, *events)  # type: ignore[assignment]
    with service.sockets:
        service._decide(changes := Changes(), now)
    return changes


def test_the_last_result_of_a_worker_counts_though_it_has_left(
    make: Callable[..., Pipeline],
) -> None:
    changes = decided(make(), Event("gone", {"worker": "w1", "job_type": "first"}))
    assert changes.jobs["j1"].step == "second"


def test_a_job_is_not_sent_again_along_with_the_word_that_it_is_settled(
    make: Callable[..., Pipeline],
) -> None:
    before = {"worker": "w1", "job_type": "first", "address": "inproc://w1", "slots": 1}
    changes = decided(make(), *[Event("available", before)] * 3)
    assert changes.orders["w1"].settled == [("j1", 1)]
    assert changes.orders["w1"].jobs == []


def test_finished_jobs_are_kept_no_longer_than_asked(running: Running) -> None:
    with running(keep=0.0) as asker:
        asker.submit("j1", "j2")
        assert asker.ask(Cancel(["j1"])).jobs == 1
    with running(keep=0.0) as asker:
        while asker.ask(Status(["j1"])).jobs:
            pass
        assert asker.ask(Show()).cancelled == 0
        assert asker.job("j2").state is State.QUEUED
