"""What the steps publish: the topics of their events, and a dataclass for each."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["EVENTS", "Available", "Error", "Failed", "Gone", "Metric", "Started", "Success"]


@dataclass(frozen=True, slots=True)
class Available:
    """A worker is there: published as "available", again and again, as its heartbeat.

    Attributes:
        worker: its id, another one each time that it starts.
        job_type: the step that it does.
        address: where it pulls jobs.
        slots: how many jobs it takes at a time; 0 when it is about to go.
        jobs: the leases of the jobs that it has, or whose results nobody acknowledged yet, by id.
    """

    worker: str
    job_type: str
    address: str
    slots: int
    jobs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker of the step `job_type` ends, as it was asked to: published as "gone"."""

    worker: str
    job_type: str


@dataclass(frozen=True, slots=True)
class Started:
    """A job begins: published as "started".

    Attributes:
        worker, job_type: who does it.
        job: its id.
        attempt: 1 for the first try of this step.
    """

    worker: str
    job_type: str
    job: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Success:
    """A step of a job is done: published as "success". It took `seconds`."""

    worker: str
    job_type: str
    job: str
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A step of a job failed: published as "failed". It took `seconds`.

    The pipeline hands the job out again, or makes it a dead letter.
    """

    worker: str
    job_type: str
    job: str
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Error:
    """An exception in a worker: published as "error".

    Attributes:
        worker, job_type: whose it is.
        error: `module`, `name`, `message` and `traceback`, all text.
        job: the id of the job that it happened in; None when it was outside of any.
    """

    worker: str
    job_type: str
    error: dict[str, str]
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a worker tells: published as "metric".

    Attributes:
        worker, job_type: whose it is.
        name: of what; "slots_busy" and "jobs_done" are told by every worker with its heartbeat.
        value: the newest.
    """

    worker: str
    job_type: str
    name: str
    value: float


EVENTS: dict[str, type] = {
    "available": Available,
    "gone": Gone,
    "started": Started,
    "success": Success,
    "failed": Failed,
    "error": Error,
    "metric": Metric,
}
"""The class of each event, by the topic that it is published as."""
