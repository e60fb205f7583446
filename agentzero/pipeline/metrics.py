"""A pipeline's numbers, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from agentzero.pipeline.jobs import State
from agentzero.pipeline.tally import BOUNDS, Histogram

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

    from agentzero.pipeline.dispatch import Dispatcher

__all__ = ["Collector", "exported"]

OUTCOMES = ("done", "failed", "dead", "cancelled", "returned", "lost")


class Collector:
    """Reads the numbers when Prometheus asks, so that counting costs nothing more.

    Args:
        name: the pipeline.
        dispatcher: who counts.
    """

    def __init__(self, name: str, dispatcher: Dispatcher) -> None:
        self._name = name
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[Metric]:
        """Yield what `prometheus_client` exposes."""
        yield self._tries()
        yield self._retries()
        yield self._jobs()
        yield self._workers()
        yield from self._durations()
        yield self._told()

    def _tries(self) -> Metric:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "agentzero_pipeline_jobs",
            "What became of jobs in a step, since the pipeline started.",
            labels=["pipeline", "step", "outcome"],
        )
        for step, tally in self._dispatcher.tallies.items():
            for outcome in OUTCOMES:
                family.add_metric([self._name, step, outcome], getattr(tally, outcome))
        return family

    def _retries(self) -> Metric:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "agentzero_pipeline_retries",
            "Failed tries after which a job was queued again.",
            labels=["pipeline", "step"],
        )
        for step, tally in self._dispatcher.tallies.items():
            family.add_metric([self._name, step], tally.retried)
        return family

    def _jobs(self) -> Metric:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "agentzero_pipeline_depth",
            "Jobs in a step that have not ended, and dead letters.",
            labels=["pipeline", "step", "state"],
        )
        for step in self._dispatcher.steps:
            for state in (State.QUEUED, State.RUNNING, State.DEAD):
                family.add_metric(
                    [self._name, step, state], self._dispatcher.counts.get((step, state), 0)
                )
        return family

    def _workers(self) -> Metric:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "agentzero_pipeline_workers", "Workers of a step.", labels=["pipeline", "step"]
        )
        for step in self._dispatcher.steps:
            family.add_metric([self._name, step], len(self._dispatcher.members.of(step)))
        return family

    def _durations(self) -> Iterator[Metric]:
        execution = _histogram("execution", "How long execute took.")
        latency = _histogram("latency", "From a job's submission until it was done.")
        for step, tally in self._dispatcher.tallies.items():
            _add(execution, [self._name, step], tally.execution)
            _add(latency, [self._name, step], tally.latency)
        yield execution
        yield latency

    def _told(self) -> Metric:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(
            "agentzero_pipeline_metric",
            "Numbers that workers tell.",
            labels=["pipeline", "step", "worker", "name"],
        )
        for member in list(self._dispatcher.members):  # copies: another thread changes them
            for name, value in list(member.numbers.items()):
                family.add_metric([self._name, member.job_type, member.worker, name], value)
        return family


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    from prometheus_client.core import HistogramMetricFamily

    return HistogramMetricFamily(
        f"agentzero_pipeline_{name}_seconds", text, labels=["pipeline", "step"]
    )


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    family.add_metric(labels, buckets=buckets, sum_value=histogram.seconds)


@contextmanager
def exported(collector: Collector, port: int | None) -> Iterator[None]:
    """Serve metrics on a port as long as the block runs; on none where it is None.

    Raises:
        ModuleNotFoundError: prometheus_client is not installed.
        OSError: the port is taken.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ModuleNotFoundError as error:
        mends = "metrics need prometheus_client: pip install 'agentzero[pipeline]'"
        raise ModuleNotFoundError(mends, name=error.name) from error

    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, registry=registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
