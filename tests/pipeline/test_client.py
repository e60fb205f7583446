"""Client and AsyncClient: what they ask, what they make of the answers, and what they survive."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentzero.errors import (
    DeserializationError,
    ManagerClosed,
    RemoteError,
    SerializationError,
    SocketClosed,
    SocketTimeout,
)
from agentzero.pipeline import dialogues
from agentzero.pipeline.aio import AsyncClient
from agentzero.pipeline.client import Client
from agentzero.pipeline.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    JournalError,
    PipelineDraining,
    ResultTimeout,
)
from agentzero.pipeline.wire import Accepted, Cancel, Count, Refused, Requeue, Show, Submit, Wait
from agentzero.serializers import BaseSerializer
from agentzero.util import serialized_exception
from tests.conftest import BACKENDS, Blocking, Loop, Task, Tasks
from tests.pipeline.fake_replies import ERROR, FakePipeline

VERBS = [
    "submit",
    "submit_many",
    "status",
    "find",
    "result",
    "cancel",
    "dead",
    "requeue",
    "overview",
]


@pytest.fixture(params=["threads", "gevent", "asyncio"])
def backend(request: pytest.FixtureRequest) -> Iterator[Tasks]:
    """The ways to wait that the clients of the test have; what they ask is the same in all."""
    tasks = BACKENDS[request.param]()
    yield tasks
    tasks.end()


@pytest.fixture
def pipeline() -> Iterator[FakePipeline]:
    fake = FakePipeline()
    yield fake
    fake.stop()


@pytest.fixture
def connect(backend: Tasks) -> Iterator[Callable[..., Any]]:
    """Make a client of an address, with the face of the sync one."""
    made: list[Any] = []

    def make(address: str, **options: Any) -> Any:
        if isinstance(backend, Loop):
            client: Any = Blocking(AsyncClient(address, **options), backend.call)
        else:
            client = Client(address, backend=backend.name, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(connect: Callable[..., Any], pipeline: FakePipeline) -> Any:
    return connect(pipeline.address)


@pytest.fixture
def wait(
    client: Any, pipeline: FakePipeline, spawn: Callable[..., Task], eventually: Any
) -> Callable[..., tuple[str, Task]]:
    """Submit a job, and have somebody wait for its result; return its id, and who waits."""

    def begin(timeout: float = math.inf) -> tuple[str, Task]:
        id = client.submit({"number": 1})
        waiting = spawn(client.result, id, timeout)
        eventually(lambda: pipeline.was_asked(Wait, 2))
        return id, waiting

    return begin


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions are sent again soon."""
    monkeypatch.setattr(dialogues, "AGAIN", 0.1)


def shape(function: Any) -> tuple[list[tuple[str, Any, Any]], str]:
    parameters = inspect.signature(function).parameters.values()
    prose = str(inspect.getdoc(function)).partition(">>>")[0]
    return [(p.name, p.kind, p.default) for p in parameters], prose


@pytest.mark.parametrize("name", [*VERBS, "close", "__init__"])
def test_both_clients_have_the_same_parameters_and_words(name: str) -> None:
    ours, theirs = getattr(AsyncClient, name), getattr(Client, name)
    assert shape(ours) == shape(theirs)
    assert inspect.iscoroutinefunction(ours) is (name != "__init__")


def test_both_clients_have_the_same_names() -> None:
    names = {name for name in dir(Client) if not name.startswith("_")}
    assert names == {name for name in dir(AsyncClient) if not name.startswith("_")}
    assert names == {*VERBS, "close"}


def test_many_jobs_are_found_at_once_in_the_order_asked_for(
    client: Any, pipeline: FakePipeline
) -> None:
    ids = client.submit_many({"number": number} for number in range(2500))
    wanted = [*reversed(ids), "nobody"]
    assert [job.id for job in client.find(iter(wanted))] == wanted[:-1]
    with pytest.raises(TypeError, match="the id of a job is a str"):
        client.find([5])


