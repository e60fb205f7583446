"""A pipeline in numbers."""

from __future__ import annotations

from collections.abc import Iterable

from agentzero.pipeline.changes import Moment
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.jobs import State
from agentzero.pipeline.wire import LogLine, Overview, StepOverview, WorkerOverview

__all__ = ["overview"]


def overview(
    name: str, started: float, dispatcher: Dispatcher, logs: Iterable[LogLine], now: Moment
) -> Overview:
    """Return what a pipeline of that name, started then, is like now."""
    counts = dispatcher.counts
    return Overview(
        pipeline=name,
        started=started,
        time=now.wall,
        steps=[_step(dispatcher, step) for step in dispatcher.steps],
        workers=_workers(dispatcher, now),
        done=sum(number for (_, state), number in counts.items() if state is State.DONE),
        cancelled=sum(number for (_, state), number in counts.items() if state is State.CANCELLED),
        logs=list(logs),
    )


def _step(dispatcher: Dispatcher, step: str) -> StepOverview:
    counts, tally = dispatcher.counts, dispatcher.tallies[step]
    members = [member for member in dispatcher.members.of(step) if member.address]
    return StepOverview(
        job_type=step,
        queued=counts[step, State.QUEUED],
        running=counts[step, State.RUNNING],
        dead=counts[step, State.DEAD],
        workers=len(members),
        slots=sum(member.slots for member in members),
        done=tally.done,
        failed=tally.failed,
        retried=tally.retried,
        seconds=tally.execution.seconds,
    )


def _workers(dispatcher: Dispatcher, now: Moment) -> list[WorkerOverview]:
    return [
        WorkerOverview(
            worker=member.worker,
            job_type=member.job_type,
            address=member.address,
            slots=member.slots,
            jobs=len(member.jobs),
            silence=now.monotonic - member.heard,
        )
        for member in dispatcher.members
        if member.address
    ]
