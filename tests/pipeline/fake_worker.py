"""Sockets that play a worker, and do only what they are told: so a test can leave out anything."""

from __future__ import annotations

from itertools import count
from typing import Any, Self

import zmq

from agentzero import SocketManager
from agentzero.pipeline.events import Available, Gone
from agentzero.pipeline.settings import Settings
from agentzero.pipeline.wire import Assignment, Order, Outcome, Result, Results

PATIENCE = 10  # seconds in which anything must have happened

_numbers = count()


class FakeWorker:
    """A worker of one step that announces itself, takes orders and sends results when told to.

    Args:
        settings: of the pipeline.
        job_type: its step.
        slots: how many jobs it says that it takes.
    """

    def __init__(self, settings: Settings, job_type: str = "first", slots: int = 1) -> None:
        self.name = f"fake-{next(_numbers)}"
        self.job_type = job_type
        self.slots = slots
        self.taken: list[Assignment] = []
        self.sockets = SocketManager(linger=0, timeout=PATIENCE)
        self.sockets.create("orders", zmq.PULL)
        _, self.address = self.sockets.bind_to_random_port("orders", zmq.POLLIN, "tcp://127.0.0.1")
        self.sockets.ensure_and_connect("results", zmq.PUSH, settings.results_address)
        self.sockets.ensure_and_connect("events", zmq.XPUB, settings.events_address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sockets.close_all()

    def announce(self, *held: Assignment) -> None:
        """Give a heartbeat, with the jobs that it has."""
        jobs = {job.id: job.lease for job in held}
        self.publish(
            "available", Available(self.name, self.job_type, self.address, self.slots, jobs)
        )

    def publish(self, topic: str, event: object) -> None:
        self.sockets.wait_for_subscribers("events", topic)
        self.sockets.publish("events", topic, event)

    def leave(self) -> None:
        self.publish("gone", Gone(self.name, self.job_type))

    def order(self) -> Order:
        """Return the next order."""
        order: Order = self.sockets.recv("orders", type=Order)
        self.taken += order.jobs
        return order

    def settled(self, job: Assignment) -> None:
        """Wait until an order says that the result of that job is in the journal.

        Meanwhile, it says again and again what it has, and what became of that.
        """
        for _ in range(10 * PATIENCE):
            order = self.sockets.recv_safe("orders", timeout=0.1, type=Order)
            if order is None:
                self.announce(job)
                self.sockets.send("results", self.result)
                continue
            self.taken += order.jobs
            if (job.id, job.lease) in order.settled:
                return
        raise TimeoutError

    def jobs(self, number: int = 1) -> list[Assignment]:
        """Return the next so many jobs, in one order or several."""
        while len(self.taken) < number:
            self.order()
        jobs, self.taken = self.taken, []
        return jobs

    def conclude(self, job: Assignment, outcome: Outcome, **more: Any) -> None:
        """Send a result."""
        self.result = Results(self.name, [Result(job.id, job.lease, outcome, **more)])
        self.sockets.send("results", self.result)

    def succeed(self, job: Assignment, **output: Any) -> None:
        self.conclude(job, Outcome.SUCCESS, output=output)

    def fail(self, job: Assignment) -> None:
        self.conclude(job, Outcome.FAILED, error={"name": "OSError", "message": "no luck"})
