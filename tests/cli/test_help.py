"""The help of each command: its example is run, as it stands there, by a shell."""

from __future__ import annotations

import inspect
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import click
import pytest
import zmq

from agentzero import SocketManager
from agentzero.cli.root import agentzero
from tests.pipeline.fake_replies import FakePipeline
from tests.ports import having
from tests.processes import START

ID = "01a2075e4aa47284a17a14d8058aae49"  # of the job in the examples

STEPS = """
from agentzero.pipeline import Pipeline, Step

class Resize(Step):
    job_type = "resize"

    def execute(self, instructions):
        return {"resized": instructions["path"]}

pipeline = Pipeline("pictures", [Resize])
"""


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command of a group by its whole name, and those of the groups in it."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")


COMMANDS = {"agentzero": agentzero, **dict(commands(agentzero, "agentzero"))}
each_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


# What is there where an example is run


@contextmanager
def a_server() -> Iterator[None]:
    with SocketManager(linger=0) as sockets:
        sockets.ensure_and_bind("server", zmq.REP, "tcp://127.0.0.1:6000")
        yield


@contextmanager
def a_program_that_logs() -> Iterator[None]:
    with SocketManager(linger=0) as sockets:
        sockets.ensure_and_bind("logs", zmq.XPUB, "tcp://127.0.0.1:6000")

        def log() -> None:
            sockets.wait_for_subscribers("logs", timeout=START)
            logger = logging.Logger("shop")  # noqa: LOG001 - nobody else is to have it
            logger.addHandler(sockets.get_log_handler("logs"))
            logger.info("all is well")
            logger.error("disk full")

        thread = Thread(target=log)
        thread.start()
        yield
        thread.join()


def a_pipeline(what: Callable[[FakePipeline], None]) -> Callable[[], AbstractContextManager[None]]:
    """A pipeline that has the job of the examples, with which that was done."""

    @contextmanager
    def there() -> Iterator[None]:
        fake = FakePipeline()
        fake.submit(ID, 1)
        what(fake)
        os.environ["AGENTZERO_PIPELINE"] = fake.address  # which a fixture puts back
        yield
        fake.stop()

    return there


def nothing(fake: FakePipeline) -> None:
    pass


def done(fake: FakePipeline) -> None:
    fake.finish(ID)


def at_once(fake: FakePipeline) -> None:
    def answer(question: Any) -> Any:
        for id in [id for id, job in fake.jobs.items() if "number" in job.instructions]:
            fake.finish(id)
        return fake.reply(question)

    fake.answer = answer


def dead(fake: FakePipeline) -> None:
    fake.settle(ID, step="resize")
    fake.fail(ID)


@dataclass(frozen=True)
class Scene:
    """Where an example is run, and what comes of it.

    Attributes:
        shows: a pattern of what is written in the end.
        there: what is there.
        before: commands to run before it.
        after: commands to run after it, or meanwhile where it does not end.
        ends: whether it ends by itself.
        ports: the ports that it needs, beside those that it names.
    """

    shows: str
    there: Callable[[], AbstractContextManager[None]] = nullcontext
    before: str = ""
    after: str = ""
    ends: bool = True
    ports: tuple[int, ...] = ()

    def script(self, example: str) -> str:
        """The example and what is around it: any failure is the script's."""
        shown = f"{example} &" if self.after and not self.ends else example
        ending = "for job in $(jobs -p); do wait $job; done" if self.ends else "wait"
        return "\n".join(["set -e", self.before, shown, self.after, ending])


PIPELINE = (7710, 7711, 7712)
SERVE = "agentzero pipeline serve steps.py:pipeline &"
TOP = "agentzero pipeline top --interval 0.1"

COMPLETE = """
COMP_WORDS=(agentzero plu) COMP_CWORD=1
_agentzero_completion agentzero
echo "${COMPREPLY[@]}"
"""

