"""The demo, run as a user runs it: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import hashlib
import importlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "examples" / "pipeline"
STEPS = ("generate-file", "calculate-hash", "delete-file")
BOUND = 20  # seconds in which any run must have ended

pytestmark = pytest.mark.timeout(40)


@dataclass
class Demo:
    """A running demo; it is alone with its temporary folder."""

    process: subprocess.Popen[str]
    temporary: Path
    steps: dict[str, int]

    @property
    def leftovers(self) -> list[str]:
        return [path.name for path in self.temporary.iterdir()]

    def wait_for_progress(self) -> None:
        assert self.process.stdout
        line = next((line for line in self.process.stdout if re.match(r"[\d,]+ of ", line)), None)
        assert line is not None, "the demo ended before it showed any progress"

    def finish(self) -> tuple[str, str]:
        """Return what it still wrote, once it and its steps have ended: they share its stderr."""
        return self.process.communicate(timeout=BOUND)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Give the demo a SIGINT that is not ignored, also where pytest runs in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(temporary: Path) -> dict[str, str]:
    unwanted = {"FORCE_COLOR", "COLUMNS", "TERM", "TTY_COMPATIBLE"}
    kept = {
        name: value
        for name, value in os.environ.items()
        # Measured processes are several times slower, and others measure the library.
        if name not in unwanted and not name.startswith("COVERAGE")
    }
    return kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "PYTHONUTF8": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files whose names and contents are a little unusual."""
    root = tmp_path / "input"
    (root / "package").mkdir(parents=True)
    (root / "site-packages").mkdir()
    (root / "directory.py").mkdir()
    (root / "dangling.py").symlink_to("nowhere")
    (root / "site-packages" / "installed.py").write_text("not ours")
    (root / "notes.txt").write_text("not Python")
    (root / "empty.py").touch()
    (root / "[bold]café 1.py").write_text("π = 3.14\n", encoding="utf-8")
    (root / "package" / "binary.py").write_bytes(bytes(range(256)) * 4096)
    return root


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many that the demo is still at work when a test has seen it begin."""
    root = tmp_path_factory.mktemp("many")
    for number in range(4000):
        (root / f"{number}.py").write_text(str(number))
    return root


@pytest.fixture
def demo(environment: dict[str, str], temporary: Path, many_files: Path) -> Iterator[Demo]:
    """The demo at work on many files."""
    with subprocess.Popen(
        [sys.executable, PIPELINE / "demo.py", "--folder", many_files],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            steps = {name: int(pid) for name, pid in re.findall(r"([\w-]+) \((\d+)\)", line)}
            assert tuple(steps) == STEPS
            yield Demo(process, temporary, steps)
        finally:
            process.kill()


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The demo's own modules, as its scripts import them."""
    names = ("steps", "manager", "display", "demo")
    monkeypatch.syspath_prepend(PIPELINE)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PIPELINE / "demo.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=BOUND)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_processes_real_files_and_shows_each_step(
    environment: dict[str, str], temporary: Path
) -> None:
    done = run(environment, "--limit", 100)
    assert (done.returncode, done.stderr) == (0, "")
    for step in STEPS:
        assert re.search(rf"^ *{step} +100 +0 +[\d,]+ *$", done.stdout, re.MULTILINE)
    assert "100 of 100 digests are those of hashlib." in done.stdout
    assert re.search(r"^\d+ of 100 files .*(copied|hashed|deleted) ", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert list(temporary.iterdir()) == []


def test_it_takes_each_python_file_of_a_folder_whatever_its_name(
    environment: dict[str, str], folder: Path, temporary: Path
) -> None:
    done = run(environment | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, "--folder", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 of 3 digests" in done.stdout
    assert list(temporary.iterdir()) == []


def test_a_folder_without_python_files_is_an_error(
    environment: dict[str, str], temporary: Path
) -> None:
    done = run(environment, "--folder", temporary)
    assert done.returncode == 2
    assert f"no .py files in {temporary}" in done.stderr


@pytest.mark.parametrize("columns", [10, 100])
def test_a_terminal_of_any_width_gets_bars(
    columns: int, environment: dict[str, str], folder: Path
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen(
        [sys.executable, PIPELINE / "demo.py", "--folder", folder],
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm"},
    ) as process:
        os.close(theirs)
        output = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
        os.close(ours)
        assert process.wait(BOUND) == 0
    assert "\x1b[?25h" in output, "the cursor is shown again"
    assert "3 of 3 digests" in output.replace("\r\n", "")
    assert ("calculate-hash ━" in plain(output)) == (columns == 100)


def read_terminal(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # how Linux reports that the other end is closed
        return b""


def plain(output: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to", ["the parent alone", "all processes"])
def test_a_signal_stops_it_and_nothing_is_left(demo: Demo, number: signal.Signals, to: str) -> None:
    demo.wait_for_progress()
    pids = demo.steps.values() if to == "all processes" else []
    for pid in (demo.process.pid, *pids):
        os.kill(pid, number)
    stdout, stderr = demo.finish()
    assert stderr == ""
    assert f"Stopped by {number.name}" in stdout
    assert demo.process.returncode == 128 + number
    assert demo.leftovers == []
    assert not any(map(is_running, demo.steps.values()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_while_the_steps_still_start(demo: Demo, number: signal.Signals) -> None:
    demo.process.send_signal(number)
    _, stderr = demo.finish()
    assert (demo.process.returncode, stderr) == (128 + number, "")
    assert demo.leftovers == []
    assert not any(map(is_running, demo.steps.values()))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_killed_is_named_and_ends_it(demo: Demo, step: str) -> None:
    demo.wait_for_progress()
    os.kill(demo.steps[step], signal.SIGKILL)
    stdout, stderr = demo.finish()
    assert demo.process.returncode == 1
    assert stderr == f"Error: step {step} (process {demo.steps[step]}) was killed by signal 9\n"
    assert "missing: " in stdout
    assert demo.leftovers == []
    assert not any(map(is_running, demo.steps.values()))


def test_a_step_that_hangs_does_not_keep_it_from_stopping(demo: Demo) -> None:
    demo.wait_for_progress()
    os.kill(demo.steps["calculate-hash"], signal.SIGSTOP)
    demo.process.send_signal(signal.SIGINT)
    demo.finish()
    assert demo.process.returncode == 130
    assert demo.leftovers == []
    assert not any(map(is_running, demo.steps.values()))


def test_it_ends_when_nobody_reads_its_output_any_more(demo: Demo) -> None:
    demo.wait_for_progress()
    assert demo.process.stdout
    demo.process.stdout.close()
    assert demo.process.stderr
    assert demo.process.stderr.read() == ""
    assert demo.process.wait(BOUND) == 1
    assert demo.leftovers == []


def test_the_steps_end_when_their_parent_is_killed(demo: Demo) -> None:
    demo.wait_for_progress()
    demo.process.kill()
    demo.finish()  # returns when the last of them has closed its stderr


def test_a_step_that_never_answers_is_named_in_time(
    modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules["demo"], "PATIENCE", 0.1)
    display = modules["display"].Plain(STEPS, 1)
    with closing(modules["manager"].Manager(STEPS)) as manager:
        manager.submit({"source": "a.py", "path": "b.py"})
        with pytest.raises(modules["demo"].StepLost, match=r"no result in 0.1 s from step gen"):
            modules["demo"].finish_jobs(manager, {}, display, SimpleNamespace(number=0))


def test_a_digest_that_is_wrong_or_missing_and_a_job_that_failed_are_reported(
    modules: dict[str, ModuleType], folder: Path
) -> None:
    empty, binary = folder / "empty.py", folder / "package" / "binary.py"
    right = hashlib.sha256(binary.read_bytes()).hexdigest()
    files = {1: binary, 2: empty, 3: folder / "lost.py", 4: folder / "failed.py"}
    outputs = {1: {"sha256": right}, 2: {"sha256": right}}
    errors = {4: {"name": "OSError", "message": "disk full"}}
    assert modules["demo"].problems(files, outputs, errors) == [
        f"wrong digest: {empty}",
        f"missing: {folder / 'lost.py'}",
        f"failed: {folder / 'failed.py'}: OSError: disk full",
    ]


def test_a_job_that_fails_goes_no_further_and_makes_the_report_fail(
    modules: dict[str, ModuleType],
    folder: Path,
    temporary: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manager = modules["manager"].Manager(["generate-file"])
    step = modules["steps"].GenerateFile(**manager.addresses)
    thread = threading.Thread(target=step.run)
    thread.start()
    source = folder / "vanished.py"
    job = manager.submit({"source": str(source), "path": str(temporary / "copy.py")})
    try:
        while manager.unfinished:
            manager.turn(timeout=0.1)
    finally:
        step.stop()
        thread.join()
        manager.close()
    assert not modules["demo"].report(manager, {job: source})
    printed = capsys.readouterr().out
    assert f"failed: {source}: FileNotFoundError" in printed
    assert re.search(r"generate-file +1 +1 ", printed)
    assert "0 of 1 digests" in printed
