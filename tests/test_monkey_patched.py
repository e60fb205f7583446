"""The behavioural tests on gevent once more, in a process that it has monkey-patched throughout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import run

HERE = Path(__file__).parent

# Those of signals start processes of their own, which nothing has patched.
FILES = [
    *sorted(set(HERE.glob("test_manager_*.py")) - {HERE / "test_manager_signals.py"}),
    HERE / "test_hostile_wire.py",
    HERE / "test_regressions.py",
]

PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys, pytest
sys.exit(pytest.main(["-x", "-q", "-k", "gevent", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.timeout(300)
def test_all_that_holds_on_gevent_holds_where_it_is_monkey_patched() -> None:
    pytest.importorskip("gevent")
    ended = run("-c", PATCHED, *map(str, FILES), within=240, measured=False)
    assert ended.code == 0, ended.out + ended.err
    passed = re.search(r"^(\d+) passed, \d+ deselected in", ended.out, re.MULTILINE)
    assert passed, ended.out
    assert int(passed[1]) >= 600, ended.out