def test_a_job_is_submitted_and_its_result_returned(client: Any, pipeline: FakePipeline) -> None:
    id = client.submit({"number": 21})
    assert client.status(id).instructions == {"number": 21}
    pipeline.finish(id)
    assert client.result(id) == {"number": 42}


def test_many_jobs_go_a_thousand_to_a_question(client: Any, pipeline: FakePipeline) -> None:
    ids = client.submit_many({"number": number} for number in range(2001))
    assert [len(question.jobs) for question in pipeline.asked] == [1000, 1000, 1]
    assert [pipeline.jobs[id].instructions["number"] for id in ids] == list(range(2001))
    assert client.submit_many([]) == []


def test_the_ids_that_are_given_count(client: Any, pipeline: FakePipeline) -> None:
    assert client.submit({"number": 1}, id="a") == "a"
    assert client.submit_many([{"number": 2}, {"number": 3}], ids=["a", "b"]) == ["a", "b"]
    assert [job.instructions["number"] for job in pipeline.jobs.values()] == [1, 3]


@pytest.mark.parametrize("ids", [["a"], ["a", "b", "c"]])
def test_as_many_ids_as_instructions_are_needed(
    ids: list[str], client: Any, pipeline: FakePipeline
) -> None:
    with pytest.raises(ValueError, match="argument"):
        client.submit_many([{"number": 1}, {"number": 2}], ids=ids)
    assert pipeline.jobs == {}


@pytest.mark.parametrize(
    ("instructions", "id", "error"),
    [
        ([1], None, TypeError),
        ("{}", None, TypeError),
        ({}, 7, TypeError),
        ({}, "", ValueError),
        ({}, "x" * 256, ValueError),
        ({}, "x\0y", ValueError),
        ({"number": math.nan}, None, SerializationError),
    ],
)
def test_what_cannot_be_submitted_is_not_sent(
    instructions: Any, id: Any, error: type[Exception], client: Any, pipeline: FakePipeline
) -> None:
    with pytest.raises(error):
        client.submit(instructions, id=id)
    assert pipeline.asked == []


@pytest.mark.parametrize("verb", ["status", "result", "cancel", "requeue"])
@pytest.mark.parametrize(
    ("id", "error", "text"),
    [
        (3, TypeError, "the id of a job is a str, not 3"),
        (None, TypeError, "the id of a job is a str, not None"),
        ("", ValueError, "1 to 255 characters, and no NUL: not ''"),
        ("x" * 256, ValueError, f"1 to 255 characters.*'{'x' * 40}'... of 256"),
        ("x\0y", ValueError, "no NUL"),
        ("\ud800", ValueError, "the id of a job"),
    ],
)
def test_what_is_no_id_is_not_asked_for(
    verb: str, id: Any, error: type[Exception], text: str, client: Any, pipeline: FakePipeline
) -> None:
    with pytest.raises(error, match=text):
        getattr(client, verb)(id)
    assert pipeline.asked == []


def test_an_id_may_have_255_characters_of_any_kind(client: Any) -> None:
    id = client.submit({"number": 1}, id="\n" + "\N{GRINNING FACE}" * 254)
    assert client.status(id).id == id


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda client: client.find("abc"), TypeError, "several ids .*, not 'abc'"),
        (lambda client: client.find([""]), ValueError, "1 to 255 characters"),
        (lambda client: client.submit_many([{}], ids="a"), TypeError, "several ids"),
        (lambda client: client.dead(limit=-1), ValueError, "limit is 0 or more, not -1"),
        (lambda client: client.dead(limit=1.5), TypeError, "limit is a whole number, not 1.5"),
        (lambda client: client.dead(limit=True), TypeError, "limit is a whole number"),
        (lambda client: client.dead(3), TypeError, "a step is named by its job type.* not 3"),
        (lambda client: client.requeue(step=3), TypeError, "a step is named by its job type"),
        (lambda client: client.requeue("a", step=3), TypeError, "a step is named"),
        (
            lambda client: client.result("a", "1"),
            TypeError,
            "timeout is a number of seconds, 0 or more, not .*'1'",
        ),
        (
            lambda client: client.result("a", math.nan),
            ValueError,
            "timeout is a number of seconds, 0 or more",
        ),
        (
            lambda client: client.result("a", -1),
            ValueError,
            "timeout is a number of seconds, 0 or more",
        ),
    ],
)
def test_what_makes_no_question_is_not_asked(
    ask: Callable[[Any], object],
    error: type[Exception],
    text: str,
    client: Any,
    pipeline: FakePipeline,
) -> None:
    with pytest.raises(error, match=text):
        ask(client)
    assert pipeline.asked == []


