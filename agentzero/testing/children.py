"""What may crash, hang or take all memory runs in a child process; here that is a finding."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar, TypeAlias

from agentzero.testing.lab import PATIENCE
from agentzero.testing.values import described

__all__ = ["Case", "Patient", "assert_harmless", "in_children", "peak"]

ALLOWED = 2**30
"""How many bytes of memory a child may take from the system; eight threads reserve half of it."""

MOST_LATE = 2
"""After how many cases that do not end the others are not tried."""

Case: TypeAlias = Callable[[], str | None]

# Forked, so that a case may use whatever the test has: nothing needs to be importable.
_fork = multiprocessing.get_context("fork")


class Patient:
    """Tests of which some run in child processes.

    Attributes:
        patience: how many seconds each case may take there.
    """

    patience: ClassVar[float] = PATIENCE


def in_children(cases: Mapping[str, Case], patience: float = PATIENCE) -> dict[str, str]:
    """Run cases in a child process; return what is wrong, by the names of the cases.

    What a case returns, unless it is None, or raises is what is wrong with it. One child runs
    case after case. Where it crashes, or takes longer than `patience` seconds for one of them,
    that is what is wrong with the case, and another child goes on behind it. After two cases that
    take so long the rest is not tried, which is said as well.

    >>> import os
    >>> in_children({"fine": lambda: None, "odd": lambda: "is odd", "fatal": lambda: os._exit(3)})
    {'odd': 'is odd', 'fatal': 'the process ended with exit code 3'}
    """
    found: dict[str, str] = {}
    names, late = list(cases), 0
    while names and late < MOST_LATE:
        ended = _run({name: cases[name] for name in names}, patience)
        found |= {name: problem for name, problem in ended.items() if problem is not None}
        names = names[len(ended) :]
        late += _too_late(patience) in ended.values()
    if names:
        found["and more"] = f"the {len(names)} cases behind it were not tried"
    return found


def assert_harmless(cases: Mapping[str, Case], patience: float = PATIENCE) -> None:
    """Nothing is wrong with any of these cases, each of which may crash the process."""
    problems = in_children(cases, patience)
    assert not problems, "\n".join(f"{name}: {problem}" for name, problem in problems.items())


def peak(work: Callable[[], object]) -> int:
    """How many bytes of memory some work takes at most, of those that Python counts.

    >>> peak(lambda: bytes(10**6)) // 10**6
    1
    """
    counting = tracemalloc.is_tracing()
    if not counting:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not counting:
            tracemalloc.stop()


def _run(cases: Mapping[str, Case], patience: float) -> dict[str, str | None]:
    """What comes of the first cases, of all where none is fatal."""
    ours, theirs = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_work, args=(cases, theirs), daemon=True)
    with warnings.catch_warnings():
        # Other tests may have left threads behind. Which locks they hold, nobody can know.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()
    ended: dict[str, str | None] = {}
    try:
        for name in cases:
            if not ours.poll(patience):
                return {**ended, name: _too_late(patience)}
            try:
                ended[name] = ours.recv()
            except EOFError:
                return {**ended, name: _end_of(child)}
        child.join(patience)
        return ended
    finally:
        child.kill()
        child.join()
        ours.close()


def _work(cases: Mapping[str, Case], results: Connection) -> None:
    _limit_memory()
    for case in cases.values():
        results.send(_problem(case))


def _limit_memory() -> None:
    size = Path("/proc/self/statm")
    if size.exists():
        pages = int(size.read_text(encoding="ascii").split()[0])
        wanted = pages * resource.getpagesize() + ALLOWED
        soft, most = resource.getrlimit(resource.RLIMIT_AS)
        if soft == resource.RLIM_INFINITY or wanted < soft:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def _problem(case: Case) -> str | None:
    try:
        return case()
    except AssertionError as error:
        return described(error)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{described(error)}; raised in {place.filename}, line {place.lineno}"


def _too_late(patience: float) -> str:
    return f"it takes longer than {patience:g} seconds"


def _end_of(child: multiprocessing.process.BaseProcess) -> str:
    child.join()
    code = child.exitcode or 0
    if code < 0:
        return f"the process was killed by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code}"
