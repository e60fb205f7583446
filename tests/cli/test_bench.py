"""`bench`: what it measures, and how it is told."""

from __future__ import annotations

import csv
import os
import pty
import signal
import subprocess
import sys
from subprocess import PIPE

import msgspec
import pytest

from agentzero.cli.traffic import Plan
from tests.cli.inside import Agent
from tests.ports import lasting_port
from tests.processes import START

FEW = ("--msgs", "20", "--size", "10")


def test_rates_and_latencies_are_told_as_csv(agent: Agent) -> None:
    ran = agent("bench", "--csv", *FEW)
    assert ran.code == 0
    rows = list(csv.DictReader(ran.out.decode().splitlines()))
    assert [row["pattern"] for row in rows] == ["push-pull", "pub-sub", "req-rep"]
    for row in rows:
        assert (row["backend"], row["serializer"]) == ("threads", "json")
        assert (row["msgs"], row["size"]) == ("20", "10")
        rate, seconds = float(row["msgs_per_second"]), float(row["seconds"])
        assert rate == pytest.approx(20 / seconds)
        assert float(row["mb_per_second"]) == pytest.approx(rate * 10 / 1e6)
    assert [bool(row["p50_us"]) for row in rows] == [False, False, True]
    answers = [float(rows[2][name]) for name in ("p50_us", "p99_us", "max_us")]
    assert 0 < answers[0] <= answers[1] <= answers[2]


@pytest.mark.parametrize(
    "options",
    [
        ("--backend", "gevent", "--serializer", "cbor"),
        ("--backend", "asyncio", "--raw"),
        ("--timeout", "inf", "--msgs", "1"),
    ],
)
def test_every_way_of_waiting_and_writing_can_be_measured(
    options: tuple[str, ...], agent: Agent
) -> None:
    ran = agent("bench", *FEW, "--pattern", "req-rep", *options)
    heading, line = ran.lines
    assert (ran.code, heading.split()[0], line.split()[0]) == (0, b"pattern", b"req-rep")


def test_whoever_looks_on_is_told_what_is_measured() -> None:
    ours, theirs = pty.openpty()
    words = ("bench", *FEW, "--pattern", "req-rep")
    ended = subprocess.run(
        [sys.executable, "-m", "agentzero", *words], stdout=PIPE, stderr=theirs, timeout=START
    )
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:
        assert terminal.read(65536).endswith(b"measuring req-rep ...\r\x1b[K")
    assert (ended.returncode, ended.stdout.count(b"\n")) == (0, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "fibers"), "no backend is named 'fibers'"),
        (("--serializer", "jason"), "did you mean 'json'?"),
        (("--pattern", "pair"), "'pair' is not one of"),
        (("--msgs", "0"), "0 is not in the range"),
        (("--size", "100000000000"), "100000000000 is not in the range"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(
    options: tuple[str, ...], said: str, agent: Agent
) -> None:
    ran = agent("bench", *options)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err


def test_it_ends_where_messages_take_too_long(agent: Agent) -> None:
    ran = agent("bench", "--pattern", "push-pull", "--timeout", "0")
    assert ran.code == 1
    assert "Error: nothing to receive on socket 'near'" in ran.err


def test_ctrl_c_ends_both_processes_without_a_word() -> None:
    command = [sys.executable, "-m", "agentzero", "bench", "--msgs", "1000000000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout
        assert process.stdout.readline().split()[0] == "pattern"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=START)  # the other one has the same stderr
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "threads, json: two processes on this machine, over tcp"


def test_the_far_end_ends_with_its_parent() -> None:
    plan = msgspec.json.encode(Plan("push-pull", 1, 1, "threads", "json")).decode()
    command = [sys.executable, "-m", "agentzero.cli.traffic", plan]
    ended = subprocess.run(
        [*command, f"tcp://127.0.0.1:{lasting_port()}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=START,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_too_little_memory_is_told_in_words(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_little(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("agentzero.cli.bench.measure", too_little)
    ran = agent("bench", *FEW)
    assert ran.code == 1
    assert ran.err.endswith("Error: there is not enough memory\n")