def test_a_result_is_waited_for(
    wait: Callable[..., tuple[str, Task]],
    client: Any,
    pipeline: FakePipeline,
    spawn: Callable[..., Task],
    eventually: Any,
    impatient: None,
) -> None:
    id, waiting = wait()
    spawn(client.status, id).result()  # others are answered meanwhile
    eventually(lambda: pipeline.was_asked(Wait, 3))
    pipeline.finish(id)
    assert waiting.result() == {"number": 2}


@pytest.mark.parametrize("timeout", [0, 0.05, 0.2])
def test_a_result_that_is_not_there_in_time_says_how_far_the_job_is(
    timeout: float, client: Any, impatient: None
) -> None:
    id = client.submit({"number": 1})
    with pytest.raises(ResultTimeout, match=f"{id} .* in {timeout} s; .* queued in step double"):
        client.result(id, timeout)


def test_whether_a_result_is_there_may_be_asked_with_no_time_to_wait(
    client: Any, pipeline: FakePipeline
) -> None:
    def slowly(question: Any) -> Any:
        threading.Event().wait(0.05)
        return pipeline.reply(question)

    pipeline.answer = slowly
    id = client.submit({"number": 1})
    with pytest.raises(ResultTimeout):
        client.result(id, 0)
    pipeline.finish(id)
    assert client.result(id, 0) == {"number": 2}


def test_a_job_that_failed_raises_what_it_raised(client: Any, pipeline: FakePipeline) -> None:
    id = client.submit({"number": 1})
    pipeline.fail(id)
    with pytest.raises(JobFailed, match="step double: OSError: disk full") as caught:
        client.result(id)
    assert (caught.value.job, caught.value.step, caught.value.error) == (id, "double", ERROR)


def test_a_cancelled_job_has_no_result(client: Any) -> None:
    ids = client.submit_many([{"number": 1}] * 3)
    assert client.cancel(*ids[:2], "unknown") == 2
    assert client.cancel(ids[0]) == 0
    with pytest.raises(JobCancelled, match=ids[0]):
        client.result(ids[0])


def test_an_unknown_job_is_not_found(client: Any) -> None:
    for ask in (client.status, client.result):
        with pytest.raises(JobNotFound, match="no job nobody"):
            ask("nobody")


def test_dead_letters_are_listed_and_requeued(client: Any, pipeline: FakePipeline) -> None:
    ids = client.submit_many([{"number": 1}] * 5)
    for id in ids:
        pipeline.fail(id)
    assert [job.id for job in client.dead()] == ids
    assert [job.id for job in client.dead(limit=2)] == ids[:2]
    assert client.dead(limit=2**70) == client.dead()
    assert client.dead("other") == []
    assert client.requeue(*ids[:2]) == 2
    assert client.requeue(step="other") == 0
    assert client.requeue() == 3
    assert client.dead() == []


