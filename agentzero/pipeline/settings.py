"""How a pipeline is set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentzero.pipeline.step import Step
from agentzero.serializers import Serializer

__all__ = ["Settings"]

Listener: TypeAlias = Callable[[object], object]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `Pipeline` was made with; see there."""

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
