"""What can go wrong with jobs, their journal and their workers."""

from __future__ import annotations

from typing import Any

from agentzero.errors import AgentZeroSocketError

__all__ = [
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "JournalError",
    "JournalTaken",
    "PipelineDraining",
    "PipelineError",
    "ResultTimeout",
    "StepHung",
    "TimeLimitExceeded",
    "WorkerLost",
]


class PipelineError(AgentZeroSocketError):
    """The base of every error of the pipeline."""


class JobNotFound(PipelineError, LookupError):
    """The journal has no job of that id."""


class JobFailed(PipelineError):
    """The job is a dead letter: it failed as often as its step allows.

    Attributes:
        job: its id.
        step: the job type of the step that failed.
        error: the last failure, with `module`, `name`, `message` and `traceback`, all text.

    >>> error = JobFailed("j1", "resize", {"name": "OSError", "message": "no such file"})
    >>> print(error)
    job j1 failed in step resize: OSError: no such file
    """

    def __init__(self, job: str, step: str, error: dict[str, str]) -> None:
        super().__init__(
            f"job {job} failed in step {step}: {error.get('name')}: {error.get('message')}"
        )
        self.job = job
        self.step = step
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.job, self.step, self.error)


class JobCancelled(PipelineError):
    """The job was cancelled before it ended, so it has no result."""


class ResultTimeout(PipelineError, TimeoutError):
    """The job had not ended in that time; it goes on."""


class JournalError(PipelineError):
    """The journal cannot be read or written: locked, no room left, no such server, ..."""


class JournalTaken(JournalError):
    """Another process has taken over this pipeline's journal; this one has to end."""


class PipelineDraining(PipelineError):
    """The pipeline is about to end and takes no more jobs; ask again when it is back."""


class WorkerLost(PipelineError):
    """A worker went, or was silent for too long, while it had the job."""


class TimeLimitExceeded(PipelineError, TimeoutError):
    """A job ran for longer than the `time_limit` of its step."""


class StepHung(PipelineError):
    """Every slot of a worker is taken by a job past its time limit: it can do no more work."""
