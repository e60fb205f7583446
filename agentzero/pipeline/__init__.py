"""A worker pipeline that loses no job: steps, each in its own processes, around a durable journal.

Write steps, run a `Pipeline` in one process and a `Worker` in each of others, and submit jobs with
a `Client`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentzero.pipeline.jobs import Instructions, Job, State
from agentzero.pipeline.step import Step

if TYPE_CHECKING:
    from agentzero.pipeline.aio import AsyncClient
    from agentzero.pipeline.client import Client
    from agentzero.pipeline.pipeline import Pipeline
    from agentzero.pipeline.worker import Worker

__all__ = [
    "AsyncClient",
    "Client",
    "Instructions",
    "Job",
    "Pipeline",
    "State",
    "Step",
    "Worker",
]

# A worker needs no database, and a client neither that nor executors.
_LAZY = {"AsyncClient": "aio", "Client": "client", "Pipeline": "pipeline", "Worker": "worker"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
