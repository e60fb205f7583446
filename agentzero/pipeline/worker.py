"""Worker: does the jobs of one step of a pipeline, in this process or from it."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import nullcontext
from queue import SimpleQueue

from agentzero.pipeline.addresses import check_address, check_bind
from agentzero.pipeline.checks import checked_seconds
from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.executors import ExecutorSource, Pool, check_executor
from agentzero.pipeline.links import Links
from agentzero.pipeline.shift import Mailbox, Shift, Stop
from agentzero.pipeline.signals import ending_signals
from agentzero.pipeline.step import Step, check_step
from agentzero.pipeline.wire import REPLY_ADDRESS
from agentzero.serializers import Serializer

__all__ = ["Worker"]


class Worker:
    """Takes jobs of one step from a pipeline, and does them, until it is stopped.

    It may be started before the pipeline, outlives it, and goes on with it when it comes back. It
    keeps each result until the pipeline has said that it is in the journal.

    Args:
        step: does the jobs, in several threads at once if there are several slots. It holds no
            sockets; for an executor of other processes it has to be picklable.
        reply_address: where the pipeline answers questions.
        slots: how many jobs it takes at a time: not more than the executor has workers.
        executor: where the jobs are done. None means daemon threads; an executor is used, and left
            to its owner to shut down; a function that makes one is called again when it breaks.
            Where gevent has patched the process, its threads are greenlets, and one that computes
            stops the heartbeats: use `gevent.threadpool.ThreadPoolExecutor` for such jobs.
        bind: where to pull orders: `tcp://` and a host, perhaps a port, or the beginning of an
            `ipc://` address. None means the address that this host has towards the pipeline.
        grace: seconds that the jobs that run may take to finish when it is stopped; then they are
            handed back as well.
        serializer: that of the pipeline: one, its name, or None for $AGENTZERO_SERIALIZER, else
            JSON.

    Raises:
        TypeError, ValueError: one of these makes no sense.

    Attributes:
        id: its name in the events; another one for each worker.

    >>> from threading import Thread
    >>> class Double(Step):
    ...     job_type = "double"
    ...
    ...     def execute(self, instructions):
    ...         return {"number": 2 * instructions["number"]}
    >>> worker = Worker(Double(), "tcp://127.0.0.1:7710")
    >>> thread = Thread(target=worker.run)
    >>> thread.start()
    >>> worker.stop()
    >>> thread.join()
    """

    def __init__(
        self,
        step: Step,
        reply_address: str = REPLY_ADDRESS,
        *,
        slots: int = 1,
        executor: ExecutorSource = None,
        bind: str | None = None,
        grace: float = 30.0,
        serializer: Serializer | str | None = None,
    ) -> None:
        if not isinstance(step, Step):
            raise TypeError(f"a worker is given an instance of a Step, not {step!r}")
        if check_step(type(step)).execute is Step.execute:
            raise TypeError(f"{type(step).__name__} does not say how to execute")
        check_address(reply_address)
        check_executor(executor)
        check_bind(bind)
        self.id: str = _new_id()
        self._process = os.getpid()
        self._step = step
        self._reply_address = reply_address
        self._slots = _checked_slots(slots)
        self._executor = executor
        self._bind = bind
        self._grace = checked_seconds(grace, "grace")
        self._serializer = serializer
        # One that is safe to put into amid itself, as signal handlers do.
        self._inbox: Mailbox = SimpleQueue()
        self._began = False
        self._signalled = False

    def run(self, *, signals: bool = True) -> None:
        """Join the pipeline and work, until stopped; once per worker.

        When it is stopped it takes no more jobs, hands back those that have not begun, finishes
        those that run, and waits for the pipeline to have it all; `grace` limits that.

        Args:
            signals: whether, in the main thread, SIGTERM and SIGINT stop it. A second one ends it
                at once: what runs is handed back.

        Raises:
            StepHung: every slot is taken by a job past its time limit; start another process.
            PipelineError: the pipeline has no such step, or there is no way to it.
            BrokenExecutor: the executor broke, and nobody said how to make another one.
        """
        if self._began:
            raise PipelineError("a worker runs once; make another one")
        self._began = True
        if os.getpid() != self._process:  # forked since it was made, perhaps into several
            self.id = _new_id()
        with ending_signals(self._signal) if signals else nullcontext():
            self._shift().run()

    def stop(self, *, at_once: bool = False) -> None:
        """Have `run` end, as it says; from any thread or signal handler, and at any time.

        Args:
            at_once: hand back what runs, too, and wait for nothing.
        """
        self._inbox.put(Stop(at_once))

    def _signal(self) -> None:
        self.stop(at_once=self._signalled)
        self._signalled = True

    def _shift(self) -> Shift:
        pool = Pool(self._executor, self._slots)
        try:
            links = Links(
                self.id, self._reply_address, self._bind, self._serializer, self._inbox.put
            )
        except BaseException:
            pool.close()
            raise
        return Shift(self._step, links, pool, self._slots, self._grace, self._inbox)


def _checked_slots(slots: object) -> int:
    if not isinstance(slots, int) or isinstance(slots, bool):
        raise TypeError(f"slots is a whole number, not {slots!r}")
    if slots < 1:
        raise ValueError(f"a worker has 1 slot or more, not {slots}")
    return slots


def _new_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
