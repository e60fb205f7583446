"""One total time, spent across any number of waits."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from agentzero.deadline import Deadline, checked_timeout


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr("agentzero.deadline.monotonic", lambda: now[0])
    return now


def test_time_runs_out_and_not_further(clock: list[float]) -> None:
    deadline = Deadline(2.5)
    left = []
    for moment in (1000.0, 1001.0, 1002.5, 1010.0):
        clock[0] = moment
        left.append(deadline.left())
    assert left == [2.5, 1.5, 0.0, 0.0]
    assert deadline.timeout == 2.5


def test_zero_is_over_at_once(clock: list[float]) -> None:
    assert Deadline(0).left() == 0.0


def test_infinity_never_ends(clock: list[float]) -> None:
    deadline = Deadline(math.inf)
    clock[0] = 1e12
    assert deadline.left() == math.inf


@pytest.mark.parametrize("time", [0, 0.0, 1, 2.5, math.inf, 1e300])
def test_zero_or_more_is_a_time(time: float) -> None:
    assert checked_timeout(time) == time


@pytest.mark.parametrize("time", [-1, -1e-9, math.nan, -math.inf])
def test_less_than_zero_is_no_time(time: float) -> None:
    with pytest.raises(ValueError, match="linger must be 0 or more"):
        checked_timeout(time, "linger")


@pytest.mark.parametrize("time", ["1", b"1", None, True, False, [], 1j, Decimal(1)])
def test_what_is_no_number_is_no_time(time: Any) -> None:
    with pytest.raises(TypeError, match=r"timeout must be a number \(math.inf waits for ever\)"):
        checked_timeout(time)
