"""Decisions about jobs and workers, each alone, and in simulations where anything is lost."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.events import Available
from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.wire import Assignment, Outcome, Result, Submission
from tests.pipeline.simulation import STEPS, First, Simulation


class Desk:
    """A dispatcher whose every decision is written at once, at a time that stands still."""

    def __init__(self, *, size: int = 100) -> None:
        self.dispatcher = Dispatcher(STEPS, lease=5.0, size=size)
        self.journal: dict[str, Job] = {}
        self.time = 1000.0
        for window in self.dispatcher.windows.values():
            window.refill([], None)

    @property
    def now(self) -> Moment:
        return Moment(self.time, self.time)

    def write(self, changes: Changes) -> Changes:
        self.journal |= changes.new | changes.jobs
        self.dispatcher.absorb(changes, (), self.now)
        return changes

    def submit(self, *names: str) -> Changes:
        changes = Changes()
        jobs = [Submission(name, {"name": name}) for name in names]
        self.dispatcher.submit(changes, jobs, self.now)
        return self.write(changes)

    def announce(
        self, worker: str, step: str = "first", slots: int = 1, jobs: Iterable[Assignment] = ()
    ) -> Changes:
        changes = Changes()
        held = {job.id: job.lease for job in jobs}
        event = Available(worker, step, f"inproc://{worker}", slots, held)
        self.dispatcher.announce(changes, event, self.now)
        return self.write(changes)

    def assign(self) -> dict[str, list[Assignment]]:
        return self.dispatcher.assign(self.now)

    def conclude(self, worker: str, job: Assignment, outcome: Outcome, **more: object) -> Changes:
        changes = Changes()
        result = Result(job.id, job.lease, outcome, **more)  # type: ignore[arg-type]
        self.dispatcher.conclude(changes, worker, result, self.now)
        return self.write(changes)

    def expire(self) -> Changes:
        changes = Changes()
        self.dispatcher.expire(changes, self.now)
        return self.write(changes)

    def begin(self, worker: str = "w1", name: str = "j1") -> Assignment:
        """Submit a job, and hand it to a worker."""
        self.submit(name)
        self.announce(worker)
        [job] = self.assign()[worker]
        return job


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_jobs_go_in_turn_to_free_slots_and_no_further(desk: Desk) -> None:
    desk.submit(*(f"j{n}" for n in range(6)))
    desk.announce("w1", slots=3)
    desk.announce("w2", slots=1)
    assigned = desk.assign()
    names = {worker: [job.id for job in jobs] for worker, jobs in assigned.items()}
    assert names == {"w1": ["j0", "j2", "j3"], "w2": ["j1"]}
    assert desk.assign() == {}


def test_what_a_step_returns_goes_to_the_next_one(desk: Desk) -> None:
    job = desk.begin()
    desk.conclude("w1", job, Outcome.SUCCESS, output={"a": 1})
    desk.announce("w2", "second")
    [second] = desk.assign()["w2"]
    assert (second.instructions, second.attempt) == ({"a": 1}, 1)
    assert second.lease > job.lease
    desk.conclude("w2", second, Outcome.SUCCESS, output={"b": 2})
    done = desk.journal["j1"]
    assert (done.state, done.result, done.step) == (State.DONE, {"b": 2}, "second")
    assert desk.dispatcher.jobs == {}


def test_a_failed_job_waits_longer_each_time_and_dies_in_the_end(desk: Desk) -> None:
    job, pauses = desk.begin(), []
    for _ in range(First.max_retries):
        desk.conclude("w1", job, Outcome.FAILED, error={"name": "OSError"})
        failed = desk.journal["j1"]
        assert failed.state is State.QUEUED
        pauses.append(failed.due - desk.time)
        assert desk.assign() == {}
        desk.time = failed.due
        assert desk.dispatcher.hungry(desk.now) == ["first"]
        desk.dispatcher.refill("first", [failed], None)
        [job] = desk.assign()["w1"]
    assert job.attempt == First.max_retries + 1
    desk.conclude("w1", job, Outcome.FAILED, error={"name": "OSError"})
    assert desk.journal["j1"].state is State.DEAD
    assert [0.5 <= pauses[0] <= 1, 1 <= pauses[1] <= 2, 2 <= pauses[2] <= 4] == [True] * 3


def test_a_result_under_an_old_lease_changes_nothing_and_is_settled(desk: Desk) -> None:
    old = desk.begin("w1")
    desk.time += 6
    desk.expire()
    again = desk.journal["j1"]
    assert (again.state, again.error and again.error["name"]) == (State.QUEUED, "WorkerLost")
    desk.time = again.due
    desk.announce("w2")
    desk.dispatcher.hungry(desk.now)
    desk.dispatcher.refill("first", [again], None)
    [new] = desk.assign()["w2"]
    changes = desk.conclude("w1", old, Outcome.SUCCESS, output={"late": True})
    assert changes.jobs == {}
    assert changes.orders["w1"].settled == [("j1", old.lease)]
    desk.conclude("w2", new, Outcome.SUCCESS, output={"late": False})
    assert desk.journal["j1"].instructions == {"late": False}


def test_a_lease_is_good_for_the_worker_that_has_it_only(desk: Desk) -> None:
    job = desk.begin("w1")
    assert desk.conclude("w2", job, Outcome.SUCCESS, output={}).jobs == {}


def test_a_worker_that_has_a_job_again_owes_a_result_under_the_new_lease(desk: Desk) -> None:
    old = desk.begin("w1")
    desk.conclude("w1", old, Outcome.RETURNED)
    [new] = desk.assign()["w1"]
    assert desk.conclude("w1", old, Outcome.SUCCESS, output={"old": True}).jobs == {}
    desk.conclude("w1", new, Outcome.SUCCESS, output={"old": False})
    assert desk.journal["j1"].instructions == {"old": False}


def test_a_job_that_is_handed_back_counts_no_attempt(desk: Desk) -> None:
    job = desk.begin()
    desk.conclude("w1", job, Outcome.RETURNED)
    [again] = desk.assign()["w1"]
    assert (again.attempt, again.lease) == (1, job.lease + 1)


def test_a_job_that_is_handed_back_keeps_its_place(desk: Desk) -> None:
    job = desk.begin()
    due = desk.journal["j1"].due
    desk.time += 60
    desk.conclude("w1", job, Outcome.RETURNED)
    assert desk.journal["j1"].due == due


def test_jobs_that_could_not_be_sent_are_the_next_ones_in_their_order(desk: Desk) -> None:
    desk.submit("j1", "j2", "j3")
    desk.announce("w1", slots=2)
    [jobs] = desk.assign().values()
    desk.dispatcher.take_back(jobs, desk.now)
    [again] = desk.assign().values()
    assert [job.id for job in again] == [job.id for job in jobs] == ["j1", "j2"]


def test_a_worker_that_says_goodbye_leaves_its_jobs_to_others_at_once(desk: Desk) -> None:
    desk.begin("w1")
    changes = Changes()
    desk.dispatcher.part(changes, "w1", desk.now)
    desk.write(changes)
    desk.announce("w2")
    [job] = desk.assign()["w2"]
    assert (job.id, job.attempt) == ("j1", 1)


def test_a_job_that_two_announcements_lack_is_sent_again_under_its_lease(desk: Desk) -> None:
    job = desk.begin()
    assert desk.announce("w1").orders == {}
    assert desk.announce("w1").orders["w1"].jobs == [job]
    assert desk.announce("w1", jobs=[job]).orders == {}


def test_what_a_worker_has_and_should_not_have_is_withdrawn(desk: Desk) -> None:
    changes = desk.announce("w1", jobs=[Assignment("j9", 3, 1, {})])
    assert changes.orders["w1"].withdrawn == [("j9", 3)]


def test_a_pipeline_that_comes_back_leaves_running_jobs_to_their_workers(desk: Desk) -> None:
    job = desk.begin()
    restarted = Desk()
    running = desk.dispatcher.jobs["j1"]
    restarted.dispatcher.restore([running], desk.dispatcher.counts, restarted.now)
    restarted.journal = {"j1": running}
    restarted.time += 4
    assert restarted.expire().jobs == {}
    assert restarted.announce("w1", jobs=[job]).orders == {}
    assert restarted.assign() == {}
    restarted.conclude("w1", job, Outcome.SUCCESS, output={})
    assert restarted.journal["j1"].step == "second"


def test_who_does_not_come_back_after_a_restart_has_lost_its_jobs(desk: Desk) -> None:
    desk.begin()
    restarted = Desk()
    restarted.dispatcher.restore(
        desk.dispatcher.jobs.values(), desk.dispatcher.counts, restarted.now
    )
    restarted.time += 6
    assert restarted.expire().jobs["j1"].state is State.QUEUED


def test_a_dead_worker_is_noticed_by_a_pipeline_that_is_late_each_time(desk: Desk) -> None:
    desk.begin("w1")
    lost: list[list[str]] = []
    for _ in range(2):
        desk.time += 6
        desk.dispatcher.members.excuse(6)
        desk.announce("w2")
        lost.append([member.worker for member in desk.expire().leaving])
    assert lost == [[], ["w1"]]


def test_a_worker_at_the_address_of_another_takes_its_place(desk: Desk) -> None:
    desk.begin("w1")
    changes = Changes()
    event = Available("w2", "first", "inproc://w1", 1)
    desk.dispatcher.announce(changes, event, desk.now)
    assert changes.jobs["j1"].state is State.QUEUED
    assert [member.worker for member in changes.leaving] == ["w1"]


def test_a_job_far_past_its_time_limit_is_taken_from_a_worker_that_says_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(First, "time_limit", 2.0)
    job = desk.begin()
    for _ in range(2):
        desk.time += 3.4
        desk.announce("w1", jobs=[job])
        assert desk.expire().jobs == {}
    desk.time += 0.3
    changes = desk.expire()
    error = changes.jobs["j1"].error
    assert error
    assert error["name"] == "TimeLimitExceeded"
    assert changes.orders["w1"].withdrawn == [("j1", job.lease)]


def test_a_cancelled_job_is_withdrawn_and_its_result_dropped(desk: Desk) -> None:
    job = desk.begin()
    changes = Changes()
    for _ in range(2):
        assert desk.dispatcher.cancel(changes, desk.dispatcher.jobs["j1"], desk.now)
    assert desk.write(changes).orders["w1"].withdrawn == [("j1", job.lease)]
    assert desk.conclude("w1", job, Outcome.SUCCESS, output={}).jobs == {}
    assert desk.journal["j1"].state is State.CANCELLED


def test_a_cancelled_job_is_not_handed_out(desk: Desk) -> None:
    desk.submit("j1")
    changes = Changes()
    assert desk.dispatcher.cancel(changes, desk.dispatcher.jobs["j1"], desk.now)
    desk.write(changes)
    desk.announce("w1")
    assert desk.assign() == {}


def test_a_dead_letter_that_is_requeued_has_all_its_tries_again(desk: Desk) -> None:
    dead = Job(id="j1", step="first", state=State.DEAD, instructions={}, submitted=1.0, attempts=4)
    changes = Changes()
    assert desk.dispatcher.requeue(changes, dead, desk.now)
    assert not desk.dispatcher.requeue(changes, dead, desk.now)
    desk.write(changes)
    desk.announce("w1")
    [job] = desk.assign()["w1"]
    assert job.attempt == 1


def test_a_dead_letter_that_is_requeued_and_cancelled_in_one_turn_is_counted_once(
    desk: Desk,
) -> None:
    dead = Job(id="j1", step="first", state=State.DEAD, instructions={}, submitted=1.0, attempts=4)
    desk.dispatcher.recount({("first", State.DEAD): 1})
    changes = Changes()
    desk.dispatcher.requeue(changes, dead, desk.now)
    assert desk.dispatcher.cancel(changes, dead, desk.now)
    desk.write(changes)
    assert +desk.dispatcher.counts == {("first", State.CANCELLED): 1}
    assert -desk.dispatcher.counts == {}


def test_a_decision_that_is_not_written_has_not_happened(desk: Desk) -> None:
    job = desk.begin()
    before = dict(desk.dispatcher.jobs), dict(desk.dispatcher.counts)
    result = Result(job.id, job.lease, Outcome.SUCCESS, {})
    desk.dispatcher.conclude(Changes(), "w1", result, desk.now)
    desk.dispatcher.cancel(Changes(), desk.dispatcher.jobs["j1"], desk.now)
    assert (dict(desk.dispatcher.jobs), dict(desk.dispatcher.counts)) == before
    assert desk.conclude("w1", job, Outcome.SUCCESS, output={}).jobs["j1"].step == "second"


def test_memory_holds_a_part_of_a_long_queue_in_order() -> None:
    desk = Desk(size=3)
    desk.submit(*(f"j{n}" for n in range(10)))
    assert len(desk.dispatcher.jobs) == 3
    desk.announce("w1", slots=100)
    names = [job.id for job in desk.assign()["w1"]]
    while desk.dispatcher.hungry(desk.now):
        queued = [job for job in desk.journal.values() if job.id not in names]
        desk.dispatcher.refill("first", queued[:3], None)
        names += [job.id for job in desk.assign().get("w1", [])]
    assert names == [f"j{n}" for n in range(10)]


def test_a_delayed_job_is_not_forgotten_while_others_keep_coming() -> None:
    desk = Desk(size=3)
    job = desk.begin()
    desk.conclude("w1", job, Outcome.FAILED, error={})
    delayed = desk.journal["j1"]
    desk.submit("j2")
    [other] = desk.assign()["w1"]
    desk.time = delayed.due + 0.1
    desk.dispatcher.hungry(desk.now)
    desk.submit("j3")
    desk.conclude("w1", other, Outcome.SUCCESS, output={})
    assert desk.assign() == {}, "j3 came before the journal was asked for what is due"
    assert desk.dispatcher.hungry(desk.now) == ["first"]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_lost_every_accepted_job_ends_exactly_once(seed: int) -> None:
    world = Simulation(seed, jobs=40)
    for _ in range(3000):
        world.step()
    world.settle_down()
    for _ in range(20_000):
        if world.finished:
            break
        world.step()
    jobs = world.journal.jobs
    assert world.finished, {job.id: job for job in jobs.values() if not job.ended}
    assert jobs.keys() == world.accepted
    assert set(world.journal.ended.values()) == {1}
    for job in jobs.values():
        assert job.state in (State.DONE, State.DEAD)
        never_begun = not world.executed[job.id, job.step]
        assert not never_begun or (job.error and job.error["name"] == "WorkerLost"), job
        if job.id.endswith("7"):
            assert job.state is State.DEAD
    assert world.dispatcher.jobs == {}
    counts = {key: number for key, number in world.dispatcher.counts.items() if number}
    assert counts == dict(world.journal.counts())
