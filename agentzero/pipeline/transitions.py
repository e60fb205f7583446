"""How a job changes: each function returns the job as it is afterwards."""

from __future__ import annotations

from msgspec.structs import replace

from agentzero.pipeline.jobs import Instructions, Job, State
from agentzero.pipeline.step import Step, backoff

__all__ = ["cancelled", "failed", "handed", "requeued", "returned", "succeeded"]


def handed(job: Job, worker: str, now: float) -> Job:
    """Return a queued job as the one that a worker runs, under a lease of its own.

    >>> job = Job(id="j1", step="resize", instructions={}, submitted=0.0)
    >>> running = handed(job, "w1", now=1.0)
    >>> running.state, running.worker, running.lease, running.attempts
    (<State.RUNNING: 'running'>, 'w1', 1, 1)
    """
    return replace(
        job,
        state=State.RUNNING,
        worker=worker,
        changed=now,
        attempts=job.attempts + 1,
        lease=job.lease + 1,
    )


def returned(job: Job, now: float) -> Job:
    """Return a job that its worker did not finish, as if that try had never been.

    It is as long due as before, so it is the next one again.
    """
    return replace(job, state=State.QUEUED, changed=now, attempts=job.attempts - 1)


def succeeded(job: Job, output: Instructions, following: str | None, now: float) -> Job:
    """Return a job whose step is done: queued for the following one, or done altogether."""
    if following is None:
        return replace(job, state=State.DONE, result=output, changed=now, error=None)
    return replace(
        job,
        step=following,
        state=State.QUEUED,
        instructions=output,
        changed=now,
        due=now,
        attempts=0,
        error=None,
    )


def failed(job: Job, error: dict[str, str], step: type[Step], now: float) -> Job:
    """Return a job whose step failed: queued for another try, or dead.

    >>> job = Job(id="j1", step="resize", instructions={}, submitted=0.0, attempts=6)
    >>> failed(job, {"name": "OSError"}, Step, now=1.0).state
    <State.DEAD: 'dead'>
    """
    if job.attempts > step.max_retries:
        return replace(job, state=State.DEAD, changed=now, error=error)
    pause = backoff(job.attempts, step.min_backoff, step.max_backoff)
    return replace(job, state=State.QUEUED, changed=now, due=now + pause, error=error)


def cancelled(job: Job, now: float) -> Job:
    """Return a job that nobody wants any more."""
    return replace(job, state=State.CANCELLED, changed=now)


def requeued(job: Job, now: float) -> Job:
    """Return a dead letter as a job that begins the same step anew."""
    return replace(job, state=State.QUEUED, changed=now, due=now, attempts=0)