SCENES = {
    "agentzero": Scene('{"topic":"weather","data":"sunny"}'),
    "agentzero bench": Scene(r"req-rep +2,000 +1,000( +[\d,.]+){5}"),
    "agentzero completion": Scene("^plugins$", after=COMPLETE),
    "agentzero doctor": Scene("is +REP, which talks to REQ and DEALER", a_server),
    "agentzero keygen": Scene(r"^\S{40}$"),
    "agentzero logs": Scene(r"\A\S+ \S+ ERROR +shop: disk full", a_program_that_logs, ends=False),
    "agentzero plugins": Scene("serializer +json +agentzero +usable"),
    "agentzero proxy": Scene('^"hello"$'),
    "agentzero pub": Scene('{"topic":"weather","data":{"sky":"blue"}}'),
    "agentzero pull": Scene('^{"job":2}$'),
    "agentzero push": Scene('^{"job":2}$'),
    "agentzero rep": Scene('^"HELLO'),
    "agentzero req": Scene('^"hello"$'),
    "agentzero sub": Scene('{"topic":"weather","data":{"sky":"blue"}}'),
    "agentzero pipeline": Scene('{"resized":"a.png"}', ends=False, ports=PIPELINE),
    "agentzero pipeline cancel": Scene("^1$", a_pipeline(nothing)),
    "agentzero pipeline dead": Scene(f'"id":"{ID}"', a_pipeline(dead)),
    "agentzero pipeline requeue": Scene("^1$", a_pipeline(dead)),
    "agentzero pipeline result": Scene('^{"number":2}$', a_pipeline(done)),
    "agentzero pipeline serve": Scene("resize: ", after=TOP, ends=False, ports=PIPELINE),
    "agentzero pipeline status": Scene('"state":"queued"', a_pipeline(nothing)),
    "agentzero pipeline submit": Scene('^{"number":10}$', a_pipeline(at_once)),
    "agentzero pipeline top": Scene("step double: 1 queued", a_pipeline(nothing)),
    "agentzero pipeline work": Scene(
        "resize: .* 4 workers", before=SERVE, after=TOP, ends=False, ports=PIPELINE
    ),
}


@pytest.fixture
def shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `agentzero` as a command, and files that the examples name."""
    monkeypatch.setenv("AGENTZERO_PIPELINE", "")
    monkeypatch.delenv("AGENTZERO_PIPELINE")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    program = folder / "agentzero"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m agentzero "$@"\n')
    program.chmod(0o755)
    (folder / "steps.py").write_text(STEPS)
    (folder / "jobs.jsonl").write_text('{"number": 5}\n{"number": 6}\n')


def example_of(command: click.Command) -> str:
    found = re.search(r"\x08\nExample:\n((?:  .+(?:\n|$))+)", inspect.cleandoc(str(command.help)))
    assert found
    return inspect.cleandoc("\n" + found[1])


def kill_all(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def ran(script: str, shows: str, ends: bool) -> tuple[str, int]:
    """What a script writes, and exits with; one that does not end is killed when that is shown."""
    with subprocess.Popen(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ,
        text=True,
        start_new_session=True,
    ) as process:
        watch = Timer(START, kill_all, (process.pid,))
        watch.start()
        try:
            assert process.stdout
            written = ""
            for line in process.stdout:
                written += line
                if not ends and re.search(shows, written, re.MULTILINE):
                    return written, 0
            return written, process.wait()
        finally:
            watch.cancel()
            kill_all(process.pid)


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_does_what_it_says(name: str) -> None:
    scene, example = SCENES[name], example_of(COMMANDS[name])
    ports = {*scene.ports, *map(int, re.findall(r":(\d{4})\b", example))}
    with having(ports), scene.there():
        written, code = ran(scene.script(example), scene.shows, scene.ends)
    assert re.search(scene.shows, written, re.MULTILINE), written
    assert code == 0, written


@each_command
def test_every_option_says_what_it_is_for(command: click.Command) -> None:
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if isinstance(c, click.Group)])
def test_commands_that_are_not_imported_yet_are_told_of_as_they_are(name: str) -> None:
    group = COMMANDS[name]
    help_of_all = " ".join(group.get_help(click.Context(group)).split())
    below = {n.split()[-1]: c for n, c in COMMANDS.items() if n.rpartition(" ")[0] == name}
    assert below
    for word, command in below.items():
        assert f"{word} {command.get_short_help_str(80)}" in help_of_all
