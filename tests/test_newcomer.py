"""Somebody who has the README and nothing else gets two processes to talk, within five minutes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.environments import PATIENCE, Environment
from tests.pages import Page
from tests.ports import having
from tests.processes import ROOT

README = Page(ROOT / "README.md")
FIVE_MINUTES = 300  # seconds

INSTALL = re.compile(r"^ *pip install '\.(\[\S+\])'$", re.MULTILINE)


def commands() -> list[str]:
    """What is to be typed, each in a terminal of its own."""
    conversation = next(block for block in README.blocks if block.does == "type")
    return re.findall(r"^\$ (.*?)(?: &)?$", conversation.text, re.MULTILINE)


@pytest.fixture
def newcomer(environment: Environment) -> Environment:
    """Have what the README has pip install, from a wheel of the checkout."""
    found = INSTALL.search(README.text)
    assert found
    return environment.plus(f"agentzero{found[1]}")


@contextmanager
def typed(command: str, environment: Environment, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Have a command in a shell of somebody who has no settings and nothing else on the PATH."""
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={"HOME": str(home), "PATH": str(environment.folder / "bin")},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(FIVE_MINUTES)
def test_two_processes_talk_as_the_readme_says(newcomer: Environment, tmp_path: Path) -> None:
    hearing, saying = commands()
    with (
        having(README.ports),
        typed(hearing, newcomer, tmp_path) as listener,
        typed(saying, newcomer, tmp_path) as speaker,
    ):
        assert (*speaker.communicate(timeout=PATIENCE), speaker.returncode) == ("", "", 0)
        heard, complaints = listener.communicate(timeout=PATIENCE)
    assert (complaints, listener.returncode) == ("", 0)
    *_, topic, said = shlex.split(saying)
    assert json.loads(heard) == {"topic": topic, "data": json.loads(said)}
