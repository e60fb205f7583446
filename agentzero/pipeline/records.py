"""Jobs as rows of a journal, and back."""

from __future__ import annotations

from typing import Any

from agentzero.errors import SerializationError
from agentzero.pipeline.database import Row
from agentzero.pipeline.errors import JournalError
from agentzero.pipeline.jobs import Job, State, storable
from agentzero.serializers import Serializer

__all__ = ["Records"]


class Records:
    """Makes rows of the jobs of one pipeline, and jobs of rows.

    Args:
        pipeline: its name.
        shown: the database, as errors call it.
        serializer: for instructions, results and errors.
    """

    def __init__(self, pipeline: str, shown: str, serializer: Serializer) -> None:
        self._pipeline = pipeline
        self._shown = shown
        self._serializer = serializer

    def row(self, job: Job) -> Row:
        """What the table has of a job, in the order of its columns."""
        for text in (job.id, job.step, job.worker):
            if not storable(text):
                raise SerializationError(f"cannot be a name in a journal: {text!r}")
        return (
            self._pipeline,
            job.id,
            job.submitted,
            job.step,
            job.state.value,
            self._packed(job.instructions),
            job.changed,
            job.due,
            job.attempts,
            job.lease,
            job.worker,
            None if job.result is None else self._packed(job.result),
            None if job.error is None else self._packed(job.error),
        )

    def job(self, row: Row) -> Job:
        """What a row of the table is.

        Raises:
            JournalError: it cannot be read: it is damaged, or another serializer wrote it.
        """
        _, name, submitted, step, state, instructions, *numbers, worker, result, error = row
        changed, due, attempts, lease = numbers
        try:
            return Job(
                id=name,
                submitted=submitted,
                step=step,
                state=State(state),
                instructions=self._unpacked(instructions),
                changed=changed,
                due=due,
                attempts=attempts,
                lease=lease,
                worker=worker,
                result=None if result is None else self._unpacked(result),
                error=None if error is None else self._unpacked(error),
            )
        except Exception as failure:  # a serializer may be anybody's
            raise JournalError(
                f"job {name!r} in {self._shown} cannot be read: {failure}"
            ) from failure

    def _packed(self, item: dict[str, Any]) -> bytes:
        packed = self._serializer.pack(item)
        return packed.encode() if isinstance(packed, str) else packed

    def _unpacked(self, item: bytes) -> dict[str, Any]:
        unpacked = self._serializer.unpack(bytes(item))
        if not isinstance(unpacked, dict):
            raise TypeError(f"not a dict but {type(unpacked).__name__}")
        return unpacked
