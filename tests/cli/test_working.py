"""`agentzero pipeline serve` and `work`, as one runs them: real pipelines and real workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from agentzero import SocketManager
from agentzero.pipeline import Client
from tests.cli.commands import started
from tests.cli.conftest import Ended
from tests.cli.inside import Agent
from tests.processes import START, eventually, is_running

STEPS = """
import os
import sys
import time

from agentzero.pipeline import Step


class Double(Step):
    job_type = "double"

    def execute(self, instructions):
        return {"number": 2 * instructions["number"], "pid": os.getpid()}


class Patient(Step):
    job_type = "double"

    def execute(self, instructions):
        print("begun", file=sys.stderr, flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
        return {"went": True}


class Half(Step):
    job_type = "half"

    def execute(self, instructions):
        return {"number": instructions["number"] / 2}


class Group:
    step = Double()


nothing = 7
"""

PIPELINES = """
from agentzero.pipeline import Pipeline
from steps import Double, Half

doubling = Pipeline("doubling", [Double], heartbeat=0.1, lease=1.0)
both = Pipeline("both", [Double, Half])


def made():
    return doubling
"""


@pytest.fixture(autouse=True)
def steps(folder: Path) -> Path:
    """Files with steps and pipelines, where commands run; the one with the steps."""
    (folder / "pipelines.py").write_text(PIPELINES)
    (folder / "steps.py").write_text(STEPS)
    return folder / "steps.py"


@pytest.fixture
def addresses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of a pipeline that nobody else uses; clients and workers find it."""
    monkeypatch.setenv("AGENTZERO_PIPELINE", f"ipc://{folder}/replies")
    names = {"address": "replies", "events": "events", "results": "results"}
    return [f"--{option}=ipc://{folder}/{name}" for option, name in names.items()]


@pytest.fixture
def client(addresses: list[str]) -> Iterator[Client]:
    with Client(os.environ["AGENTZERO_PIPELINE"], timeout=START) as client:
        yield client


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Ask a process to end; return what it exits with, and what it said."""
    process.send_signal(number)
    _, err = process.communicate(timeout=START)
    return process.returncode, err


@pytest.mark.parametrize(
    ("target", "number"),
    [("pipelines.py:doubling", signal.SIGTERM), ("pipelines:made", signal.SIGINT)],
)
def test_jobs_are_done(
    target: str, number: signal.Signals, addresses: list[str], client: Client, folder: Path
) -> None:
    with (
        started("serve", target, *addresses, "--journal=sqlite:///mine.db") as pipeline,
        started("work", "steps:Double", "--slots=2") as worker,
    ):
        assert client.result(client.submit({"number": 21}))["number"] == 42
        for process in (worker, pipeline):
            code, err = end(process, number)
            assert (code, "Traceback" in err) == (0, False)
    assert (folder / "mine.db").exists()


def test_jobs_are_done_in_other_processes(addresses: list[str], client: Client) -> None:
    with (
        started("serve", "pipelines.py:doubling", *addresses),
        started("work", "pipelines.py:doubling", "--executor=processes") as worker,
    ):
        assert client.result(client.submit({"number": 21}))["pid"] != worker.pid
        assert end(worker, signal.SIGINT)[0] == 0


def workers(client: Client) -> dict[str, int]:
    """The ids of the workers that the pipeline knows, and of their processes."""
    found = [worker.worker for worker in client.overview().workers]
    return {worker: int(re.findall(r"-(\d+)-", worker)[0]) for worker in found}


def test_worker_processes_that_die_are_started_again(addresses: list[str], client: Client) -> None:
    with (
        started("serve", "pipelines.py:doubling", *addresses),
        started("work", "steps.py:Double", "--processes=2") as crew,
    ):
        eventually(lambda: len(workers(client)) == 2)
        before = workers(client)
        killed = next(iter(before))
        os.kill(before[killed], signal.SIGKILL)
        eventually(lambda: len({*workers(client)} - {killed}) == 2)
        assert client.result(client.submit({"number": 21}))["pid"] in workers(client).values()
        after = workers(client).values()
        code, err = end(crew, signal.SIGINT)
        assert code == 0
        assert f"worker process {before[killed]} was killed by signal 9; starting another" in err
        assert not any(map(is_running, after))


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read what a process says, until it is that."""
    assert process.stderr
    assert any(text in line for line in process.stderr), f"it never said {text!r}"


def test_ctrl_c_on_a_terminal_lets_worker_processes_finish(
    addresses: list[str], client: Client, folder: Path
) -> None:
    with (
        started("serve", "pipelines.py:doubling", *addresses),
        started("work", "steps.py:Patient", "--processes=1", start_new_session=True) as crew,
    ):
        job = client.submit({})
        wait_for_line(crew, "begun")
        os.killpg(crew.pid, signal.SIGINT)
        wait_for_line(crew, "drains")
        (folder / "go").touch()
        assert client.result(job) == {"went": True}
        crew.communicate(timeout=START)
        assert crew.returncode == 0


def test_a_second_ctrl_c_ends_worker_processes_at_once(
    addresses: list[str], client: Client
) -> None:
    with (
        started("serve", "pipelines.py:doubling", *addresses),
        started("work", "steps.py:Patient", "--processes=1") as crew,
    ):
        job = client.submit({})
        wait_for_line(crew, "begun")
        crew.send_signal(signal.SIGINT)
        wait_for_line(crew, "drains")
        assert end(crew, signal.SIGINT)[0] == 0
        assert not client.status(job).ended


def test_worker_processes_end_when_their_parent_is_killed(
    addresses: list[str], client: Client
) -> None:
    with (
        started("serve", "pipelines.py:doubling", *addresses),
        started("work", "steps.py:Double", "--processes=2") as crew,
    ):
        eventually(lambda: len(workers(client)) == 2)
        children = workers(client).values()
        try:
            crew.kill()
            crew.communicate(timeout=START)  # returns when the last of them has closed its stderr
            eventually(lambda: not any(map(is_running, children)))
        finally:
            for pid in filter(is_running, children):
                os.kill(pid, signal.SIGKILL)


def test_a_worker_may_come_before_its_pipeline(addresses: list[str], client: Client) -> None:
    with (
        started("work", "steps.py:Group.step"),
        started("serve", "pipelines.py:doubling", *addresses),
    ):
        assert client.result(client.submit({"number": 21}))["number"] == 42


@pytest.mark.parametrize("words", [["serve"], ["work"], ["work", "--processes=2"]])
def test_a_target_that_makes_no_sense_is_wrong_usage(
    words: list[str], call: Callable[..., Ended]
) -> None:
    ended = call(*words, "steps:nothing")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "steps:nothing is no Pipeline, and makes none, but is 7" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_wrong_in_the_target_itself_is_shown(
    folder: Path, call: Callable[..., Ended]
) -> None:
    (folder / "broken.py").write_text("import nowhere_to_be_found")
    ended = call("serve", "broken:it")
    assert ended.returncode == 1
    assert 'broken.py", line 1' in ended.stderr
    assert ended.stderr.count('File "') == 1


def test_a_journal_that_cannot_be_opened_is_named(
    addresses: list[str], call: Callable[..., Ended]
) -> None:
    ended = call("serve", "pipelines:doubling", *addresses, "--journal=sqlite:///no/such/folder.db")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("Error: ")
    assert "no/such/folder.db" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", [[], ["--processes=3"]])
def test_a_step_that_the_pipeline_does_not_have_is_named(
    words: list[str], addresses: list[str], call: Callable[..., Ended]
) -> None:
    with started("serve", "pipelines.py:doubling", *addresses):
        ended = call("work", "steps.py:Half", *words)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "Error: pipeline doubling has no step half: double"
    assert ended.stderr.count("no step") == 1
    assert "starting another" not in ended.stderr


def test_an_address_that_is_taken_is_named(
    addresses: list[str], call: Callable[..., Ended]
) -> None:
    with SocketManager() as sockets:
        sockets.ensure_and_bind("taken", zmq.ROUTER, "tcp://127.0.0.1:*")
        [taken] = sockets.endpoints("taken")
        ended = call("serve", "pipelines.py:doubling", *addresses, "--address", taken)
    assert ended.returncode == 1
    [error] = ended.stderr.splitlines()
    assert taken in error
    assert error.endswith("; does this pipeline run already?")


def test_an_address_that_is_none_is_wrong_usage(call: Callable[..., Ended]) -> None:
    ended = call("serve", "pipelines:doubling", "--address=nowhere")
    assert ended.returncode == 2
    assert "an address is like 'tcp://127.0.0.1:7710', not 'nowhere'" in ended.stderr


@pytest.mark.parametrize("words", [[], ["--processes=2"]])
def test_an_option_that_a_worker_refuses_is_wrong_usage(
    words: list[str], agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    ended = agent("pipeline", "work", "steps.py:Double", "--grace=nan", *words)
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert "nan" in ended.err
