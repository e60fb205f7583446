"""What the sockets of a pipeline carry, beside the events: plain messages, in any serializer::

    client --questions--> pipeline      REQ or DEALER to ROUTER, which answers as a REP does
    pipeline --orders--> worker         PUSH to PULL, one pair per worker
    worker --results--> pipeline        PUSH to PULL
    worker --events--> pipeline         PUB to SUB

A worker keeps each result, and sends it again, until an order says that it is in the journal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from agentzero.pipeline.jobs import LONGEST, Instructions, Job

__all__ = [
    "REPLY_ADDRESS",
    "Accepted",
    "Assignment",
    "Cancel",
    "Count",
    "Dead",
    "Found",
    "Join",
    "LogLine",
    "Order",
    "Outcome",
    "Overview",
    "Question",
    "Refused",
    "Reply",
    "Requeue",
    "Result",
    "Results",
    "Show",
    "Status",
    "StepOverview",
    "Submission",
    "Submit",
    "Wait",
    "Welcome",
    "WorkerOverview",
]

REPLY_ADDRESS = "tcp://127.0.0.1:7710"
"""Where a pipeline answers unless it is told otherwise."""

Lease: TypeAlias = tuple[str, int]  # a job's id, and which time it was handed out


# Between the pipeline and its workers


class Assignment(msgspec.Struct, frozen=True):
    """A job that is handed to a worker."""

    id: str
    lease: int
    attempt: int
    instructions: Instructions


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the pipeline tells one worker.

    Attributes:
        jobs: do these. One that the worker has already, under the same lease, is not done twice.
        settled: your results for these are in the journal, or are not wanted any more: forget them.
        withdrawn: do not begin these, and send no results for them.
    """

    jobs: list[Assignment] = []
    settled: list[Lease] = []
    withdrawn: list[Lease] = []


class Outcome(StrEnum):
    """What became of a job in a worker; "returned" is one that was not begun, or not finished."""

    SUCCESS = "success"
    FAILED = "failed"
    RETURNED = "returned"


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one job in a worker.

    Attributes:
        id, lease: as in its assignment.
        outcome: see `Outcome`.
        output: what `execute` returned, on success.
        error: what it raised, as `serialized_exception` gives it, on failure.
        seconds: how long it took.
    """

    id: str
    lease: int
    outcome: Outcome
    output: Instructions | None = None
    error: dict[str, str] | None = None
    seconds: float = 0.0


class Results(msgspec.Struct, frozen=True):
    """One message with any number of results of one worker."""

    worker: str
    results: list[Result]


# Questions to the pipeline


class Submission(msgspec.Struct, frozen=True):
    """A job to accept. Whoever made up the id may send it again: it is accepted once."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    instructions: Instructions


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Accept these jobs, all or none. Answered with Accepted once they are in the journal."""

    jobs: list[Submission]


class Status(msgspec.Struct, frozen=True, tag="status"):
    """Answered with Found; ids that nobody knows are left out."""

    ids: list[str]


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Answered with Found once the job has ended, or after so many seconds if that is sooner."""

    id: str
    timeout: float


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Cancel those that have not ended; answered with how many are cancelled then, a Count."""

    ids: list[str]


class Dead(msgspec.Struct, frozen=True, tag="dead"):
    """Answered with Found: the dead letters, oldest first; of one step where it is named."""

    step: str | None = None
    limit: int = 100


class Requeue(msgspec.Struct, frozen=True, tag="requeue", omit_defaults=True):
    """Queue dead letters again, at the step where they failed; answered with their Count.

    Attributes:
        ids: which; None means all, or all of `step`: so many at a time as one turn can do.
        step: see `ids`.
        before: only those that died before this time, in seconds since the epoch.
    """

    ids: list[str] | None = None
    step: str | None = None
    before: float | None = None


class Join(msgspec.Struct, frozen=True, tag="join"):
    """A worker asks where to connect; answered with Welcome."""


class Show(msgspec.Struct, frozen=True, tag="show"):
    """Answered with Overview."""


Question: TypeAlias = Submit | Status | Wait | Cancel | Dead | Requeue | Join | Show
"""What a pipeline can be asked."""


# Replies


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The ids of the accepted jobs, in the order of their submission."""

    ids: list[str]


class Found(msgspec.Struct, frozen=True, tag="found"):
    """The jobs that were asked for."""

    jobs: list[Job]


class Count(msgspec.Struct, frozen=True, tag="count", omit_defaults=True):
    """How many jobs it was done to.

    Attributes:
        jobs: how many.
        more: whether there may be more to do it to: ask again, with `time` as `before`.
        time: the pipeline's clock, in seconds since the epoch.
    """

    jobs: int
    more: bool = False
    time: float = 0.0


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """What a worker needs to know.

    Attributes:
        pipeline: its name.
        events, results: the addresses as they are bound; a wildcard host means the host that the
            question went to.
        heartbeat: seconds between announcements.
        lease: after so many seconds of silence, its jobs go to others.
        job_types: the steps.
    """

    pipeline: str
    events: str
    results: str
    heartbeat: float
    lease: float
    job_types: list[str]


class StepOverview(msgspec.Struct, frozen=True):
    """One step in numbers: jobs in each state, and since this pipeline started, what was done.

    Attributes:
        job_type: its name.
        queued, running, dead: jobs now.
        workers, slots: that can do it now.
        done, failed, retried: how often, since the pipeline started.
        seconds: spent in `execute`, in all, since the pipeline started.
    """

    job_type: str
    queued: int = 0
    running: int = 0
    dead: int = 0
    workers: int = 0
    slots: int = 0
    done: int = 0
    failed: int = 0
    retried: int = 0
    seconds: float = 0.0


class WorkerOverview(msgspec.Struct, frozen=True):
    """One worker: `silence` is how long ago it was last heard, in seconds."""

    worker: str
    job_type: str
    address: str
    slots: int
    jobs: int
    silence: float


class LogLine(msgspec.Struct, frozen=True):
    """A log record of a worker: when it was `created` (seconds since the epoch), and so on."""

    created: float
    level: int
    name: str
    message: str


class Overview(msgspec.Struct, frozen=True, tag="overview"):
    """The whole pipeline, now.

    Attributes:
        pipeline: its name.
        started: when it was, in seconds since the epoch.
        time: the pipeline's clock, in seconds since the epoch.
        steps, workers: see there.
        done, cancelled: jobs that ended so, in the journal.
        logs: the newest log records of the steps, oldest first.
    """

    pipeline: str
    started: float
    time: float
    steps: list[StepOverview]
    workers: list[WorkerOverview]
    done: int
    cancelled: int
    logs: list[LogLine]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The question cannot be answered: the exception, as `serialized_exception` gives it."""

    error: dict[str, str]


Reply: TypeAlias = Accepted | Found | Count | Welcome | Overview | Refused
"""What it answers."""
