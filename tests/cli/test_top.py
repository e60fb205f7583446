"""`agentzero pipeline top`: what it tells of a pipeline, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agentzero.cli.rates import Progress, Rates, progress
from agentzero.pipeline.wire import LogLine, Overview, StepOverview, WorkerOverview
from tests.cli.commands import on_a_terminal, read, started
from tests.cli.conftest import Ended
from tests.pipeline.fake_replies import FakePipeline
from tests.processes import START, eventually, is_asleep

COUNTS = "3 queued, 0 running, 0 dead, 1 workers, 4 slots, [0-9.]+ jobs/s, 0 failed, 0 retried"
STEP = rf"\d\d:\d\d:\d\d step double: {COUNTS}"
WORKER = r"\d\d:\d\d:\d\d worker w1: double at tcp://127.0.0.1:9, 0 of 4 slots busy, silent for .*"


def overview(
    at: float, *done: int, started: float = 0.0, queued: int = 0, ended: int = 0
) -> Overview:
    """Of a pipeline whose steps did so many jobs until then; the first has some queued."""
    steps = [
        StepOverview(f"s{number}", queued=0 if number else queued, done=count)
        for number, count in enumerate(done)
    ]
    return Overview("numbers", started, at, steps, [], ended, 0, [])


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rates = Rates()
    assert rates.update(overview(100.0, 1000)) == {"s0": 10.0}
    for second in range(1, 30):
        assert rates.update(overview(100.0 + second, 1000 + 30 * second)) == {"s0": 30.0}
    assert 0 < rates.update(overview(130.0, 1000 + 30 * 29))["s0"] < 30


def test_a_rate_begins_anew_when_the_pipeline_does() -> None:
    rates = Rates()
    rates.update(overview(100.0, 1000))
    assert rates.update(overview(112.0, 20, started=110.0)) == {"s0": 10.0}


def test_a_pipeline_that_has_just_started_has_no_rate() -> None:
    assert Rates().update(overview(5.0, 0, started=5.0)) == {"s0": 0.0}


@pytest.mark.parametrize(
    ("queued", "ended", "rates", "expected"),
    [
        (9_000, 1_000, {"s0": 50.0, "s1": 10.0}, None),
        (9_000, 1_001, {"s0": 50.0, "s1": 10.0}, Progress(1_001, 10_001, 10.0, 900.0)),
        (20_000, 0, {"s0": 50.0, "s1": 0.0}, Progress(0, 20_000, 0.0, None)),
        (0, 20_000, {"s0": 0.0, "s1": 0.0}, Progress(20_000, 20_000, 0.0, None)),
    ],
)
def test_many_jobs_have_a_progress(
    queued: int, ended: int, rates: dict[str, float], expected: Progress | None
) -> None:
    assert progress(overview(9.0, 0, 0, queued=queued, ended=ended), rates) == expected


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminals that can do all, and have the size that they have."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def busy(pipeline: FakePipeline) -> FakePipeline:
    """A pipeline with three jobs to do."""
    for number in range(3):
        pipeline.submit(f"j{number}", number)
    return pipeline


@pytest.fixture
def full(pipeline: FakePipeline) -> FakePipeline:
    """A pipeline with far too many of everything, and logs that would upset a terminal."""

    def answer(question: object) -> Overview:
        steps = [StepOverview("double", queued=5_000, done=7_000, dead=1, workers=30, slots=30)]
        workers = [
            WorkerOverview(f"w{number}", "double", "tcp://127.0.0.1:9", 1, 1, number)
            for number in range(30)
        ]
        logs = [
            LogLine(1.0, 40, "double", f"oh \x1b]0;evil\x07dear\n{number}") for number in range(50)
        ]
        return Overview("full", time.time() - 70, time.time(), steps, workers, 7_000, 0, logs)

    pipeline.answer = answer
    return pipeline


def test_once_in_plain_lines(busy: FakePipeline, call: Callable[..., Ended]) -> None:
    ended = call("top", "--once")
    assert (ended.returncode, ended.stderr) == (0, "")
    step, worker = ended.stdout.splitlines()
    assert re.fullmatch(STEP, step)
    assert re.fullmatch(WORKER, worker)


def test_many_jobs_and_logs_in_plain_lines(full: FakePipeline, call: Callable[..., Ended]) -> None:
    ended = call("top", "--once")
    first, *_, last = ended.stdout.splitlines()
    assert re.search(r" 7,001 of 12,001 jobs \(58%\), 100.0 jobs/s, 0:00:50 left$", first)
    assert last.endswith(" double: oh ]0;evildear 49")
    assert "\x1b" not in ended.stdout


def test_plain_lines_go_on_and_tell_each_record_once(full: FakePipeline) -> None:
    with started("top", "--interval", "0.1") as process:
        assert process.stdout
        shown = [process.stdout.readline() for _ in range(3 * (1 + 1 + 30) + 50)]
    assert sum("7,001 of" in line for line in shown) == 3
    assert sum("evil" in line for line in shown) == 50


def test_it_waits_for_a_pipeline_that_goes(busy: FakePipeline) -> None:
    with started("top", "--interval", "0.1", "--timeout", "0.3") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        busy.stop()
        assert "the pipeline did not answer in 0.3 s" in process.stderr.readline()
        busy.start()
        asked = len(busy.asked)
        eventually(lambda: len(busy.asked) > asked + 1)
        assert process.poll() is None


@pytest.mark.parametrize("columns", [20, 120])
def test_once_on_a_terminal_of_any_width(columns: int, full: FakePipeline) -> None:
    code, written = on_a_terminal("top", "--once", columns=columns)
    assert code == 0
    assert "evil\x07" not in written
    assert ("7,001 of 12,001 jobs  100.0 jobs/s  0:00:50 left" in plain(written)) == (columns > 20)
    assert "and 18 more workers" in plain(written)


def test_names_can_be_read_on_a_narrow_terminal(pipeline: FakePipeline) -> None:
    steps = [StepOverview(f"resize-{n}", queued=5, workers=1, slots=4) for n in range(3)]
    ids = [f"some-long.host.name-{pid}-0a1b2c3d" for pid in (4711, 4712)]
    workers = [WorkerOverview(id, "resize-0", "tcp://127.0.0.1:9", 1, 4, 0.0) for id in ids]
    pipeline.answer = lambda _: Overview("narrow", 0.0, 9.0, steps, workers, 0, 0, [])
    code, written = on_a_terminal("top", "--once", columns=40)
    assert code == 0
    names = re.findall(r"^(resize-\d) ", plain(written), re.MULTILINE)
    assert names == ["resize-0", "resize-1", "resize-2"]
    assert re.findall(r"^…\S*(471\d-0a1b2c3d) ", plain(written), re.MULTILINE) == [
        "4711-0a1b2c3d",
        "4712-0a1b2c3d",
    ]


def plain(written: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written)


def test_a_dumb_terminal_gets_plain_lines(
    busy: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    code, written = on_a_terminal("top", "--once")
    assert code == 0
    assert re.match(STEP, written)


@contextmanager
def live(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`top` on a terminal, and our end of that."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 100))
    try:
        with started("top", "--interval", "0.1", *words, stdout=theirs) as process:
            os.close(theirs)
            yield process, ours
    finally:
        os.close(ours)


def read_until(terminal: int, *texts: str) -> str:
    """Read what is written on a terminal, until all these texts have been."""
    written = ""
    while not all(text in plain(written) for text in texts):
        written += os.read(terminal, 65536).decode(errors="replace")
    return written


def test_on_a_terminal_it_is_live_until_ctrl_c(busy: FakePipeline) -> None:
    with live() as (process, terminal):
        before = read_until(terminal, "w1")
        assert "\x1b[?1049h" in before, "a screen of its own"
        busy.finish("j0")
        read_until(terminal, "1 jobs done")
        busy.finish("j1")
        read_until(terminal, "2 jobs done")
        eventually(lambda: is_asleep(process.pid))
        process.send_signal(signal.SIGINT)
        after = b"".join(read(terminal)).decode()
        _, err = process.communicate(timeout=START)
    assert (process.returncode, err.strip()) == (130, "")
    assert "\x1b[?1049l" in after, "the screen is given back"
    assert "\x1b[?25h" in after, "and the cursor shown"


def test_the_live_view_survives_a_restart(busy: FakePipeline) -> None:
    with live("--timeout", "0.3") as (process, terminal):
        read_until(terminal, "w1")
        busy.stop()
        read_until(terminal, "did not answer", "w1")
        busy.start()
        busy.finish("j0")
        read_until(terminal, "1 jobs done")
        assert process.poll() is None
