"""What clients ask the pipeline, and what they make of its replies: dialogues, without any I/O.

A dialogue is a generator that yields what to do next: `Ask`, for which it is sent the reply, or the
time-out where none came; or `Pause`. Its driver is all that differs between sync and async.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from agentzero.errors import RemoteError, SocketTimeout
from agentzero.pipeline import errors
from agentzero.pipeline.checks import checked_seconds, checked_whole
from agentzero.pipeline.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    PipelineDraining,
    ResultTimeout,
)
from agentzero.pipeline.jobs import Instructions, Job, State, new_id, storable
from agentzero.pipeline.wire import (
    Accepted,
    Cancel,
    Count,
    Dead,
    Found,
    Overview,
    Question,
    Refused,
    Requeue,
    Show,
    Status,
    Submission,
    Submit,
    Wait,
)

__all__ = [
    "Ask",
    "Dialogue",
    "Pause",
    "cancel",
    "dead",
    "find",
    "overview",
    "requeue",
    "result",
    "status",
    "submit",
    "submit_many",
]

T = TypeVar("T")

# After so many seconds without a reply a question is sent again: the pipeline may have been
# restarted, and what it had received is gone.
AGAIN = 2.0

# The part of all the time for an answer that passes until a pipeline that drains is asked again.
PEACE = 0.1

# How many jobs go into one question.
BATCH = 1000

# As far as databases count.
MOST = 2**63 - 1

# The errors that a pipeline can name in a refusal, and that are made of their text alone.
REFUSALS: dict[str, type[Exception]] = {
    name: getattr(errors, name) for name in errors.__all__ if name != "JobFailed"
}


@dataclass(frozen=True, slots=True)
class Ask:
    """Put this question; the reply is of type `reply`, and has `timeout` seconds to come."""

    question: Question
    reply: Any
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


Dialogue: TypeAlias = Generator[Ask | Pause, Any, T]


def submit(instructions: Mapping[str, Any], id: str | None, timeout: float) -> Dialogue[str]:
    """Submit one job; return its id."""
    ids = None if id is None else [id]
    [accepted] = yield from submit_many([instructions], ids, timeout)
    return accepted


def submit_many(
    instructions: Iterable[Mapping[str, Any]], ids: Iterable[str] | None, timeout: float
) -> Dialogue[list[str]]:
    """Submit a job for each of the instructions; return their ids."""
    accepted: list[str] = []
    for batch in _batches(_submissions(instructions, ids)):
        yield from _asked(Submit(batch), Accepted, timeout)
        accepted += [submission.id for submission in batch]
    return accepted


def _submissions(
    instructions: Iterable[Mapping[str, Any]], ids: Iterable[str] | None
) -> Iterator[Submission]:
    if ids is None:
        return (Submission(new_id(), _checked(each)) for each in instructions)
    pairs = zip(_checked_ids(ids), instructions, strict=True)
    return (Submission(id, _checked(each)) for id, each in pairs)


def _checked(instructions: Mapping[str, Any]) -> Instructions:
    if not isinstance(instructions, Mapping):
        raise TypeError(f"instructions are a mapping, not {instructions!r}")
    return dict(instructions)


def _checked_ids(ids: Iterable[str]) -> Iterator[str]:
    if isinstance(ids, str):
        raise TypeError(f"several ids are asked for, in a list perhaps, not {ids!r}")
    return map(_checked_id, ids)


def _checked_id(id: object) -> str:
    if not isinstance(id, str):
        raise TypeError(f"the id of a job is a str, not {id!r}")
    if not id or not storable(id):
        raise ValueError(f"the id of a job has 1 to 255 characters, and no NUL: not {_short(id)}")
    return id


def _short(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}... of {len(text)}"


def _checked_step(step: object) -> str | None:
    if not isinstance(step, str | None):
        raise TypeError(f"a step is named by its job type, a str, not {step!r}")
    return step


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, BATCH)), [])


def status(id: str, timeout: float) -> Dialogue[Job]:
    """Return the job of that id."""
    found = yield from _asked(Status([_checked_id(id)]), Found, timeout)
    return _only(found, id)


def find(ids: Iterable[str], timeout: float) -> Dialogue[list[Job]]:
    """Return the jobs of those ids, in that order, but for those that nobody knows."""
    jobs: list[Job] = []
    for batch in _batches(_checked_ids(ids)):
        jobs += (yield from _asked(Status(batch), Found, timeout)).jobs
    return jobs


def result(id: str, timeout: float | None, patience: float) -> Dialogue[Instructions]:
    """Wait until a job has ended; return its result.

    Args:
        id: the job's.
        timeout: seconds until it has to have ended; 0 asks once, None means `patience`.
        patience: seconds for the reply to one that asks once.
    """
    timeout = patience if timeout is None else timeout
    end = monotonic() + checked_seconds(timeout, "timeout")
    job = yield from _heard(id, 0.0, timeout or patience)
    while not job.ended:
        left = end - monotonic()
        if left <= 0:
            raise ResultTimeout(
                f"job {id} has not ended in {round(timeout, 2):g} s; last it was {job.state} "
                f"in step {job.step}"
            )
        with suppress(SocketTimeout):
            job = yield from _heard(id, min(left, AGAIN), left)
    return _outcome(job)


def _heard(id: str, seconds: float, timeout: float) -> Dialogue[Job]:
    """Return the job once it has ended, or as it is after so many seconds."""
    found = yield from _asked(Wait(_checked_id(id), seconds), Found, timeout, seconds)
    return _only(found, id)


def _only(found: Found, id: str) -> Job:
    if not found.jobs:
        raise JobNotFound(f"the pipeline has no job {id}")
    return found.jobs[0]


def _outcome(job: Job) -> Instructions:
    if job.state == State.DEAD:
        raise JobFailed(job.id, job.step, job.error or {})
    if job.state == State.CANCELLED:
        raise JobCancelled(f"job {job.id} was cancelled in step {job.step}")
    return job.result or {}


def cancel(ids: Iterable[str], timeout: float) -> Dialogue[int]:
    """Cancel those that have not ended; return how many that were."""
    jobs = 0
    for batch in _batches(_checked_ids(ids)):
        jobs += (yield from _asked(Cancel(batch), Count, timeout)).jobs
    return jobs


def dead(step: str | None, limit: int, timeout: float) -> Dialogue[list[Job]]:
    """Return the dead letters, the oldest first."""
    most = min(checked_whole(limit, "limit"), MOST)
    found = yield from _asked(Dead(_checked_step(step), most), Found, timeout)
    return found.jobs


def requeue(ids: Iterable[str], step: str | None, timeout: float) -> Dialogue[int]:
    """Queue dead letters again; return how many: those `ids`, or all where there are none."""
    jobs = 0
    batches = [*_batches(_checked_ids(ids))]
    for batch in batches:
        jobs += (yield from _asked(Requeue(batch, _checked_step(step)), Count, timeout)).jobs
    return jobs if batches else (yield from _requeue_all(step, timeout))


def _requeue_all(step: str | None, timeout: float) -> Dialogue[int]:
    count = yield from _asked(Requeue(None, _checked_step(step)), Count, timeout)
    # Those that die again meanwhile are not queued again: that might never end.
    jobs, before = count.jobs, count.time
    while count.more:
        count = yield from _asked(Requeue(None, step, before), Count, timeout)
        jobs += count.jobs
    return jobs


def overview(timeout: float) -> Dialogue[Overview]:
    """Return what the whole pipeline is doing."""
    return (yield from _asked(Show(), Overview, timeout))


def _asked(question: Question, reply: type[T], timeout: float, seconds: float = 0.0) -> Dialogue[T]:
    """Ask, again and again, until there is a reply.

    Args:
        question: what to ask; it does no harm twice.
        reply: what the reply has to be.
        timeout: seconds in all.
        seconds: how long the pipeline takes its time on purpose.

    Raises:
        SocketTimeout: there was none in time.
        PipelineDraining: the pipeline was about to end, and not back in time.
        Others, as the pipeline refuses.
    """
    end, left = monotonic() + timeout, timeout
    pause = min(AGAIN, PEACE * timeout)
    while True:
        answer = yield Ask(question, reply | Refused, round(min(left, seconds + AGAIN), 3))
        left = max(0.0, end - monotonic())
        if isinstance(answer, SocketTimeout):
            if not left:
                raise SocketTimeout(
                    f"the pipeline did not answer in {round(timeout, 2):g} s: {answer}"
                )
        elif not isinstance(answer, Refused):
            return answer  # type: ignore[no-any-return]
        else:
            error = _refusal(answer.error)
            if left <= pause or not isinstance(error, PipelineDraining):
                raise error
            yield Pause(pause)


def _refusal(error: Mapping[str, str]) -> Exception:
    """Return the exception that a refusal names; RemoteError for one that is not the pipeline's."""
    module, name, message = (error.get(key, "") for key in ("module", "name", "message"))
    if module == errors.__name__ and name in REFUSALS:
        return REFUSALS[name](message)
    return RemoteError(
        f"the pipeline raised {name}: {message}",
        module=module,
        name=name,
        traceback=error.get("traceback", ""),
    )
