"""How a pipeline is set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentzero.pipeline.checks import checked_seconds
from agentzero.pipeline.jobs import storable
from agentzero.pipeline.step import Step, check_step
from agentzero.serializers import Serializer

__all__ = ["DAY", "Listener", "Settings"]

Listener: TypeAlias = Callable[[object], object]

DAY = 86_400.0
SHORTEST, LONGEST = 0.01, DAY  # seconds of a heartbeat


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `Pipeline` was made with; see there.

    Raises:
        ValueError, TypeError: the steps are none, or two have one job type, or a number is wrong.
    """

    name: str
    steps: Sequence[type[Step]]
    journal: str
    reply_address: str
    events_address: str
    results_address: str
    heartbeat: float
    lease: float
    grace: float
    keep: float
    serializer: Serializer | str | None
    backend: str | None
    on_event: Listener | None
    metrics_port: int | None

    def __post_init__(self) -> None:
        """Find out what is wrong."""
        _check_name(self.name)
        _check_steps(self.steps)
        for address in (self.reply_address, self.events_address, self.results_address):
            _check_address(address)
        checked_seconds(self.heartbeat, "heartbeat", least=SHORTEST, most=LONGEST)
        checked_seconds(self.lease, "lease", least=2 * self.heartbeat, most=LONGEST)
        checked_seconds(self.grace, "grace")
        checked_seconds(self.keep, "keep")
        _check_listener(self.on_event)
        _check_port(self.metrics_port)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a pipeline is a str, not {name!r}")
    if not name or not storable(name) or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} cannot be the name of a pipeline")


def _check_steps(steps: Sequence[object]) -> None:
    names = [check_step(step).job_type for step in steps]
    if not names:
        raise ValueError("a pipeline has at least one step")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two steps have the job type {name!r}")


def _check_address(address: object) -> None:
    if not isinstance(address, str) or "://" not in address:
        raise ValueError(f"an address is like 'tcp://127.0.0.1:7710', not {address!r}")


def _check_listener(listener: object) -> None:
    if listener is not None and not callable(listener):
        raise TypeError(f"on_event is called with each event, which {listener!r} cannot be")


def _check_port(port: int | None) -> None:
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"metrics_port is from 1 to 65535, not {port!r}")
