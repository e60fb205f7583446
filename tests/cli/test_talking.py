"""Two commands that talk to each other, and how they end: real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import zmq

from agentzero import SocketManager
from tests.processes import START, eventually, is_asleep, running

PIPE = subprocess.PIPE

AGENT = (sys.executable, "-m", "agentzero")
ANY_PORT = "tcp://127.0.0.1:*"


def test_two_processes_have_a_conversation(folder: Path) -> None:
    # The one that is to hear comes last.
    address = f"ipc://{folder}/news"
    words = ["--serializer", "cbor"]
    with running(*AGENT[1:], "pub", address, "weather", '{"sky": "blue"}', *words) as pub:
        with running(*AGENT[1:], "sub", address, "weather", "--count", "1", *words) as sub:
            heard = sub.end(START)
        said = pub.end(START)
    assert (said.code, said.out, said.err) == (0, "", "")
    assert (heard.code, heard.err) == (0, "")
    assert json.loads(heard.out) == {"topic": "weather", "data": {"sky": "blue"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pull", ANY_PORT], b"pull: bound to"),
        (["rep", ANY_PORT, "--command", "echo asked >&2; sleep 60"], b"asked"),
        (["proxy", "queue", ANY_PORT, ANY_PORT], b"back: bound to"),
    ],
)
def test_ctrl_c_is_clean(words: list[str], said: bytes) -> None:
    with (
        subprocess.Popen([*AGENT, *words], stderr=PIPE, stdout=PIPE) as process,
        SocketManager(linger=0) as sockets,
    ):
        assert process.stderr
        first = process.stderr.readline()
        sockets.ensure_and_connect("out", zmq.REQ, first.split()[-1].decode())
        sockets.send("out", 1)
        assert any(line.startswith(said) for line in chain([first], process.stderr))
        eventually(lambda: is_asleep(process.pid))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=START)
    assert process.returncode == 130
    assert b"Traceback" not in out + err
    assert b"Error" not in err


def test_sigterm_prints_the_statistics_of_a_proxy_as_ctrl_c_does() -> None:
    with subprocess.Popen(
        [*AGENT, "proxy", "queue", ANY_PORT, ANY_PORT], stderr=PIPE, stdout=PIPE
    ) as process:
        assert process.stderr
        assert process.stderr.readline()
        assert process.stderr.readline()
        eventually(lambda: is_asleep(process.pid))
        process.terminate()
        out, err = process.communicate(timeout=START)
    assert (process.returncode, err.strip()) == (143, b"")
    assert json.loads(out)["state"] == "ended"


def test_a_broken_pipe_is_silent(folder: Path) -> None:
    address = f"ipc://{folder}/jobs"
    with (
        SocketManager(linger=0) as sockets,
        subprocess.Popen([*AGENT, "pull", address], stderr=PIPE, stdout=PIPE) as process,
    ):
        assert process.stdout
        assert process.stderr
        sockets.ensure_and_connect("out", zmq.PUSH, address)
        sockets.send("out", 1)
        assert process.stdout.readline() == b"1\n"
        process.stdout.close()
        sockets.send("out", 2)
        assert process.wait(START) == 1
        assert process.stderr.read() == b""
