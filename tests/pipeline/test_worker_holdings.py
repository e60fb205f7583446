"""The books of a worker: whatever comes in whichever order, slots and promises add up."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from agentzero.pipeline.holdings import Holding, Holdings
from agentzero.pipeline.wire import Assignment, Outcome, Result

NAMES = st.sampled_from(["j1", "j2", "j3"])
LEASES = st.integers(1, 4)
SLOTS = 2


class Books(RuleBasedStateMachine):
    """What can happen to a worker, at random."""

    def __init__(self) -> None:
        super().__init__()
        self.holdings = Holdings(SLOTS)
        self.now = 0.0

    executing = Bundle("executing")

    @rule(name=NAMES, lease=LEASES)
    def take(self, name: str, lease: int) -> None:
        before = self.holdings.leases().get(name, 0)
        self.holdings.take(Assignment(name, lease, 1, {}))
        assert self.holdings.leases()[name] == max(before, lease)

    @rule(name=NAMES, lease=LEASES)
    def forget(self, name: str, lease: int) -> None:
        before = self.holdings.leases().get(name, math.inf)
        forgotten = self.holdings.forget(name, lease)
        assert (forgotten is not None) == (before <= lease)
        assert (name in self.holdings.leases()) == (lease < before < math.inf)

    @rule(target=executing)
    def begin(self) -> Holding | None:
        self.now += 1
        if self.holdings.free <= 0:
            assert list(self.holdings.begin(self.now)) == []
            return None
        return next(self.holdings.begin(self.now), None)

    @rule(held=consumes(executing))
    def end(self, held: Holding | None) -> None:
        if held is not None and self.holdings.end(held):
            self._answer(held)

    @rule(held=executing)
    def give_up(self, held: Holding | None) -> None:
        if held is not None and self.holdings.running.get(held.id) is held:
            self.holdings.give_up(held)
            self._answer(held)

    def _answer(self, held: Holding) -> None:
        assert self.holdings.is_promised(held)
        assert held.result is None
        held.result = Result(held.id, held.lease, Outcome.SUCCESS)

    @rule(seconds=st.integers(0, 3))
    def excuse(self, seconds: int) -> None:
        late = self.holdings.overdue(self.now)
        self.holdings.excuse(seconds)
        assert self.holdings.overdue(self.now + seconds) == late

    @invariant()
    def slots_add_up(self) -> None:
        assert 0 <= self.holdings.busy <= SLOTS
        assert self.holdings.free + self.holdings.busy == SLOTS

    @invariant()
    def each_promise_waits_or_runs_or_is_answered(self) -> None:
        books = self.holdings
        for name, held in books.promised.items():
            waits, runs = held in books.unbegun(), books.running.get(name) is held
            assert [waits, runs, held.result is not None].count(True) == 1

    @invariant()
    def what_runs_is_promised(self) -> None:
        assert all(map(self.holdings.is_promised, self.holdings.running.values()))


Books.TestCase.settings = settings(max_examples=100, deadline=None)
test_books = Books.TestCase


def test_only_the_last_try_of_a_hung_job_waits() -> None:
    holdings = Holdings(1)
    holdings.take(Assignment("j1", 1, 1, {}))
    [job] = holdings.begin(0.0)
    assert not holdings.hung(5.0)
    assert holdings.overdue(5.0) == [job]
    holdings.give_up(job)
    assert holdings.hung(5.0)
    assert not holdings.hung(-1.0)
    assert not holdings.end(job)
    assert not holdings.hung(5.0)
