"""Pipeline: takes jobs through steps, and loses none."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from agentzero.pipeline.errors import PipelineError
from agentzero.pipeline.metrics import Collector, exported
from agentzero.pipeline.service import Service
from agentzero.pipeline.settings import DAY, Listener, Settings
from agentzero.pipeline.signals import ending_signals
from agentzero.pipeline.step import Step
from agentzero.pipeline.wire import REPLY_ADDRESS
from agentzero.serializers import Serializer

__all__ = ["Pipeline"]


class Pipeline:
    """An ordered list of steps, and the journal of the jobs that go through them.

    What a job is submitted with are the first step's instructions; what a step returns are the next
    one's, and what the last one returns is the job's result. A job is in the journal before its id
    is answered, and is finished only when its result is: every accepted job ends exactly once as
    done or dead (or cancelled), and is executed at least once, whatever is killed meanwhile.

    It binds a ROUTER, on which clients ask as they would ask a REP (`Client`), a SUB for the
    workers' events, a PULL for their results; and it connects a PUSH to each worker. Only one
    process at a time runs a pipeline: one that takes over its journal shuts the other out.

    Args:
        name: what the journal knows it by.
        steps: Step classes, in their order.
        journal: the URL of a database, as SQLAlchemy takes it; None is the SQLite file `{name}.db`
            in the working directory.
        reply_address: where clients and workers ask.
        events_address, results_address: where workers publish and push; they are told. These three
            must be the same when the pipeline is started again: give ports, below those that the
            system hands out to connections.
        heartbeat: seconds between two announcements of a worker.
        lease: seconds of silence after which a worker's jobs go to others: two heartbeats or more.
        grace: seconds that `run` waits, once it is stopped, for jobs that run.
        keep: seconds for which done and cancelled jobs stay in the journal; `math.inf` keeps them.
        serializer: a serializer, or the name of one, for all messages and for the journal. None
            means $AGENTZERO_SERIALIZER, else JSON.
        backend: the name of the backend that waits. None means $AGENTZERO_BACKEND, else what suits.
        on_event: called in the pipeline's loop with each event (see `agentzero.pipeline.events`;
            log records as `logging.LogRecord`); it must not take long.
        metrics_port: where Prometheus finds metrics, on all interfaces; None serves none.

    Raises:
        ValueError, TypeError: the steps are none, or two have one job type, or a number is wrong.

    >>> class Double(Step):
    ...     job_type = "double"
    ...
    ...     def execute(self, instructions):
    ...         return {"number": 2 * instructions["number"]}
    >>> Pipeline("numbers", [Double]).job_types
    ['double']
    """

    def __init__(
        self,
        name: str,
        steps: Iterable[type[Step]],
        journal: str | None = None,
        *,
        reply_address: str = REPLY_ADDRESS,
        events_address: str = "tcp://127.0.0.1:7711",
        results_address: str = "tcp://127.0.0.1:7712",
        heartbeat: float = 1.0,
        lease: float = 5.0,
        grace: float = 10.0,
        keep: float = 7 * DAY,
        serializer: Serializer | str | None = None,
        backend: str | None = None,
        on_event: Listener | None = None,
        metrics_port: int | None = None,
    ) -> None:
        self.settings: Settings = Settings(
            name=name,
            steps=tuple(steps),
            journal=f"sqlite:///{name}.db" if journal is None else journal,
            reply_address=reply_address,
            events_address=events_address,
            results_address=results_address,
            heartbeat=heartbeat,
            lease=lease,
            grace=grace,
            keep=keep,
            serializer=serializer,
            backend=backend,
            on_event=on_event,
            metrics_port=metrics_port,
        )
        self._stops = 0
        self._began = False

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, {self.job_types})"

    @property
    def name(self) -> str:
        """What the journal knows it by."""
        return self.settings.name

    @property
    def steps(self) -> list[type[Step]]:
        """The steps, in their order."""
        return list(self.settings.steps)

    @property
    def job_types(self) -> list[str]:
        """The names of the steps, in their order."""
        return [step.job_type for step in self.settings.steps]

    def run(self, *, signals: bool = True) -> None:
        """Work until `stop`, or until SIGTERM or SIGINT comes, where this is the main thread; once.

        The first signal has it take no more jobs and wait for those that run, for `grace` seconds;
        the second ends it at once. Nothing is lost in either case: the journal has it.

        Args:
            signals: False leaves the signals alone.

        Raises:
            SocketBindError: an address cannot be bound.
            JournalError: the journal cannot be opened. Failures while it runs are logged, and told
                to those whose jobs could not be accepted.
            JournalTaken: another process runs this pipeline now.
            PipelineError: this has run already; make another one.
        """
        if self._began:
            raise PipelineError("a pipeline runs once; make another one")
        self._began = True
        service = Service(self.settings, lambda: self._stops)
        collector = Collector(self.name, service.dispatcher)
        with (
            ending_signals(self.stop) if signals else nullcontext(),
            exported(collector, self.settings.metrics_port),
        ):
            service.run()

    def stop(self) -> None:
        """Let `run` end, as one more signal would; at any time, from any thread or handler."""
        self._stops += 1
