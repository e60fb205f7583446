"""A pipeline that only answers: its jobs are in memory, and tests say what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import singledispatchmethod
from typing import Any

import msgspec
import zmq

from agentzero import SocketManager
from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.wire import (
    Accepted,
    Cancel,
    Count,
    Dead,
    Found,
    Overview,
    Question,
    Refused,
    Reply,
    Requeue,
    Show,
    Status,
    StepOverview,
    Submission,
    Submit,
    Wait,
    WorkerOverview,
)
from agentzero.util import serialized_exception

ERROR = {"module": "builtins", "name": "OSError", "message": "disk full", "traceback": "..."}

# How many questions can be under way at a time.
SERVERS = 3


class FakePipeline:
    """Answers questions as a pipeline with one step named "double" does.

    Attributes:
        address: where.
        jobs: all that were submitted.
        asked: all that was asked.
        answer: what makes an answer of a question; tests may put another function in its place.
    """

    def __init__(self, serializer: Any = None) -> None:
        self.address = "tcp://127.0.0.1:*"
        self.jobs: dict[str, Job] = {}
        self.asked: list[Any] = []
        self.answer: Callable[[Any], Any] = self.reply
        self.started = time.time()
        self._serializer = serializer
        self._changed = threading.Condition()
        self._sockets: SocketManager | None = None
        self.start()

    def start(self) -> None:
        """Begin to answer, at the same address as before."""
        sockets = SocketManager(
            serialization_backend=self._serializer, backend="threads", linger=0.5
        )
        sockets.ensure_and_bind("replies", zmq.ROUTER, self.address)
        [self.address] = sockets.endpoints("replies")
        self._sockets = sockets
        for _ in range(SERVERS):
            threading.Thread(
                target=sockets.serve, args=("replies", self._serve), kwargs={"type": Question}
            ).start()

    def stop(self) -> None:
        """Die: what is still unanswered stays so."""
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            sockets.close_all()
        with self._changed:
            self._changed.notify_all()

    def _serve(self, question: Question) -> Any:
        self.asked.append(question)
        try:
            return self.answer(question)
        except PipelineError as error:
            return Refused(serialized_exception(error))

    def was_asked(self, kind: type, times: int = 1) -> bool:
        """Whether so many questions of that kind have come."""
        return sum(isinstance(question, kind) for question in self.asked) >= times

    def never(self, question: Question) -> None:
        """An answer that does not come before the pipeline dies."""
        self._hold(lambda: False, None)

    def _hold(self, over: Callable[[], bool], timeout: float | None) -> None:
        alive = self._sockets
        with self._changed:
            self._changed.wait_for(lambda: self._sockets is not alive or over(), timeout)

    def submit(self, id: str, number: int) -> None:
        """Have a job."""
        self.reply(Submit([Submission(id, {"number": number})]))

    def settle(self, id: str, **changes: Any) -> None:
        """Change a job."""
        with self._changed:
            self.jobs[id] = msgspec.structs.replace(self.jobs[id], **changes)
            self._changed.notify_all()

    def finish(self, id: str) -> None:
        """Do a job."""
        number = self.jobs[id].instructions["number"]
        self.settle(id, state=State.DONE, result={"number": 2 * number})

    def fail(self, id: str) -> None:
        """Make a job a dead letter."""
        self.settle(id, state=State.DEAD, error=ERROR)

    def _find(self, ids: Iterable[str]) -> list[Job]:
        return [self.jobs[id] for id in dict.fromkeys(ids) if id in self.jobs]

    def _dead(self, step: str | None) -> list[Job]:
        return [j for j in self.jobs.values() if j.state == "dead" and step in (None, j.step)]

    # One answer per kind of question

    @singledispatchmethod
    def reply(self, question: Any) -> Reply:
        raise NotImplementedError(question)

    @reply.register
    def _(self, question: Submit) -> Reply:
        for id, instructions in ((job.id, job.instructions) for job in question.jobs):
            job = Job(id=id, step="double", instructions=instructions, submitted=1.0)
            self.jobs.setdefault(id, job)
        return Accepted([job.id for job in question.jobs])

    @reply.register
    def _(self, question: Status) -> Reply:
        return Found(self._find(question.ids))

    @reply.register
    def _(self, question: Wait) -> Reply:
        def over() -> bool:
            found = self._find([question.id])
            return not found or found[0].ended

        self._hold(over, question.timeout)
        return Found(self._find([question.id]))

    @reply.register
    def _(self, question: Cancel) -> Reply:
        open_ = [job for job in self._find(question.ids) if not job.ended]
        for job in open_:
            self.settle(job.id, state=State.CANCELLED)
        return Count(len(open_))

    @reply.register
    def _(self, question: Dead) -> Reply:
        return Found(self._dead(question.step)[: question.limit])

    @reply.register
    def _(self, question: Requeue) -> Reply:
        wanted = [job for job in self._dead(question.step) if job.id in (question.ids or self.jobs)]
        for job in wanted:
            self.settle(job.id, state=State.QUEUED)
        return Count(len(wanted))

    @reply.register
    def _(self, question: Show) -> Reply:
        counts = [job.state for job in self.jobs.values()].count
        step = StepOverview(
            "double",
            counts(State.QUEUED),
            counts(State.RUNNING),
            counts(State.DEAD),
            workers=1,
            slots=4,
            done=counts(State.DONE),
        )
        worker = WorkerOverview("w1", "double", "tcp://127.0.0.1:9", 4, 0, 0.25)
        done, cancelled = counts(State.DONE), counts(State.CANCELLED)
        return Overview(
            "fake", self.started, time.time(), [step], [worker], done, cancelled, logs=[]
        )