def test_any_number_of_ids_can_be_named(client: Any, pipeline: FakePipeline) -> None:
    ids = client.submit_many([{"number": 1}] * 1001)
    assert client.requeue(*ids) == 0
    assert client.cancel(*ids) == 1001
    sizes = [len(q.ids or ()) for q in pipeline.asked if isinstance(q, Cancel | Requeue)]
    assert sizes == [1000, 1, 1000, 1]
    assert client.cancel() == 0


def test_the_overview_tells_of_steps_and_workers(client: Any) -> None:
    client.submit({"number": 1})
    overview = client.overview()
    assert [(step.job_type, step.queued) for step in overview.steps] == [("double", 1)]
    assert [worker.worker for worker in overview.workers] == ["w1"]


def test_a_pipeline_that_is_not_there_is_named(connect: Callable[..., Any]) -> None:
    client = connect("tcp://127.0.0.1:9", timeout=0.2)
    for ask in (client.overview, lambda: client.result("a", 0.2)):
        with pytest.raises(SocketTimeout, match=r"in 0.2 s: .*tcp://127.0.0.1:9.* refused"):
            ask()


def test_a_pipeline_may_come_later(
    connect: Callable[..., Any], pipeline: FakePipeline, spawn: Callable[..., Task]
) -> None:
    pipeline.stop()
    client = connect(pipeline.address)
    submitting = spawn(client.submit, {"number": 1})
    pipeline.start()
    assert submitting.result() in pipeline.jobs


def test_what_nobody_waits_for_any_more_is_not_sent(
    connect: Callable[..., Any], pipeline: FakePipeline
) -> None:
    pipeline.stop()
    client = connect(pipeline.address, timeout=0.1)
    with pytest.raises(SocketTimeout):
        client.submit({"number": 1})
    pipeline.start()
    client.timeout = 20
    client.overview()
    assert [type(question) for question in pipeline.asked] == [Show]


def test_a_submission_survives_a_pipeline_that_dies_with_it(
    client: Any,
    pipeline: FakePipeline,
    spawn: Callable[..., Task],
    eventually: Any,
    impatient: None,
) -> None:
    pipeline.answer = pipeline.never
    submitting = spawn(client.submit, {"number": 1})
    eventually(lambda: pipeline.was_asked(Submit))
    pipeline.answer = pipeline.reply
    restart(pipeline)
    assert [submitting.result()] == list(pipeline.jobs)


def restart(pipeline: FakePipeline) -> None:
    pipeline.stop()
    pipeline.start()


def test_whoever_waits_for_a_result_survives_a_restart(
    wait: Callable[..., tuple[str, Task]], pipeline: FakePipeline, impatient: None
) -> None:
    id, waiting = wait()
    restart(pipeline)
    pipeline.finish(id)
    assert waiting.result() == {"number": 2}


def test_a_pipeline_that_goes_for_good_does_not_keep_whoever_waits_for_a_result(
    wait: Callable[..., tuple[str, Task]], pipeline: FakePipeline, impatient: None
) -> None:
    _, waiting = wait(timeout=0.3)
    pipeline.stop()
    with pytest.raises(ResultTimeout):
        waiting.result()


@pytest.mark.parametrize("timeout", [1, 2])
def test_a_draining_pipeline_is_asked_again_until_it_is_back(
    timeout: float, connect: Callable[..., Any], pipeline: FakePipeline
) -> None:
    client = connect(pipeline.address, timeout=timeout)
    refusals = iter([PipelineDraining("it ends"), PipelineDraining("it ends")])

    def answer(question: Any) -> Any:
        for error in refusals:
            raise error
        return pipeline.reply(question)

    pipeline.answer = answer
    assert client.submit({"number": 1}) in pipeline.jobs
    assert len(pipeline.asked) == 3


@pytest.mark.parametrize(("timeout", "seconds"), [(2, 0.2), (10, 1.0), (math.inf, 2.0)])
def test_a_draining_pipeline_is_left_in_peace_for_a_part_of_the_time(
    timeout: float, seconds: float
) -> None:
    submitting = dialogues.submit_many([{}], None, timeout)
    next(submitting)
    refused = Refused(serialized_exception(PipelineDraining("it ends")))
    assert submitting.send(refused) == dialogues.Pause(seconds)


