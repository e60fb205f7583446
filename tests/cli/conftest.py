"""The command line as real processes, and a pipeline for it to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.inside import Agent, Peer
from tests.pipeline.fake_replies import FakePipeline
from tests.processes import ROOT, START, interruptible

Ended = subprocess.CompletedProcess[str]


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Commands can be interrupted."""
    with interruptible():
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands run: an empty folder, and the checkout is found from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePipeline]:
    """A pipeline that is found without --address."""
    fake = FakePipeline()
    monkeypatch.setenv("AGENTZERO_PIPELINE", fake.address)
    yield fake
    fake.stop()


@pytest.fixture
def call() -> Callable[..., Ended]:
    """Run `agentzero pipeline` with these words to its end."""

    def run(*words: str, stdin: str = "") -> Ended:
        return subprocess.run(
            [sys.executable, "-m", "agentzero", "pipeline", *words],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env=os.environ,
            timeout=START,
        )

    return run


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Agent:
    """Run `agentzero` with these words, in this process."""
    return Agent(monkeypatch, capsysbinary)


@pytest.fixture
def peer(folder: Path) -> Iterator[Peer]:
    """Who a command talks to."""
    peer = Peer(f"ipc://{folder}/peer")
    yield peer
    peer.sockets.close_all()
