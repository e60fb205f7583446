"""A pipeline and its workers without sockets, processes or time, where anything may be lost.

Every message waits in a list until the simulation hands it over, loses it, or hands it over twice;
workers and the pipeline die and come back between any two of these. The journal is a dict, that
refuses to write now and then.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from agentzero.pipeline.changes import Changes, Moment
from agentzero.pipeline.dispatch import Dispatcher
from agentzero.pipeline.events import Available
from agentzero.pipeline.jobs import Job, State
from agentzero.pipeline.step import Step
from agentzero.pipeline.wire import Order, Outcome, Result, Submission


class First(Step):
    job_type = "first"
    max_retries = 3
    min_backoff = 1.0
    max_backoff = 4.0


class Second(First):
    job_type = "second"


STEPS = (First, Second)


@dataclass
class SimulatedJournal:
    """What every write that was not refused left behind."""

    jobs: dict[str, Job] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)

    def write(self, new: list[Job], changed: list[Job]) -> set[str]:
        known = {job.id for job in new if job.id in self.jobs}
        for job in new:
            self.jobs.setdefault(job.id, job)
        for job in changed:
            before = self.jobs[job.id]
            assert not before.ended, f"{before} became {job}"
            self.ended[job.id] += job.ended
            self.jobs[job.id] = job
        return known

    def queued(self, step: str, due: float, limit: int) -> list[Job]:
        jobs = [job for job in self.jobs.values() if job.state is State.QUEUED]
        ready = [job for job in jobs if job.step == step and job.due <= due]
        return sorted(ready, key=lambda job: (job.due, job.id))[:limit]

    def next_due(self, step: str, after: float) -> float | None:
        jobs = [job for job in self.jobs.values() if job.state is State.QUEUED]
        return min((job.due for job in jobs if job.step == step and job.due > after), default=None)

    def counts(self) -> Counter[tuple[str, State]]:
        return Counter((job.step, job.state) for job in self.jobs.values())


@dataclass
class SimulatedWorker:
    """What a worker promises: it keeps results until they are settled, and does no lease twice."""

    name: str
    job_type: str
    slots: int
    running: dict[str, Order] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    frozen: bool = False

    def obey(self, order: Order) -> None:
        for name, lease in [*order.settled, *order.withdrawn]:
            if self.held.get(name) == lease:
                del self.held[name]
                self.results.pop(name, None)
        for job in order.jobs:
            if self.held.get(job.id, 0) < job.lease:
                self.held[job.id] = job.lease
                self.attempts[job.id] = job.attempt
                self.results.pop(job.id, None)

    def announcement(self) -> Available:
        return Available(
            self.name, self.job_type, f"inproc://{self.name}", self.slots, dict(self.held)
        )


class Simulation:
    """One run, which a seed determines.

    Args:
        seed: of all that is random.
        jobs: how many are submitted in all.
    """

    def __init__(self, seed: int, jobs: int) -> None:
        self.random = random.Random(seed)
        self.journal = SimulatedJournal()
        self.workers: dict[str, SimulatedWorker] = {}
        self.accepted: set[str] = set()
        self.executed: Counter[tuple[str, str]] = Counter()
        self.mail: list[tuple[str, object]] = []
        self.time = 1000.0
        self.left = jobs
        self.born = 0
        self.calm = False
        self.start()

    def start(self) -> None:
        """Start the pipeline, or start it again: it knows nothing but the journal."""
        self.dispatcher = Dispatcher(STEPS, lease=5.0, size=4)
        running = [job for job in self.journal.jobs.values() if job.state is State.RUNNING]
        self.dispatcher.restore(running, self.journal.counts(), self.now)

    @property
    def now(self) -> Moment:
        return Moment(self.time, self.time - 500)

    @property
    def finished(self) -> bool:
        return not self.left and all(job.ended for job in self.journal.jobs.values())

    # What the world does

    def step(self) -> None:
        """Let anything happen, once."""
        self.time += self.random.choice((0.0, 0.0, 0.01, 0.3))
        happening = self.random.random()
        if self.calm or happening < 0.75:
            self.work()
        elif happening < 0.80:
            self.lose_mail()
        elif happening < 0.84:
            self.freeze()
        elif happening < 0.88 and self.workers:
            del self.workers[self.random.choice(list(self.workers))]
        elif happening < 0.90:
            self.start()
        else:
            self.join()

    def work(self) -> None:
        self.random.choice((self.turn, self.turn, self.execute, self.announce, self.deliver))()

    def lose_mail(self) -> None:
        if self.mail:
            mail = self.mail.pop(self.random.randrange(len(self.mail)))
            if self.random.random() < 0.3:
                self.mail += [mail, mail]

    def freeze(self) -> None:
        for worker in self.workers.values():
            worker.frozen = self.random.random() < 0.3

    def join(self) -> None:
        if len(self.workers) < 6:
            self.born += 1
            name = f"w{self.born}"
            kind = STEPS[self.born % 2].job_type
            self.workers[name] = SimulatedWorker(name, kind, self.random.randint(1, 3))

    def settle_down(self) -> None:
        """From now on nothing is lost, and nobody dies."""
        self.calm = True
        self.join()
        self.join()
        for worker in self.workers.values():
            worker.frozen = False

    # What the workers do

    def deliver(self) -> None:
        orders = [mail for mail in self.mail if isinstance(mail[1], Order)]
        for name, order in orders:
            worker = self.workers.get(name)
            if worker is None or not worker.frozen:
                self.mail.remove((name, order))
                if worker:
                    worker.obey(order)

    def execute(self) -> None:
        for worker in self.workers.values():
            unfinished = [name for name in worker.held if name not in worker.results]
            if unfinished and not worker.frozen:
                name = self.random.choice(unfinished)
                self.executed[name, worker.job_type] += 1
                worker.results[name] = self.outcome(worker, name)
                self.mail.append((worker.name, worker.results[name]))

    def outcome(self, worker: SimulatedWorker, name: str) -> Result:
        lease = worker.held[name]
        if name.endswith("7"):  # poison
            return Result(name, lease, Outcome.FAILED, error={"name": "Poison"})
        kind = self.random.choices(list(Outcome), (8, 1, 1))[0]
        output = {"by": worker.name} if kind is Outcome.SUCCESS else None
        return Result(name, lease, kind, output, {} if kind is Outcome.FAILED else None)

    def announce(self) -> None:
        for worker in self.workers.values():
            if not worker.frozen:
                self.mail.append((worker.name, worker.announcement()))
                self.mail += [(worker.name, result) for result in worker.results.values()]

    # What the pipeline does

    def turn(self) -> None:
        changes, now = Changes(), self.now
        arrived = [mail for mail in self.mail if not isinstance(mail[1], Order)]
        self.mail = [mail for mail in self.mail if isinstance(mail[1], Order)]
        for name, message in arrived:
            if isinstance(message, Available):
                self.dispatcher.announce(changes, message, now)
            elif isinstance(message, Result):
                self.dispatcher.conclude(changes, name, message, now)
        if self.left:
            self.left -= 1
            submissions = [Submission(f"j{self.left}", {}), Submission(f"j{self.left + 1}", {})]
            self.dispatcher.submit(changes, submissions, now)
        self.dispatcher.expire(changes, now)
        if not self.calm and self.random.random() < 0.1:
            self.left += bool(changes.new)  # the disk is full: whoever submitted tries again
            return
        self.commit(changes, now)

    def commit(self, changes: Changes, now: Moment) -> None:
        rows = self.dispatcher.unsaved | changes.jobs
        known = self.journal.write(list(changes.new.values()), list(rows.values()))
        self.accepted |= changes.new.keys()
        self.dispatcher.unsaved.clear()
        if not self.calm and self.random.random() < 0.05:
            self.start()  # killed with all of that written, and nobody told
            return
        self.dispatcher.absorb(changes, known, now)
        for step in self.dispatcher.hungry(now):
            jobs = self.journal.queued(step, now.wall, self.dispatcher.size)
            self.dispatcher.refill(step, jobs, self.journal.next_due(step, now.wall))
        assigned = self.dispatcher.assign(now)
        self.journal.write([], list(self.dispatcher.unsaved.values()))
        self.dispatcher.unsaved.clear()
        if not self.calm and self.random.random() < 0.05:
            self.start()  # killed with the hand-outs written, and nobody told
            return
        for worker, jobs in assigned.items():
            if self.random.random() < 0.1:
                self.dispatcher.take_back(jobs, now)
            else:
                changes.order(worker).jobs.extend(jobs)
        self.mail += changes.orders.items()
