"""What may crash, hang or take all memory runs in a child process; here that is a finding."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

from agentzero.testing import lab

__all__ = ["Case", "assert_harmless", "in_children", "peak"]

ALLOWED = 512 * 2**20
"""How many bytes of memory a child may take from the system."""

Case: TypeAlias = Callable[[], str | None]

# Forked, so that a case may use whatever the test has: nothing needs to be importable.
_fork = multiprocessing.get_context("fork")


def in_children(cases: Mapping[str, Case]) -> dict[str, str]:
    """Run cases in a child process; return what is wrong, by the names of the cases.

    One child runs case after case. Where it crashes, or takes longer than `PATIENCE` seconds for
    one of them, that is what is wrong with the case, and another child goes on behind it.

    >>> import os
    >>> in_children({"fine": str, "wrong": lambda: "it is odd", "fatal": lambda: os._exit(3)})
    {'wrong': 'it is odd', 'fatal': 'the process ended with exit code 3'}
    """
    found: dict[str, str] = {}
    names = list(cases)
    while names:
        ended = _run({name: cases[name] for name in names})
        found |= {name: problem for name, problem in ended.items() if problem}
        names = names[len(ended) :]
    return found


def assert_harmless(cases: Mapping[str, Case]) -> None:
    """Nothing is wrong with any of these cases, each of which may crash the process."""
    problems = in_children(cases)
    assert not problems, "\n".join(f"{name}: {problem}" for name, problem in problems.items())


def peak(work: Callable[[], object]) -> int:
    """How many bytes of memory some work takes at most.

    Where it takes memory that Python does not count, and too much of it, a MemoryError comes, or
    the process ends: it is to be a child.

    >>> in_children({"a": lambda: f"{peak(lambda: bytes(10**6)) // 10**6} MB"})
    {'a': '1 MB'}
    """
    _limit_memory()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _limit_memory() -> None:
    size = Path("/proc/self/statm")
    if size.exists():
        pages = int(size.read_text(encoding="ascii").split()[0])
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ALLOWED, most))


def _run(cases: Mapping[str, Case]) -> dict[str, str | None]:
    """What comes of the first cases, of all where none is fatal."""
    ours, theirs = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_work, args=(cases, theirs), daemon=True)
    with warnings.catch_warnings():
        # Other tests may have left threads behind: none holds a lock that a serializer takes.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()
    ended: dict[str, str | None] = {}
    try:
        for name in cases:
            if not ours.poll(lab.PATIENCE):
                return {**ended, name: f"it takes longer than {lab.PATIENCE:g} seconds"}
            try:
                ended[name] = ours.recv()
            except EOFError:
                return {**ended, name: _end_of(child)}
        child.join(lab.PATIENCE)
        return ended
    finally:
        child.kill()
        child.join()
        ours.close()


def _work(cases: Mapping[str, Case], results: Connection) -> None:
    for case in cases.values():
        results.send(case())


def _end_of(child: multiprocessing.process.BaseProcess) -> str:
    child.join()
    code = child.exitcode or 0
    if code < 0:
        return f"the process was killed by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code}"