def test_a_pipeline_that_drains_for_long_is_left_in_peace(
    connect: Callable[..., Any], pipeline: FakePipeline
) -> None:
    pipeline.answer = lambda question: Refused(serialized_exception(PipelineDraining("it ends")))
    with pytest.raises(PipelineDraining, match="it ends"):
        connect(pipeline.address, timeout=0.5).submit({"number": 1})
    assert 2 <= len(pipeline.asked) <= 10


@pytest.mark.parametrize(
    "error", [PipelineDraining("it ends"), JournalError("disk full"), JobNotFound("no job")]
)
def test_what_the_pipeline_refuses_is_raised(
    error: Exception, connect: Callable[..., Any], pipeline: FakePipeline
) -> None:
    pipeline.answer = lambda question: Refused(serialized_exception(error))
    with pytest.raises(type(error), match=str(error)):
        connect(pipeline.address, timeout=0.5).submit({})


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such thing"),
        JobFailed("j1", "double", ERROR),
        type("JournalError", (Exception,), {})("of another module"),
    ],
)
def test_an_error_that_is_not_the_pipelines_own_is_a_remote_one(
    error: Exception, client: Any, pipeline: FakePipeline
) -> None:
    pipeline.answer = lambda question: Refused(serialized_exception(error))
    with pytest.raises(RemoteError, match=str(error)) as caught:
        client.status("a")
    assert caught.value.name == type(error).__name__


def test_a_refusal_without_words_is_an_error_all_the_same(
    client: Any, pipeline: FakePipeline
) -> None:
    pipeline.answer = lambda question: Refused({})
    with pytest.raises(RemoteError):
        client.status("a")


@pytest.mark.parametrize("garbage", [None, 7, {"type": "found"}, Count(1), Accepted([])])
def test_a_reply_that_makes_no_sense_is_an_error(
    garbage: Any, client: Any, pipeline: FakePipeline
) -> None:
    pipeline.answer = lambda question: garbage
    with pytest.raises(DeserializationError):
        client.dead()
    pipeline.answer = pipeline.reply
    assert client.dead() == []


class Noise(BaseSerializer):
    """Writes what nobody can read."""

    def pack(self, item: Any) -> bytes:
        return b"\xff\x00"

    def unpack(self, item: bytes) -> Any:
        return {"type": "show"}


def test_bytes_that_nobody_can_read_are_an_error(connect: Callable[..., Any]) -> None:
    noisy = FakePipeline(Noise())
    try:
        with pytest.raises(DeserializationError):
            connect(noisy.address).overview()
    finally:
        noisy.stop()


@pytest.mark.parametrize("codec", ["json", "msgpack", "cbor"])
def test_any_serializer_will_do(codec: str, connect: Callable[..., Any]) -> None:
    pipeline = FakePipeline(codec)
    try:
        client = connect(pipeline.address, serializer=codec)
        id = client.submit({"number": 1, "name": "é"})
        assert client.status(id) == pipeline.jobs[id]
    finally:
        pipeline.stop()


def test_closing_wakes_whoever_waits_and_is_harmless_twice(
    wait: Callable[..., tuple[str, Task]], client: Any
) -> None:
    _, waiting = wait()
    client.close()
    client.close()
    with pytest.raises((SocketClosed, ManagerClosed)):
        waiting.result()
    with pytest.raises(ManagerClosed):
        client.overview()


def test_a_time_that_cannot_be_waited_is_refused(pipeline: FakePipeline) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Client(pipeline.address, timeout=-1)


def test_a_client_shows_whom_it_asks() -> None:
    with Client("tcp://127.0.0.1:7710") as client:
        assert repr(client) == "Client('tcp://127.0.0.1:7710')"
