"""Client: submit jobs to a pipeline, look after them, and have their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.backends import Backend
from agentzero.errors import SocketTimeout
from agentzero.pipeline import dialogues
from agentzero.pipeline.dialogues import Ask, Dialogue
from agentzero.pipeline.jobs import Instructions, Job
from agentzero.pipeline.wire import REPLY_ADDRESS, Overview
from agentzero.serializers import Serializer

__all__ = ["Client"]

T = TypeVar("T")

# The names of the sockets.
QUESTIONS = "pipeline"
NOTHING = "nothing"  # a socket where nothing ever comes: to wait there is to pause, on any backend

# How often a silent pipeline is asked for a sign of life: its host may have gone without a word.
HEARTBEAT_IN_MILLISECONDS = 5000


def connect(sockets: SocketManager | AsyncSocketManager, address: str) -> None:
    """Make the sockets of a client."""
    sockets.create(QUESTIONS, zmq.DEALER)
    # While there is no pipeline no questions pile up for it, which nobody would wait for any more.
    sockets.set_socket_option(QUESTIONS, zmq.IMMEDIATE, 1)
    sockets.set_socket_option(QUESTIONS, zmq.HEARTBEAT_IVL, HEARTBEAT_IN_MILLISECONDS)
    sockets.connect(QUESTIONS, address)
    sockets.create(NOTHING, zmq.PULL)


class Client:
    """Asks a pipeline, from any number of threads (or greenlets).

    Each question is sent again every 2 seconds until there is an answer, so a pipeline that is
    restarted meanwhile is only noticed by the time that it takes. Ids are made up here, so a job
    that is submitted again is still accepted once.

    Args:
        reply_address: where the pipeline answers.
        timeout: seconds that it has for each answer; `math.inf` waits for ever.
        serializer: the pipeline's; None means $AGENTZERO_SERIALIZER, else JSON.
        backend: how to wait, as for the manager of sockets.

    Every method may raise SocketTimeout, which says whether the pipeline could be reached, and
    JournalError, when the pipeline cannot read or write its journal.

    >>> with Client(address) as client:
    ...     id = client.submit({"number": 21})
    ...     client.result(id)
    {'number': 42}
    """

    def __init__(
        self,
        reply_address: str = REPLY_ADDRESS,
        *,
        timeout: float = 10.0,
        serializer: Serializer | str | None = None,
        backend: Backend | str | None = None,
    ) -> None:
        self.reply_address = reply_address
        self.timeout = timeout
        # Whatever has not been sent by the end, nobody waits for.
        self._sockets = SocketManager(
            serialization_backend=serializer, timeout=timeout, backend=backend, linger=0
        )
        connect(self._sockets, reply_address)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reply_address!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; twice is harmless. Who still waits gets SocketClosed.

        >>> Client().close()
        """
        self._sockets.close_all()

    def _run(self, dialogue: Dialogue[T]) -> T:
        reply = None
        try:
            while True:
                reply = self._take(dialogue.send(reply))
        except StopIteration as end:
            result: T = end.value
            return result

    def _take(self, step: Any) -> Any:
        if not isinstance(step, Ask):
            return self._sockets.recv_safe(NOTHING, step.seconds)
        try:
            return self._sockets.request(QUESTIONS, step.question, step.timeout, type=step.reply)
        except SocketTimeout as error:
            return error

    def submit(self, instructions: Mapping[str, Any], *, id: str | None = None) -> str:
        """Submit one job, and return its id once it is in the journal.

        Args:
            instructions: what the first step is given.
            id: the job's, where you want to name it: whatever you submit under an id that the
                pipeline has already, changes nothing. None makes up a new one.

        Raises:
            PipelineDraining: the pipeline is about to end, and was not back in time.
            SerializationError: the instructions cannot be written.

        >>> with Client(address) as client:
        ...     client.submit({"number": 1}, id="one")
        'one'
        """
        return self._run(dialogues.submit(instructions, id, self.timeout))

    def submit_many(
        self, instructions: Iterable[Mapping[str, Any]], *, ids: Iterable[str] | None = None
    ) -> list[str]:
        """Submit a job for each of the instructions, and return their ids once all are journalled.

        Both iterables are read bit by bit, and the jobs are sent 1,000 at a time: when it raises,
        some may have been accepted. Give `ids` to be able to submit them all again.

        Args:
            instructions: what the first step is given, for each job.
            ids: as many ids, as for `submit`; None makes up new ones.

        Raises:
            ValueError: there are not as many ids as instructions; others as for `submit`.

        >>> with Client(address) as client:
        ...     len(client.submit_many({"number": number} for number in range(3)))
        3
        """
        return self._run(dialogues.submit_many(instructions, ids, self.timeout))

    def status(self, id: str) -> Job:
        """Return the job of that id, as it stands in the journal.

        Raises:
            JobNotFound: there is none.

        >>> with Client(address) as client:
        ...     client.status(client.submit({"number": 1})).instructions
        {'number': 1}
        """
        return self._run(dialogues.status(id, self.timeout))

    def find(self, ids: Iterable[str]) -> list[Job]:
        """Return the jobs of those ids as they stand in the journal, in that order.

        Ids that the pipeline does not know are left out. They are asked for 1,000 at a time.

        >>> with Client(address) as client:
        ...     ids = client.submit_many({"number": number} for number in range(3))
        ...     [job.instructions["number"] for job in client.find(ids)]
        [0, 1, 2]
        """
        return self._run(dialogues.find(ids, self.timeout))

    def result(self, id: str, timeout: float | None = None) -> Instructions:
        """Wait until a job has ended, and return what its last step returned.

        It goes on waiting while the pipeline is away.

        Args:
            id: the job's.
            timeout: seconds in all; None takes the client's, 0 only asks, and `math.inf` waits for
                ever.

        Raises:
            ResultTimeout: the job has not ended in that time; it goes on.
            JobFailed: it is a dead letter.
            JobCancelled: it was cancelled.
            JobNotFound: there is no job of that id.

        >>> with Client(address) as client:
        ...     client.result(client.submit({"number": 4}), timeout=5)
        {'number': 8}
        """
        return self._run(dialogues.result(id, timeout, self.timeout))

    def cancel(self, *ids: str) -> int:
        """Cancel jobs that have not ended, and return how many of them are cancelled now.

        A step that is at work on one goes on to its end, and what it returns is dropped.

        >>> with Client(address) as client:
        ...     client.cancel("no such job")
        0
        """
        return self._run(dialogues.cancel(ids, self.timeout))

    def dead(self, step: str | None = None, limit: int = 100) -> list[Job]:
        """Return the dead letters, the oldest first.

        Args:
            step: of this step alone.
            limit: so many at the most.

        >>> with Client(address) as client:
        ...     client.dead()
        []
        """
        return self._run(dialogues.dead(step, limit, self.timeout))

    def requeue(self, *ids: str, step: str | None = None) -> int:
        """Queue dead letters again, each at the step where it failed; return how many.

        Args:
            ids: which; without any it is all of them.
            step: where there are no ids, those of this step alone.

        >>> with Client(address) as client:
        ...     client.requeue(step="double")
        0
        """
        return self._run(dialogues.requeue(ids, step, self.timeout))

    def overview(self) -> Overview:
        """Return what the pipeline is doing: its steps and workers in numbers, and its newest logs.

        >>> with Client(address) as client:
        ...     [step.job_type for step in client.overview().steps]
        ['double']
        """
        return self._run(dialogues.overview(self.timeout))
