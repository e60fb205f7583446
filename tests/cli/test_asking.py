"""The commands that ask a pipeline: what they print where, and what they exit with."""

from __future__ import annotations

import json
import os
import pty
import signal
from collections.abc import Callable
from typing import Any

import pytest

from agentzero.pipeline.wire import Show, Submit, Wait
from tests.cli.commands import on_a_terminal, started
from tests.cli.conftest import Ended
from tests.cli.inside import Agent
from tests.pipeline.fake_replies import FakePipeline
from tests.processes import START, eventually, is_asleep

Call = Callable[..., Ended]


def submitted(pipeline: FakePipeline, count: int = 1) -> list[str]:
    """Have jobs in the pipeline; return their ids."""
    for number in range(count):
        pipeline.submit(f"j{number}", number)
    return list(pipeline.jobs)


def test_submit_prints_an_id_per_body(call: Call, pipeline: FakePipeline) -> None:
    ended = call("submit", '{"number": 1}', '{"number": 2, "name": "é"}')
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == list(pipeline.jobs)
    bodies = [job.instructions for job in pipeline.jobs.values()]
    assert bodies == [{"number": 1}, {"number": 2, "name": "é"}]


@pytest.mark.parametrize("words", [[], ["-"]])
def test_submit_reads_lines(words: list[str], call: Call, pipeline: FakePipeline) -> None:
    ended = call("submit", *words, stdin='{"number": 1}\n\n{"number": 2}')
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == list(pipeline.jobs)
    assert len(pipeline.jobs) == 2


def test_lines_are_submitted_as_they_come(pipeline: FakePipeline) -> None:
    with started("submit") as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(json.dumps({"number": number}) + "\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == list(pipeline.jobs)[number]
        process.stdin.close()
        assert process.wait(START) == 0


def test_submit_under_an_id_of_ones_own(call: Call, pipeline: FakePipeline) -> None:
    assert call("submit", "--id", "mine", "{}").stdout == "mine\n"
    assert list(pipeline.jobs) == ["mine"]


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["{}", "[1]"], "", "argument 2 is no JSON object: Expected `object`, got `array`"),
        ([], "{}\n\nnonsense\n", "line 3 is no JSON object"),
        (["--id", "a"], "{}", "--id is for one BODY"),
    ],
)
def test_what_is_no_job_is_wrong_usage(
    words: list[str], stdin: str, said: str, call: Call, pipeline: FakePipeline
) -> None:
    ended = call("submit", *words, stdin=stdin)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert pipeline.jobs == {}


def test_submit_waits_for_results(call: Call, pipeline: FakePipeline) -> None:
    def answer(question: Any) -> Any:
        for id, job in pipeline.jobs.items():
            if job.instructions["number"] < 0:
                pipeline.fail(id)
            else:
                pipeline.finish(id)
        return pipeline.reply(question)

    pipeline.answer = answer
    ended = call("submit", "--wait", '{"number": 1}', '{"number": -1}', '{"number": 2}')
    assert ended.returncode == 1
    assert ended.stdout.splitlines() == ['{"number":2}', '{"number":4}']
    assert "failed in step double: OSError: disk full" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_status_prints_each_job_in_a_line(call: Call, pipeline: FakePipeline) -> None:
    submitted(pipeline, 2)
    ended = call("status", "j1", "nobody", "j0")
    assert ended.returncode == 1
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == ["j1", "j0"]
    assert ended.stderr == "Error: the pipeline has no job nobody\n"


def test_result_waits_as_long_as_it_takes(pipeline: FakePipeline) -> None:
    submitted(pipeline)
    with started("result", "j0") as process:
        eventually(lambda: pipeline.was_asked(Wait, 2))
        pipeline.finish("j0")
        out, err = process.communicate(timeout=START)
    assert (process.returncode, out, err) == (0, '{"number":0}\n', "")


def test_a_result_that_is_late_fails(call: Call, pipeline: FakePipeline) -> None:
    submitted(pipeline)
    ended = call("result", "j0", "--timeout", "0.1")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Error: job j0 has not ended in 0." in ended.stderr


