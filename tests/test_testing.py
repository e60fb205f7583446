"""The suite for backends finds the faults of those that are not right."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from agentzero.backends import resolve, resolve_async
from agentzero.testing import BackendConformance, lab, managers, waiters

Replaced = Callable[..., Any]

# Long enough for any of them to go wrong, and the longest of all faulty waits.
SHORT = 0.3

FAILURES = (AssertionError, AttributeError, TimeoutError)

CASES = {name: getattr(BackendConformance, name) for name in dir(BackendConformance)}

leaked: list[int] = []
over = threading.Event()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Failures come soon, and what they leave behind has ended when the test has."""
    for module in (lab, managers, waiters):
        monkeypatch.setattr(module, "PATIENCE", SHORT)
    before = set(threading.enumerate())
    yield
    over.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()
    over.clear()
    while leaked:
        os.close(leaked.pop())


class Faulty:
    """Something with a few attributes replaced; its methods are given the real one first."""

    def __init__(self, real: Any, **replaced: Any) -> None:
        self._real = real
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name not in self._replaced:
            return getattr(self._real, name)
        return self._replaced[name].__get__(self._real)


def wait(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    waiter.wait(fds, min(timeout, 2 * SHORT))
    assert not over.is_set()


def wait_too_long(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    wait(waiter, fds, 2 * SHORT if timeout else 0)


def wait_for_one(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    wait(waiter, fds[:1], timeout)


def wait_for_none(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    wait(waiter, (), timeout)


def wait_forgetfully(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    waiter.wait((), 0)
    wait(waiter, fds, timeout)


def wait_leaking(waiter: Any, fds: Sequence[int], timeout: float) -> None:
    leaked.append(os.dup(0))
    wait(waiter, fds, timeout)


def nothing(*_: Any) -> None:
    assert not over.is_set()


def run(test: str, backend: Any) -> None:
    case, suite = CASES[test], BackendConformance()
    case(suite, suite._lab(backend))


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ({"wait": nothing}, "a_wait_ends_when_its_time_is_over"),
        ({"wait": nothing}, "many_wakes_end_one_wait"),
        ({"wait": wait_too_long}, "a_time_out_says_so"),
        ({"wait": wait_for_one}, "one_waiter_waits_for_several_fds"),
        ({"wait": wait_for_none}, "what_becomes_readable_ends_a_wait"),
        ({"wait": wait_forgetfully}, "a_wake_before_the_wait_ends_it_at_once"),
        ({"wait": wait_forgetfully}, "a_wait_ends_whatever_went_before"),
        ({"wait": wait_leaking}, "no_file_descriptor_is_left_open"),
        ({"wake": nothing, "wait": wait}, "a_wake_ends_a_wait"),
        ({"wake": nothing, "wait": wait}, "a_wake_from_another_thread_ends_a_wait"),
        ({"wake": nothing, "wait": wait}, "closing_a_socket_ends_the_waits_for_it"),
    ],
)
def test_a_faulty_waiter_is_found(fault: dict[str, Replaced], test: str) -> None:
    backend = resolve("threads")
    make = backend.waiter
    backend.waiter = lambda: Faulty(make(), **fault)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(FAILURES):
        run(f"test_{test}", backend)


@pytest.mark.parametrize(
    ("name", "fault", "test"),
    [
        ("name", None, "it_is_a_backend"),
        ("is_async", True, "its_waits_are_awaited_if_it_says_so"),
        ("flavour", "os", "its_flavour_is_one_of_pyzmq"),
        ("turn_every", -1, "tasks_of_an_event_loop_take_turns"),
        ("lock", threading.Lock, "its_holder_may_take_a_lock_again"),
        ("lock", contextlib.nullcontext, "a_lock_keeps_other_threads_out"),
        ("detach", lambda function: function(), "a_detached_function_runs_in_a_native_thread"),
    ],
)
def test_a_faulty_backend_is_found(name: str, fault: Any, test: str) -> None:
    backend = resolve("threads")
    setattr(backend, name, fault)
    with pytest.raises(FAILURES):
        run(f"test_{test}", backend)


def test_a_loop_that_is_not_woken_is_found() -> None:
    """Futures are no more to be set from another thread than any other work of the loop."""
    backend = resolve_async("asyncio")
    make = backend.waiter

    def waiter() -> Any:
        made = make()
        return Faulty(made, wake=lambda real: real.end_wait())

    backend.waiter = waiter  # type: ignore[method-assign]
    with pytest.raises(FAILURES):
        run("test_a_wake_from_another_thread_ends_a_wait", backend)


def test_a_task_that_keeps_its_turn_is_found() -> None:
    async def wait(waiter: Any, fds: Sequence[int], timeout: float) -> None:
        if timeout:
            await waiter.wait(fds, timeout)

    backend = resolve_async("asyncio")
    make = backend.waiter
    backend.waiter = lambda: Faulty(make(), wait=wait)  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(FAILURES):
        run("test_a_wait_of_no_time_gives_others_a_turn", backend)


def test_what_is_not_forgotten_is_found() -> None:
    backend = resolve_async("asyncio")
    backend.forget = nothing  # type: ignore[method-assign]
    with pytest.raises(FAILURES):
        run("test_the_number_of_a_forgotten_fd_may_name_another_file", backend)
