"""Where the demo keeps what it has done: in a folder that outlives the kill of any process.

The journal, the copies and the sockets are in it, and all processes work there, so whoever is
started again finds everything in its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

JOURNAL = "demo.db"
COPIES = "copies"
REPLIES, EVENTS, RESULTS = "replies", "events", "results"


class Busy(Exception):
    """Another demo works in the folder."""


def state_of(paths: Iterable[Path], folder: Path) -> Path:
    """Return the place below `folder` for the work on these files, and on no others."""
    names = "\n".join(map(str, paths))
    return folder.absolute() / hashlib.sha256(names.encode()).hexdigest()[:8]


@contextmanager
def kept(state: Path) -> Iterator[None]:
    """Work in the folder of a state, made where there is none, and keep other demos out of it.

    Raises:
        Busy: another one is in it.
    """
    (state / COPIES).mkdir(parents=True, exist_ok=True)
    lock = os.open(state, os.O_RDONLY)
    try:
        _lock(lock, state)
        with chdir(state):
            yield
    finally:
        os.close(lock)


def _lock(folder: int, state: Path) -> None:
    try:
        # The system unlocks it when this process dies, however it dies.
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Busy(f"another demo works on these files, in {state}") from None


def is_begun() -> bool:
    """Return whether there is something to go on with."""
    return Path(JOURNAL).exists()


def remove(state: Path) -> None:
    """Remove a state, and the folder around it where nothing else is in it."""
    (state / JOURNAL).unlink()  # first: whoever is killed amid this begins anew
    shutil.rmtree(state)
    with suppress(OSError):
        state.parent.rmdir()
