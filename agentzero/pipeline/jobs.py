"""Jobs: what the journal knows of each."""

from __future__ import annotations

import os
import re
import time
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

__all__ = ["ENDED", "LONGEST", "Instructions", "Job", "State", "new_id", "storable"]

Instructions: TypeAlias = dict[str, Any]

LONGEST: Final = 255  # characters of a name; an index of PostgreSQL has no room for 3,000 bytes


class State(StrEnum):
    """Where a job is in its life.

    A job is `queued` until a worker has it, also while it waits for another try; then `running`;
    and in the end `done`, `dead` (failed as often as its step allows) or `cancelled`.

    >>> State.DEAD == "dead"
    True
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


ENDED = frozenset({State.DONE, State.DEAD, State.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as it stands in the journal; times are in seconds since the epoch.

    Attributes:
        id: its name, for ever.
        step: the job type of the step that it is at, or ended at.
        state: see `State`.
        instructions: what that step is given.
        submitted: when it was accepted.
        changed: when it came to this step and state.
        due: it is not tried before this time.
        attempts: how often this step was begun, without those that were handed back unfinished.
        lease: how often it was handed to a worker, in all steps: only the newest counts.
        worker: who has it, or had it last.
        result: what the last step returned, once it is done.
        error: the last failure, with `module`, `name`, `message` and `traceback`, all text.

    >>> job = Job(id="j1", step="resize", instructions={"path": "a.png"}, submitted=1.0)
    >>> job.state, job.ended
    (<State.QUEUED: 'queued'>, False)
    """

    id: str
    step: str
    state: State = State.QUEUED
    instructions: Instructions
    submitted: float
    changed: float = 0.0
    due: float = 0.0
    attempts: int = 0
    lease: int = 0
    worker: str = ""
    result: Instructions | None = None
    error: dict[str, str] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it, unless somebody requeues it."""
        return self.state in ENDED


# No database keeps a NUL, nor UTF-8 a lone surrogate.
_unfit = re.compile("[\0\ud800-\udfff]").search


def storable(name: str) -> bool:
    """Return whether every database can keep that name, and find it again.

    >>> storable("j1"), storable("j" * 256), storable("nul" + chr(0))
    (True, False, False)
    """
    return len(name) <= LONGEST and not _unfit(name)


def new_id() -> str:
    """Return a new job id: 32 hexadecimal digits, which sort by the time they were made.

    It is a UUID of version 7 (RFC 9562, section 5.7).

    >>> first = new_id()
    >>> len(first), first[12]
    (32, '7')
    """
    milliseconds, noise = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    number = milliseconds << 80 | noise
    number = number & ~(0xF << 76) | 0x7 << 76  # the version
    number = number & ~(0x3 << 62) | 0x2 << 62  # the variant
    return f"{number:032x}"
