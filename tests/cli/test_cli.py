"""The command `agentzero` itself: help, exit codes, and what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentzero import __version__
from agentzero.cli.root import COMMANDS
from tests.processes import START

NEEDED_LATER = {"click", "rich", "sqlalchemy", "prometheus_client"}


def python(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=START)


def agent(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentzero", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=START)


def test_the_version_is_told() -> None:
    assert agent("--version").stdout.split()[-1] == __version__


@pytest.mark.skipif(sys.platform != "linux", reason="there is no device that is always full")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "agentzero", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=START,
        )
    assert (ended.returncode, ended.stderr) == (1, "Error: [Errno 28] No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="its shells close no standard output")
def test_closed_output_is_an_error() -> None:
    command = f"'{sys.executable}' -m agentzero --version >&-"
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=START)
    assert (ended.returncode, ended.stderr) == (1, "Error: standard output is closed\n")


def test_the_first_help_imports_no_command() -> None:
    program = (
        "import sys; sys.argv = ['agentzero', '--help'];"
        "from agentzero.cli import root; root.run(); print(*sys.modules)"
    )
    *told, loaded = python(program).stdout.splitlines()
    assert "  pipeline    Serve a durable worker pipeline" in "\n".join(told)
    assert not {f"agentzero.cli.{name}" for name in COMMANDS} & {*loaded.split()}


@pytest.mark.parametrize("words", [["nothing"], ["pipeline", "nothing"], ["pipeline", "status"]])
def test_what_is_not_understood_is_wrong_usage(words: list[str]) -> None:
    ended = agent(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: " in ended.stderr


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_libraries_it_names_the_extra(missing: str) -> None:
    ended = python(
        f"import sys; sys.modules['{missing}'] = None; import agentzero.__main__ as m; m.main()"
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "Error: the command line needs click and rich: pip install 'agentzero[cli]'"
    ]


def test_another_library_that_is_missing_is_no_matter_of_the_extra() -> None:
    program = "import sys; sys.modules['msgspec'] = None; from agentzero.cli import main; main()"
    assert "Traceback" in python(program).stderr


@pytest.mark.parametrize("names", ["Step", "Client, AsyncClient", "Worker"])
def test_the_pipeline_package_is_light(names: str) -> None:
    loaded = python(f"from agentzero.pipeline import {names}; import sys; print(*sys.modules)")
    assert loaded.stderr == ""
    assert not NEEDED_LATER & {name.partition(".")[0] for name in loaded.stdout.split()}


def test_serving_without_sqlalchemy_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None;"
        "sys.argv = ['agentzero', 'pipeline', 'serve', 'os:getcwd'];"
        "from agentzero.cli import main; main()"
    )
    ended = python(program)
    assert ended.returncode == 2
    assert "pip install 'agentzero[pipeline]'" in ended.stderr
    assert "Traceback" not in ended.stderr