def test_cancel_prints_how_many(call: Call, pipeline: FakePipeline) -> None:
    submitted(pipeline, 2)
    ended = call("cancel", "j0", "j0", "j1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "2\n", "")
    ended = call("cancel", "j0", "nobody")
    assert (ended.returncode, ended.stdout) == (1, "0\n")
    assert "2 of 2 jobs were not cancelled" in ended.stderr


def test_dead_letters_are_listed_and_requeued(call: Call, pipeline: FakePipeline) -> None:
    for id in submitted(pipeline, 4):
        pipeline.fail(id)
    listed = call("dead", "--step", "double", "--limit", "3")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == ["j0", "j1", "j2"]
    assert call("requeue", "j0").stdout == "1\n"
    assert call("requeue", "j0", "j1").returncode == 1
    assert call("requeue", "--step", "other").stdout == "0\n"
    assert call("requeue", "--all").stdout == "2\n"


@pytest.mark.parametrize("words", [[], ["j0", "--all"]])
def test_requeue_wants_to_know_which(words: list[str], call: Call) -> None:
    ended = call("requeue", *words)
    assert ended.returncode == 2
    assert "say which" in ended.stderr


@pytest.mark.parametrize("words", [["top"], ["submit", "{}"], ["result", "a"]])
def test_a_pipeline_that_is_not_there_is_named(words: list[str], call: Call) -> None:
    ended = call(*words, "-a", "tcp://127.0.0.1:9", "--timeout", "0.2")
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith("Error: the pipeline did not answer in 0.2 s")
    assert "tcp://127.0.0.1:9" in line


def test_an_address_that_is_none_is_an_error(call: Call) -> None:
    ended = call("status", "a", "-a", "nonsense")
    assert ended.returncode == 1
    assert "nonsense" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["top", "--timeout", "nan"],
        ["top", "--interval", "nan"],
        ["top", "--interval", "inf"],
        ["result", "j0", "--timeout", "nan"],
        ["dead", "--limit", "99999999999999999999"],
    ],
)
def test_a_number_that_makes_no_sense_is_wrong_usage(words: list[str], agent: Agent) -> None:
    ended = agent("pipeline", *words)
    assert (ended.code, ended.out) == (2, b"")
    assert f"Invalid value for '{words[-2]}'" in ended.err


@pytest.mark.parametrize("words", [["top", "--once"], ["status", "j0"], ["result", "j0"]])
def test_output_that_cannot_be_written_is_an_error(
    words: list[str], pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    pipeline.finish(*submitted(pipeline))
    with open("/dev/full", "w") as full, started(*words, stdout=full) as process:
        _, err = process.communicate(timeout=START)
    assert (process.returncode, err) == (1, "Error: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("words", [["result", "j0"], ["submit"], ["top"]])
def test_ctrl_c_is_no_trouble(words: list[str], pipeline: FakePipeline) -> None:
    submitted(pipeline)
    with started(*words) as process:
        if words == ["submit"]:
            assert process.stdin
            assert process.stdout
            process.stdin.write("{}\n")
            process.stdin.flush()
            process.stdout.readline()
        eventually(lambda: any(map(pipeline.was_asked, (Wait, Submit, Show))))
        eventually(lambda: is_asleep(process.pid))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=START)
    assert (process.returncode, err.strip()) == (130, "")


@pytest.mark.parametrize("words", [["dead", "--limit", "1000"], ["top", "--interval", "0.1"]])
def test_nobody_has_to_read_to_the_end(words: list[str], pipeline: FakePipeline) -> None:
    for id in submitted(pipeline, 500):
        pipeline.fail(id)
    with started(*words) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(START) == 1


def test_a_terminal_gets_json_that_is_laid_out(
    pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    submitted(pipeline)
    code, written = on_a_terminal("status", "j0")
    assert code == 0
    assert '\n  "instructions": {\n    "number": 0\n  },\n' in written


def test_submit_on_a_terminal_asks_for_a_body(pipeline: FakePipeline) -> None:
    ours, theirs = pty.openpty()
    with started("submit", stdin=theirs) as process:
        _, err = process.communicate(timeout=START)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 2
    assert "give a BODY" in err
