"""What a backend promises: its waiters end on time, when woken, and when there is something."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agentzero.backends import Backend, Lock, Waiter, resolve

LATE = 5.0


@pytest.fixture
def waits(backend: Any) -> Backend:
    return resolve(backend.name)


@pytest.fixture
def waiter(waits: Backend) -> Iterator[Waiter]:
    waiter = waits.waiter()
    yield waiter
    waiter.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_it_is_a_backend_and_says_what_suits_it(waits: Backend) -> None:
    assert isinstance(waits, Backend)
    assert waits.is_async is False
    assert waits.flavour == {"threads": "zmq", "gevent": "zmq.green"}[waits.name]


def test_a_wait_ends_when_its_time_is_over(waiter: Waiter, pipe: tuple[int, int]) -> None:
    for fds in ((), (pipe[0],)):
        began, early = time.monotonic(), 0
        while (left := 0.05 - (time.monotonic() - began)) > 0:
            waiter.wait(fds, left)
            early += 1
        assert early < 10  # now and then it may return early
        assert time.monotonic() - began < 0.05 + LATE


def test_a_wait_without_time_returns_at_once(waiter: Waiter, pipe: tuple[int, int]) -> None:
    waiter.wait((pipe[0],), 0)


def test_a_wait_ends_when_an_fd_is_readable(waiter: Waiter, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"1")
    waiter.wait((pipe[0],), math.inf)
    threading.Timer(0.01, os.write, [pipe[1], b"2"]).start()
    os.read(pipe[0], 1)
    waiter.wait((pipe[0],), math.inf)
    assert os.read(pipe[0], 1) == b"2"


def test_a_wake_before_the_wait_ends_it_at_once(waiter: Waiter) -> None:
    waiter.wake()
    waiter.wait((), math.inf)


def test_many_wakes_end_one_wait(waiter: Waiter) -> None:
    for _ in range(100_000):
        waiter.wake()
    waiter.wait((), math.inf)
    ends = 0
    while (began := time.monotonic()) and ends < 200:
        waiter.wait((), 0.05)
        if time.monotonic() - began >= 0.045:
            break
        ends += 1
    assert ends < 200


def test_a_wake_from_another_thread_ends_a_wait(waiter: Waiter) -> None:
    timer = threading.Timer(0.02, waiter.wake)
    timer.start()
    waiter.wait((), math.inf)
    timer.join()


def test_wakes_from_many_threads_are_no_harm(waiter: Waiter) -> None:
    over = threading.Event()

    def disturb() -> None:
        while not over.is_set():
            waiter.wake()
            time.sleep(0)

    threads = [threading.Thread(target=disturb) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        waiter.wait((), math.inf)
    over.set()
    for thread in threads:
        thread.join()


def test_a_wake_after_the_end_is_no_harm(waits: Backend) -> None:
    """Who wakes may come late: a thread that lingers in vain, say."""
    waiter = waits.waiter()
    waiter.wait((), 0)
    waiter.close()
    waiter.wake()
    another = waits.waiter()
    another.wait((), 0.01)
    another.close()


def test_several_wait_for_one_fd_and_one_at_least_returns(
    backend: Any, waits: Backend, pipe: tuple[int, int]
) -> None:
    returned = []

    def wait() -> None:
        waiter = waits.waiter()
        waiter.wait((pipe[0],), math.inf)
        returned.append(True)
        waiter.close()

    tasks = [backend.spawn(wait) for _ in range(3)]
    os.write(pipe[1], b"1")
    for task in tasks:
        task.result()
    assert len(returned) == 3


def test_its_holder_may_take_a_lock_again(waits: Backend) -> None:
    lock: Lock = waits.lock()
    with lock, lock:
        pass


def test_a_lock_keeps_other_threads_out(waits: Backend) -> None:
    lock, order = waits.lock(), []

    def other() -> None:
        with lock:
            order.append("other")

    thread = threading.Thread(target=other)
    with lock:
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_detached_function_runs_in_a_native_thread(waits: Backend) -> None:
    done = threading.Event()
    threads: list[int] = []

    def function() -> None:
        threads.append(threading.get_native_id())
        done.set()

    waits.detach(function)
    assert done.wait(20)
    assert threads != [threading.get_native_id()]


def test_other_greenlets_run_while_one_waits() -> None:
    gevent = pytest.importorskip("gevent")
    waiter, ticks = resolve("gevent").waiter(), []

    def tick() -> None:
        for number in range(10):
            ticks.append(number)
            gevent.sleep(0.001)
        waiter.wake()

    gevent.spawn(tick)
    waiter.wait((), math.inf)
    waiter.close()
    assert len(ticks) == 10


def test_a_greenlets_timeout_ends_its_wait_and_leaves_nothing_behind(
    pipe: tuple[int, int],
) -> None:
    gevent = pytest.importorskip("gevent")
    waiter = resolve("gevent").waiter()
    with gevent.Timeout(0.02, False):
        waiter.wait((pipe[0],), math.inf)
        pytest.fail("nothing was there to end it")
    os.write(pipe[1], b"1")
    waiter.wait((pipe[0],), math.inf)
    waiter.close()
