"""The page on what is safe leaves no public class and no verb out."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

import agentzero
from agentzero import (
    AsyncSocketManager,
    SocketManager,
    backends,
    events,
    log,
    pipeline,
    security,
    serializers,
    tracking,
)
from tests.processes import ROOT

NAMED = set(
    re.findall(r"`(\w+)(?:\(\w+\))?`", (ROOT / "docs" / "safety.md").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("manager", [SocketManager, AsyncSocketManager])
def test_every_verb_is_told_of(manager: type) -> None:
    verbs = {name for name in dir(manager) if not name.startswith("_")}
    assert verbs - NAMED == set()


@pytest.mark.parametrize(
    "module", [agentzero, backends, events, log, pipeline, security, serializers, tracking]
)
def test_every_class_is_told_of(module: ModuleType) -> None:
    # A LogRecord is the standard library's, and a lock is only ever held by this library.
    classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert classes - NAMED - {"PublishedRecord", "Lock"} == set()
