"""The demo, run as a user runs it: what it prints, what it survives, and that nothing is left."""

from __future__ import annotations

import hashlib
import importlib
import os
import pty
import random
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import read
from tests.processes import ROOT, interruptible, is_running

PIPELINE = ROOT / "examples" / "pipeline"
STEPS = ("generate-file", "calculate-hash", "delete-file")
ROLES = ("pipeline", *STEPS)
FILES = 1000
BOUND = 30  # seconds in which any run must have ended
ALL_RIGHT = f"{FILES:,} of {FILES:,} digests are those of hashlib."

# Runs the demo with less patience: what keeps it waiting for long would keep the tests as well.
IMPATIENT = f"""
import sys
sys.path.insert(0, {str(PIPELINE)!r})
import crew, demo
crew.PATIENCE, crew.DEATHS = 3, {{}}
sys.exit(demo.main())
"""

pytestmark = pytest.mark.timeout(2 * BOUND)


@dataclass
class Demo:
    """A running demo; it is alone with its temporary folder."""

    process: subprocess.Popen[str]
    temporary: Path
    pids: dict[str, int]

    @property
    def leftovers(self) -> list[str]:
        """What it has left behind outside of its state."""
        return [path.name for path in self.temporary.iterdir()]

    @property
    def is_alone(self) -> bool:
        """Whether all that it had started has ended."""
        return not any(map(is_running, self.pids.values()))

    def wait_for_progress(self) -> None:
        assert self.process.stdout
        line = next((line for line in self.process.stdout if re.match(r"[\d,]+ of ", line)), None)
        assert line is not None, "the demo ended before it showed any progress"

    def let_pass(self, seconds: float) -> None:
        """Let so many seconds of its life pass."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def finish(self) -> tuple[str, str]:
        """Return what it still wrote, once it and its processes have ended: they share stderr."""
        return self.process.communicate(timeout=BOUND)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """The demo can be interrupted."""
    with interruptible():
        yield


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where demos are told to keep their state: too deep down for a socket's name."""
    return tmp_path / "-".join(["deep"] * 20) / "state"


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
    write_files(root)
    return root


def write_files(folder: Path, text: str = "") -> None:
    for number in range(FILES):
        (folder / f"{number}.py").write_text(f"{text}{number}")


@pytest.fixture
def chance() -> random.Random:
    """A source of random moments."""
    seed = random.randrange(10**6)
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture
def demo(environment: dict[str, str], many_files: Path, state: Path) -> Iterator[Demo]:
    """The demo at work on many files."""
    with started(environment, many_files, state) as demo:
        yield demo


