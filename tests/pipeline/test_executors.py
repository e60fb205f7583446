"""Executors for jobs: none keeps a process from ending, and none outlives it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from agentzero.pipeline.executors import DaemonThreads, Pool, Processes
from tests.pipeline.chores import Chore, chore
from tests.pipeline.fake_pipeline import PATIENCE, Gate
from tests.pipeline.fake_pipeline import gate as gate
from tests.processes import ROOT, eventually, running


def test_threads_execute_as_many_calls_at_a_time() -> None:
    barrier = threading.Barrier(3)
    with DaemonThreads(3) as executor:
        futures = [executor.submit(barrier.wait, PATIENCE) for _ in range(3)]
        assert sorted(future.result(PATIENCE) for future in futures) == [0, 1, 2]


def test_no_more_threads_than_said() -> None:
    with DaemonThreads(2) as executor:
        futures = [executor.submit(threading.get_ident) for _ in range(50)]
        assert len({future.result(PATIENCE) for future in futures}) <= 2


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_call_raises_ends_no_thread(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("no")

    with DaemonThreads(1) as executor:
        with pytest.raises(error, match="no"):
            executor.submit(fail).result(PATIENCE)
        assert executor.submit(len, "four").result(PATIENCE) == 4


def test_shut_down_it_finishes_what_was_submitted_and_takes_no_more() -> None:
    executor = DaemonThreads(1)
    futures = [executor.submit(len, "four") for _ in range(20)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(len, "four")


def test_shut_down_it_can_cancel_what_has_not_begun() -> None:
    executor, barrier, opened = DaemonThreads(1), threading.Barrier(2), threading.Event()

    def begin_and_wait() -> bool:
        barrier.wait(PATIENCE)
        return opened.wait(PATIENCE)

    first, second = executor.submit(begin_and_wait), executor.submit(len, "four")
    barrier.wait(PATIENCE)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        second.result(PATIENCE)
    opened.set()
    assert first.result(PATIENCE)


def test_a_hanging_thread_does_not_keep_the_process() -> None:
    program = """
import threading
from agentzero.pipeline.executors import DaemonThreads
DaemonThreads(1).submit(threading.Event().wait)
"""
    with running("-c", program) as process:
        assert process.end(PATIENCE).code == 0


HANGING = """
import os, signal, sys, threading
sys.path.insert(0, {root!r})
from agentzero.pipeline.executors import Processes

def hang():
    print(os.getpid(), flush=True)
    threading.Event().wait()

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    executor = Processes(1)
    executor.submit(hang)
    signal.sigwait([signal.SIGUSR1])
    executor.shutdown(wait=False)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_processes_do_not_outlive_the_one_that_made_them(tmp_path: Path, number: int) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING.format(root=str(ROOT)))
    with running(str(script)) as process:
        child = Path("/proc", process.line(), "cmdline")
        os.kill(process.pid, number)
        process.end(PATIENCE)
        eventually(lambda: not child.exists())


def test_processes_ignore_ctrl_c() -> None:
    with Processes(1) as executor:
        [pid] = executor.map(_pid, [0])
        os.kill(pid, signal.SIGINT)
        assert list(executor.map(_pid, [0])) == [pid]


def _pid(_: int) -> int:
    return os.getpid()


# A pool: an executor, and what to do when it breaks


def test_a_pool_makes_another_executor_of_its_own_when_one_breaks(gate: Gate) -> None:
    pool = Pool(lambda: Processes(1), 1)
    broken = pool.executor
    with pytest.raises(BrokenExecutor):
        pool.submit(Chore().execute, chore("die")).result(PATIENCE)
    assert pool.submit(Chore().execute, chore("echo", text="a")).result(PATIENCE) == {"text": "a"}
    assert pool.executor is not broken
    renewed = pool.executor
    pool.renew(broken, BrokenExecutor())
    assert pool.executor is renewed
    pool.close()


def test_a_pool_does_not_replace_an_executor_that_it_was_given() -> None:
    with Processes(1) as executor:
        pool = Pool(executor, 1)
        with pytest.raises(BrokenExecutor):
            pool.submit(Chore().execute, chore("die")).result(PATIENCE)
        with pytest.raises(BrokenExecutor):
            pool.submit(Chore().execute, chore("echo", text="a"))


def test_a_pool_does_not_shut_down_an_executor_that_it_was_given() -> None:
    with ThreadPoolExecutor(1) as executor:
        Pool(executor, 1).close()
        assert executor.submit(len, "four").result(PATIENCE) == 4


@pytest.mark.parametrize("source", ["threads", 4, lambda: 4])
def test_what_makes_no_executor_is_refused(source: Callable[[], Executor]) -> None:
    with pytest.raises(TypeError, match="executor"):
        Pool(source, 1)
