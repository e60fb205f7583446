"""AsyncClient: the verbs of Client, awaited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from agentzero import AsyncSocketManager
from agentzero.backends import AsyncBackend
from agentzero.errors import SocketTimeout
from agentzero.pipeline import dialogues
from agentzero.pipeline.client import NOTHING, QUESTIONS, connect
from agentzero.pipeline.dialogues import Ask, Dialogue
from agentzero.pipeline.jobs import Instructions, Job
from agentzero.pipeline.wire import REPLY_ADDRESS, Overview
from agentzero.serializers import Serializer

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient:
    """The same as `Client` for the tasks of an event loop: whatever asks the pipeline is awaited.

    Args:
        reply_address, timeout, serializer: as for `Client`.
        backend: how to wait, as for `AsyncSocketManager`.

    >>> import asyncio
    >>> async def main():
    ...     async with AsyncClient(address) as client:
    ...         id = await client.submit({"number": 21})
    ...         return await client.result(id)
    >>> asyncio.run(main())
    {'number': 42}
    """

    def __init__(
        self,
        reply_address: str = REPLY_ADDRESS,
        *,
        timeout: float = 10.0,
        serializer: Serializer | str | None = None,
        backend: AsyncBackend | str | None = None,
    ) -> None:
        self.reply_address = reply_address
        self.timeout = timeout
        # Whatever has not been sent by the end, nobody waits for.
        self._sockets = AsyncSocketManager(
            serialization_backend=serializer, timeout=timeout, backend=backend, linger=0
        )
        connect(self._sockets, reply_address)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reply_address!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; twice is harmless. Who still waits gets SocketClosed.

        >>> import asyncio
        >>> asyncio.run(AsyncClient().close())
        """
        await self._sockets.close_all()

    async def _run(self, dialogue: Dialogue[T]) -> T:
        reply = None
        try:
            while True:
                reply = await self._take(dialogue.send(reply))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _take(self, step: Any) -> Any:
        if not isinstance(step, Ask):
            return await self._sockets.recv_safe(NOTHING, step.seconds)
        question, wanted = step.question, step.reply
        try:
            return await self._sockets.request(QUESTIONS, question, step.timeout, type=wanted)
        except SocketTimeout as error:
            return error

    async def submit(self, instructions: Mapping[str, Any], *, id: str | None = None) -> str:
        """Submit one job, and return its id once it is in the journal.

        Args:
            instructions: what the first step is given.
            id: the job's, where you want to name it: whatever you submit under an id that the
                pipeline has already, changes nothing. None makes up a new one.

        Raises:
            PipelineDraining: the pipeline is about to end, and was not back in time.
            SerializationError: the instructions cannot be written.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         return await client.submit({"number": 1}, id="one")
        >>> asyncio.run(main())
        'one'
        """
        return await self._run(dialogues.submit(instructions, id, self.timeout))

    async def submit_many(
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         ids = await client.submit_many({"number": n} for n in range(3))
        ...         return len(ids)
        >>> asyncio.run(main())
        3
        """
        return await self._run(dialogues.submit_many(instructions, ids, self.timeout))

    async def status(self, id: str) -> Job:
        """Return the job of that id, as it stands in the journal.

        Raises:
            JobNotFound: there is none.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         job = await client.status(await client.submit({"number": 1}))
        ...         return job.instructions
        >>> asyncio.run(main())
        {'number': 1}
        """
        return await self._run(dialogues.status(id, self.timeout))

    async def find(self, ids: Iterable[str]) -> list[Job]:
        """Return the jobs of those ids as they stand in the journal, in that order.

        Ids that the pipeline does not know are left out. They are asked for 1,000 at a time.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         ids = await client.submit_many({"number": number} for number in range(3))
        ...         return [job.instructions["number"] for job in await client.find(ids)]
        >>> asyncio.run(main())
        [0, 1, 2]
        """
        return await self._run(dialogues.find(ids, self.timeout))

    async def result(self, id: str, timeout: float | None = None) -> Instructions:
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

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         return await client.result(await client.submit({"number": 4}), timeout=5)
        >>> asyncio.run(main())
        {'number': 8}
        """
        return await self._run(dialogues.result(id, timeout, self.timeout))

    async def cancel(self, *ids: str) -> int:
        """Cancel jobs that have not ended, and return how many of them are cancelled now.

        A step that is at work on one goes on to its end, and what it returns is dropped.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         return await client.cancel("no such job")
        >>> asyncio.run(main())
        0
        """
        return await self._run(dialogues.cancel(ids, self.timeout))

    async def dead(self, step: str | None = None, limit: int = 100) -> list[Job]:
        """Return the dead letters, the oldest first.

        Args:
            step: of this step alone.
            limit: so many at the most.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         return await client.dead()
        >>> asyncio.run(main())
        []
        """
        return await self._run(dialogues.dead(step, limit, self.timeout))

    async def requeue(self, *ids: str, step: str | None = None) -> int:
        """Queue dead letters again, each at the step where it failed; return how many.

        Args:
            ids: which; without any it is all of them.
            step: where there are no ids, those of this step alone.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         return await client.requeue(step="double")
        >>> asyncio.run(main())
        0
        """
        return await self._run(dialogues.requeue(ids, step, self.timeout))

    async def overview(self) -> Overview:
        """Return what the pipeline is doing: its steps and workers in numbers, and its newest logs.

        >>> import asyncio
        >>> async def main():
        ...     async with AsyncClient(address) as client:
        ...         overview = await client.overview()
        ...         return [step.job_type for step in overview.steps]
        >>> asyncio.run(main())
        ['double']
        """
        return await self._run(dialogues.overview(self.timeout))