@contextmanager
def started(
    environment: dict[str, str], folder: Path, state: Path, *program: str
) -> Iterator[Demo]:
    """Start the demo, or another program that runs it; it never outlives the block."""
    program = program or (str(PIPELINE / "demo.py"),)
    with subprocess.Popen(
        [sys.executable, *program, "--folder", folder, "--state", state],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            pids = {name: int(pid) for name, pid in re.findall(r"([\w-]+) \((\d+)\)", line)}
            assert tuple(pids) == ROLES, process.communicate()
            yield Demo(process, Path(environment["TMPDIR"]), pids)
        finally:
            process.kill()


def run(
    environment: dict[str, str], state: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PIPELINE / "demo.py"), f"--state={state}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=BOUND)


def test_it_processes_real_files_and_shows_each_step(
    environment: dict[str, str], temporary: Path, state: Path
) -> None:
    done = run(environment, state, "--limit", 100)
    assert (done.returncode, done.stderr) == (0, "")
    for step in STEPS:
        assert re.search(rf"^ *{step} +100 +0 +[\d,]+ *$", done.stdout, re.MULTILINE)
    assert "100 of 100 digests are those of hashlib." in done.stdout
    assert re.search(r"^\d+ of 100 files .*(copied|hashed|deleted) ", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert list(temporary.iterdir()) == []
    assert not state.exists()


def test_it_takes_each_python_file_of_a_folder_whatever_its_name(
    environment: dict[str, str], folder: Path, temporary: Path, state: Path
) -> None:
    ascii_only = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run(environment | ascii_only, state, "--folder", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 of 3 digests" in done.stdout
    assert list(temporary.iterdir()) == []


def test_a_folder_without_python_files_is_an_error(
    environment: dict[str, str], temporary: Path, state: Path
) -> None:
    done = run(environment, state, "--folder", temporary)
    assert done.returncode == 2
    assert f"no .py files in {temporary}" in done.stderr


@pytest.mark.parametrize("columns", [10, 100])
def test_a_terminal_of_any_width_gets_bars(
    columns: int, environment: dict[str, str], folder: Path, state: Path
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen(
        [sys.executable, PIPELINE / "demo.py", "--folder", folder, "--state", state],
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm"},
    ) as process:
        os.close(theirs)
        output = b"".join(read(ours)).decode()
        os.close(ours)
        assert process.wait(BOUND) == 0
    assert "\x1b[?25h" in output, "the cursor is shown again"
    assert "3 of 3 digests" in output.replace("\r\n", "")
    assert ("calculate-hash ━" in plain(output)) == (columns == 100)


def plain(output: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output)


# What it finds wrong


def test_a_copy_that_cannot_be_made_is_reported_and_the_others_are_done(
    environment: dict[str, str], folder: Path, state: Path
) -> None:
    with started(environment, folder, state) as demo:
        (work,) = state.iterdir()
        (work / "copies" / "1.py").mkdir()
        stdout, _ = demo.finish()
    assert demo.process.returncode == 1
    assert re.search(rf"failed: {folder}/empty.py: .* generate-file: IsADirectoryError", stdout)
    assert re.search(r"generate-file +3 +1 ", stdout)
    assert "2 of 3 digests" in stdout


def test_files_that_are_changed_meanwhile_have_wrong_digests(demo: Demo, many_files: Path) -> None:
    demo.wait_for_progress()
    demo.process.send_signal(signal.SIGSTOP)  # it compares none yet
    write_files(many_files, "changed")
    demo.process.send_signal(signal.SIGCONT)
    stdout, _ = demo.finish()
    write_files(many_files)
    assert demo.process.returncode == 1
    assert f"wrong digest: {many_files}" in stdout
    assert re.search(rf"[\d,]+ of {FILES:,} digests", stdout)
    assert ALL_RIGHT not in stdout


# How it is stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to", ["the parent alone", "all processes"])
def test_a_signal_stops_it_and_no_process_is_left(
    demo: Demo, number: signal.Signals, to: str
) -> None:
    demo.wait_for_progress()
    pids = demo.pids.values() if to == "all processes" else []
    for pid in (demo.process.pid, *pids):
        os.kill(pid, number)
    stdout, stderr = demo.finish()
    assert stderr == ""
    assert f"Stopped by {number.name}" in stdout
    assert demo.process.returncode == 128 + number
    assert demo.leftovers == []
    assert demo.is_alone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_while_the_processes_still_start(
    demo: Demo, number: signal.Signals
) -> None:
    demo.process.send_signal(number)
    _, stderr = demo.finish()
    assert (demo.process.returncode, stderr) == (128 + number, "")
    assert demo.leftovers == []
    assert demo.is_alone


def test_a_process_that_hangs_does_not_keep_it_from_stopping(demo: Demo) -> None:
    demo.wait_for_progress()
    os.kill(demo.pids["calculate-hash"], signal.SIGSTOP)
    demo.process.send_signal(signal.SIGINT)
    demo.finish()
    assert demo.process.returncode == 130
    assert demo.leftovers == []
    assert demo.is_alone


def test_it_ends_when_nobody_reads_its_output_any_more(demo: Demo) -> None:
    demo.wait_for_progress()
    assert demo.process.stdout
    demo.process.stdout.close()
    assert demo.process.stderr
    assert demo.process.stderr.read() == ""
    assert demo.process.wait(BOUND) == 1
    assert demo.leftovers == []


def test_the_processes_end_when_their_parent_is_killed(demo: Demo) -> None:
    demo.wait_for_progress()
    demo.process.kill()
    demo.finish()  # returns when the last of them has closed its stderr


# What it survives


def test_a_step_finds_its_work_done_already(
    folder: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PIPELINE)
    steps = importlib.import_module("steps")
    source, copy = folder / "package" / "binary.py", temporary / "copy.py"
    instructions = {"source": str(source), "path": str(copy)}
    for step in steps.STEPS:
        first, second = (step().execute(instructions) for _ in range(2))
        assert first == second
        instructions = first
    assert instructions == {"sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_process_that_is_killed_at_a_random_moment_is_started_again(
    demo: Demo, role: str, state: Path, chance: random.Random
) -> None:
    demo.let_pass(chance.uniform(0, 1))
    os.kill(demo.pids[role], signal.SIGKILL)
    stdout, stderr = demo.finish()
    assert (demo.process.returncode, stderr) == (0, "")
    assert f"{role} ({demo.pids[role]}) was killed by signal 9: started again" in stdout
    assert ALL_RIGHT in stdout
    assert not state.exists()
    assert demo.is_alone


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_on_where_it_was_killed_or_stopped_at_a_random_moment(
    demo: Demo,
    number: signal.Signals,
    environment: dict[str, str],
    many_files: Path,
    state: Path,
    chance: random.Random,
) -> None:
    demo.wait_for_progress()
    demo.let_pass(chance.uniform(0, 0.5))
    demo.process.send_signal(number)
    demo.finish()
    done = run(environment, state, "--folder", many_files)
    assert (done.returncode, done.stderr) == (0, "")
    going_on = rf"^Going on with [1-9][\d,]* of {FILES:,} files done\.$"
    assert re.search(going_on, done.stdout, re.MULTILINE)
    assert ALL_RIGHT in done.stdout
    assert not state.exists()


def test_it_may_be_killed_again_and_again_also_while_it_starts(
    environment: dict[str, str],
    many_files: Path,
    state: Path,
    chance: random.Random,
) -> None:
    for _ in range(3):
        with started(environment, many_files, state) as demo:
            demo.let_pass(chance.uniform(0, 1))
            demo.process.kill()
    done = run(environment, state, "--folder", many_files)
    assert (done.returncode, done.stderr) == (0, "")
    assert ALL_RIGHT in done.stdout
    assert not state.exists()


@pytest.mark.parametrize("role", ["pipeline", "calculate-hash"])
def test_where_there_is_no_progress_all_processes_are_started_again(
    role: str, environment: dict[str, str], many_files: Path, state: Path
) -> None:
    with started(environment, many_files, state, "-c", IMPATIENT.format(100)) as demo:
        demo.wait_for_progress()
        os.kill(demo.pids[role], signal.SIGSTOP)
        stdout, stderr = demo.finish()
    assert (demo.process.returncode, stderr) == (0, "")
    assert "No progress in 3 s: all processes are killed." in stdout
    assert ALL_RIGHT in stdout


def test_a_process_that_dies_again_and_again_ends_it(
    environment: dict[str, str], folder: Path, tmp_path: Path, state: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sqlalchemy.py").write_text("raise SystemExit(7)")
    path = {"PYTHONPATH": f"{broken}{os.pathsep}{ROOT}"}
    with started(environment | path, folder, state, "-c", IMPATIENT.format(2)) as demo:
        _, stderr = demo.finish()
    assert demo.process.returncode == 1
    assert re.fullmatch(
        r"Error: pipeline \(\d+\) ended with exit code 7, 2 times without .*\n", stderr
    )
    assert demo.is_alone


def test_two_of_them_do_not_work_on_the_same_files(
    demo: Demo, environment: dict[str, str], many_files: Path, state: Path
) -> None:
    done = run(environment, state, "--folder", many_files)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: another demo works on these files, in ")


def test_two_of_them_work_on_other_files_at_once(
    demo: Demo, environment: dict[str, str], folder: Path, state: Path
) -> None:
    done = run(environment, state, "--folder", folder)
    assert (done.returncode, done.stderr) == (0, "")
    stdout, stderr = demo.finish()
    assert (demo.process.returncode, stderr) == (0, "")
    assert ALL_RIGHT in stdout
