"""Ctrl-C is heard also where Python swallows what is raised."""

from __future__ import annotations

import pytest

from tests.processes import START, run

PROGRAM = """
import signal, time
from agentzero.cli.interrupts import every_ctrl_c_heard

class Frame:
    def __del__(self):
        {freed}

try:
    with every_ctrl_c_heard():
        Frame()
        time.sleep({seconds})
except KeyboardInterrupt:
    print("heard")
"""


def test_ctrl_c_that_a_destructor_swallows_is_raised_after_it() -> None:
    program = PROGRAM.format(freed="signal.raise_signal(signal.SIGINT)", seconds=2 * START)
    ended = run("-c", program, within=START)
    assert (ended.code, ended.out, ended.err) == (0, "heard\n", "")


def test_it_is_heard_while_the_command_starts() -> None:
    program = """if True:
        import signal, sys
        from agentzero.cli import main

        class Slow:
            def find_spec(self, name, *where):
                if name == "rich":
                    signal.raise_signal(signal.SIGINT)

        sys.meta_path.insert(0, Slow())
        main()
    """
    ended = run("-c", program, within=START)
    assert (ended.code, ended.out, ended.err) == (130, "", "")


@pytest.mark.parametrize("freed", ["raise ValueError('no frame')", "1 / 0"])
def test_whatever_else_is_swallowed_is_told_as_ever(freed: str) -> None:
    ended = run("-c", PROGRAM.format(freed=freed, seconds=0), within=START)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("Exception ignored in: <function Frame.__del__")


def test_an_error_that_nobody_catches_is_told_as_ever() -> None:
    ended = run("-c", PROGRAM.format(freed="pass", seconds="'soon'"), within=START)
    assert ended.code == 1
    assert "TypeError" in ended.err
