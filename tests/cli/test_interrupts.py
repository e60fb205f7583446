"""Ctrl-C and SIGTERM are heard also where Python swallows what is raised."""

from __future__ import annotations

import pytest

from tests.processes import START, run

PROGRAM = """
import signal, time
from agentzero.cli.interrupts import every_ctrl_c_heard, sigterm_heard

class Frame:
    def __del__(self):
        {freed}

try:
    with every_ctrl_c_heard(), sigterm_heard():
        Frame()
        time.sleep({seconds})
except KeyboardInterrupt as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("signal", "raised"), [("SIGINT", "KeyboardInterrupt\n"), ("SIGTERM", "Terminated\n")]
)
def test_what_a_destructor_swallows_is_raised_after_it(signal: str, raised: str) -> None:
    program = PROGRAM.format(freed=f"signal.raise_signal(signal.{signal})", seconds=2 * START)
    ended = run("-c", program, within=START)
    assert (ended.code, ended.out, ended.err) == (0, raised, "")


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
