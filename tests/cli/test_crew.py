"""A crew: what becomes of processes that die."""

from __future__ import annotations

import sys

import pytest

from agentzero.cli.crew import Crew, Hopeless, Pauses

# What a worker process does that can never work; the others go on until they are asked to end.
HOPELESS = """
import fcntl, os, sys, time
with open("first", "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    first = os.fstat(file.fileno()).st_size == 0
    os.write(file.fileno(), b"x")
if first:
    os.write(0, b"no such step")
    sys.exit(2)
time.sleep(600)
"""
SILENT = "raise SystemExit(2)"


def test_pauses_grow_while_processes_die_young() -> None:
    pauses = Pauses()
    assert [pauses.after(0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_pauses_begin_anew_after_one_that_lived_for_a_while() -> None:
    pauses = Pauses()
    assert [pauses.after(lived) for lived in (0.5, 0.5, 60.0, 0.5, 0.5)] == [1, 2, 1, 2, 4]


def test_where_one_is_hopeless_all_end() -> None:
    with pytest.raises(Hopeless, match=r"^no such step$"):
        Crew([sys.executable, "-c", HOPELESS], 3).run()


def test_where_it_does_not_say_why_its_exit_code_is_told() -> None:
    with pytest.raises(Hopeless, match=r"^worker process \d+ ended with exit code 2$"):
        Crew([sys.executable, "-c", SILENT], 2).run()
