"""What the waiters and locks of a backend promise: they end on time, when woken, when readable."""

# ruff: noqa: D102 - the names of tests tell what they test

from __future__ import annotations

import importlib
import inspect
import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence

import anyio
import pytest

from agentzero.backends import AsyncBackend, AsyncWaiter, Backend
from agentzero.testing.lab import PATIENCE, Conformance, Lab, Pipe, case

__all__ = ["WaiterConformance"]

SHORT = 0.05

# A wait may return early now and then, but not so often that it is busy waiting.
OFTEN = 200

MANY = 500

DESCRIPTORS_OF_ONE = 8


async def passes_time(waiter: AsyncWaiter, fds: Sequence[int]) -> None:
    """Fail where waits do not end, or end for no reason again and again."""
    for _ in range(OFTEN):
        began = time.monotonic()
        await waiter.wait(fds, SHORT)
        lasted = time.monotonic() - began
        assert lasted < SHORT + PATIENCE
        if lasted > 0.9 * SHORT:
            return
    raise AssertionError("every wait ended early")


async def until_read(waiter: AsyncWaiter, pipe: Pipe) -> None:
    """Wait until there is something to read, as whoever shares a pipe has to."""
    while not pipe.read():
        await waiter.wait((pipe.fd,), math.inf)


def room_for(number: int) -> int:
    """Return how many waiters with a pipe each this process may still open, `number` at most."""
    resource = pytest.importorskip("resource")
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return number
    return min(number, max(2, (limit - 100) // DESCRIPTORS_OF_ONE))


def open_files() -> int:
    """Return how many file descriptors are open; skip the test where nothing tells."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system has no /proc/self/fd to count by")
    return len(os.listdir("/proc/self/fd"))


class WaiterConformance(Conformance):
    """The part of `BackendConformance` that is about the backend alone."""

    # What it is

    @case
    async def test_it_is_a_backend(self, lab: Lab) -> None:
        assert isinstance(lab.backend, AsyncBackend if lab.backend.is_async else Backend)
        assert isinstance(lab.backend.is_async, bool)
        assert lab.backend.name
        assert isinstance(lab.backend.name, str)

    @case
    async def test_its_waits_are_awaited_if_it_says_so(self, lab: Lab) -> None:
        waiter = lab.backend.waiter()
        wait = waiter.wait((), 0)
        assert inspect.isawaitable(wait) == lab.backend.is_async
        if lab.backend.is_async:
            await wait
        waiter.close()

    @case
    async def test_its_flavour_is_one_of_pyzmq(self, lab: Lab) -> None:
        flavour = importlib.import_module(lab.backend.flavour)
        assert callable(flavour.Context)
        assert callable(flavour.Socket)

    @case
    async def test_tasks_of_an_event_loop_take_turns(self, lab: Lab) -> None:
        assert isinstance(lab.backend.turn_every, int)
        assert lab.backend.is_async <= lab.backend.turn_every <= 10_000

    # Readable

    @case
    async def test_what_is_readable_ends_a_wait_at_once(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()
        pipe.write()
        await waiter.wait((pipe.fd,), math.inf)
        await waiter.wait((pipe.fd,), math.inf)
        assert pipe.read()

    @case
    async def test_what_becomes_readable_ends_a_wait(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()
        for _ in range(20):
            written = lab.thread(pipe.write, later=0.001)
            await until_read(waiter, pipe)
            await lab.ended(written)

    @case
    async def test_one_waiter_waits_for_several_fds(self, lab: Lab) -> None:
        waiter, pipes = lab.waiter(), lab.pipes(5)
        fds = tuple(pipe.fd for pipe in pipes)
        await passes_time(waiter, fds)
        for pipe in pipes:
            _, written = await lab.together(waiter.wait(fds, math.inf), self.write(lab, pipe))
            assert written
            assert pipe.read()

    @case
    async def test_each_wait_has_fds_of_its_own(self, lab: Lab) -> None:
        waiter, one, other = lab.waiter(), lab.pipe(), lab.pipe()
        one.write()
        await waiter.wait((one.fd,), math.inf)
        await passes_time(waiter, (other.fd,))
        await passes_time(waiter, ())
        await waiter.wait((other.fd, one.fd), math.inf)

    @case
    async def test_of_several_who_wait_for_one_fd_one_at_least_returns(self, lab: Lab) -> None:
        waiters, pipe = [lab.waiter() for _ in range(3)], lab.pipe()

        async def wait(waiter: AsyncWaiter) -> None:
            await waiter.wait((pipe.fd,), math.inf)
            for other in waiters:
                other.wake()

        await lab.together(*map(wait, waiters), self.write(lab, pipe))

    @case
    async def test_who_leaves_takes_nobody_s_place(self, lab: Lab) -> None:
        stays, leaves, pipe, left = lab.waiter(), lab.waiter(), lab.pipe(), []

        async def leave() -> None:
            await leaves.wait((pipe.fd,), math.inf)
            left.append(True)

        async def other() -> None:
            await lab.pause()
            leaves.wake()
            await lab.until(lambda: left)
            pipe.write()

        await lab.together(until_read(stays, pipe), leave(), other())

    @case
    async def test_all_who_wait_for_one_fd_are_served_in_the_end(self, lab: Lab) -> None:
        pipe, served = lab.pipe(), []

        async def reader(number: int) -> None:
            await until_read(lab.waiter(), pipe)
            served.append(number)
            pipe.write()

        pipe.write()
        await lab.together(*map(reader, range(10)))
        assert sorted(served) == list(range(10))

    @case
    async def test_many_wait_for_as_many_fds(self, lab: Lab) -> None:
        pipes = lab.pipes(room_for(MANY))
        waiters, woken = [lab.waiter() for _ in pipes], set()

        async def wait(number: int) -> None:
            await waiters[number].wait((pipes[number].fd,), math.inf)
            woken.add(number)

        async def end() -> None:
            await lab.pause()
            for number, pipe in enumerate(pipes):
                if number % 2:
                    waiters[number].wake()
                else:
                    pipe.write()

        await lab.together(*map(wait, range(len(pipes))), end())
        assert len(woken) == len(pipes)

    # Not readable, or no more

    @case
    async def test_a_wait_ends_when_its_time_is_over(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()
        await passes_time(waiter, ())
        await passes_time(waiter, (pipe.fd,))

    @case
    async def test_a_wait_of_no_time_returns_at_once(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()
        await waiter.wait((), 0)
        await waiter.wait((pipe.fd,), 0)
        pipe.write()
        await waiter.wait((pipe.fd,), 0)

    @case
    async def test_a_wait_of_no_time_gives_others_a_turn(self, lab: Lab) -> None:
        if not lab.cooperates:
            pytest.skip("its tasks run whether or not others wait")
        waiter, pipe = lab.waiter(), lab.pipe()

        async def ask() -> None:
            for _ in range(100):
                await waiter.wait((pipe.fd,), 0)

        assert await lab.turns_of_others(ask) >= 50
        pipe.write()
        assert await lab.turns_of_others(ask) >= 50

    @case
    async def test_others_run_while_one_waits(self, lab: Lab) -> None:
        waiter, turns = lab.waiter(), []

        async def take_turns() -> None:
            for number in range(10):
                await lab.pause()
                turns.append(number)
            waiter.wake()

        await lab.together(waiter.wait((), math.inf), take_turns())
        assert len(turns) == 10

    @case
    async def test_what_somebody_else_has_read_keeps_no_wait_from_ending(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()

        async def eat(wake: Callable[[], None]) -> None:
            await lab.pause()
            pipe.write()
            pipe.read()
            wake()

        await lab.together(waiter.wait((pipe.fd,), math.inf), eat(waiter.wake))
        await lab.together(waiter.wait((pipe.fd,), SHORT), eat(lambda: None))
        pipe.write()
        await waiter.wait((pipe.fd,), math.inf)

    # Forgotten

    @case
    async def test_what_is_forgotten_while_awaited_can_be_closed(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), Pipe()

        async def forget() -> None:
            await lab.pause()
            lab.backend.forget(pipe.fd)
            waiter.wake()

        await lab.together(waiter.wait((pipe.fd,), math.inf), forget())
        lab.backend.forget(pipe.fd)
        pipe.close()
        await passes_time(waiter, ())

    @case
    async def test_what_was_never_awaited_can_be_forgotten(self, lab: Lab) -> None:
        lab.backend.forget(lab.pipe().fd)

    @case
    async def test_another_thread_may_forget_what_is_awaited(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()

        def forget() -> None:
            lab.backend.forget(pipe.fd)
            waiter.wake()

        for _ in range(20):
            await lab.together(waiter.wait((pipe.fd,), math.inf), lab.natively(forget))
        pipe.write()
        await waiter.wait((pipe.fd,), math.inf)

    @case
    async def test_the_number_of_a_forgotten_fd_may_name_another_file(self, lab: Lab) -> None:
        waiter, pipe, other = lab.waiter(), lab.pipe(), lab.pipe()
        pipe.write()
        await waiter.wait((pipe.fd,), math.inf)
        lab.backend.forget(pipe.fd)
        pipe.replace(other)
        await passes_time(waiter, (pipe.fd,))  # the old file would be readable still
        await lab.together(waiter.wait((pipe.fd,), math.inf), self.write(lab, other))

    @case
    async def test_who_still_waits_for_what_was_forgotten_disturbs_nobody(self, lab: Lab) -> None:
        old, new, pipe, left = lab.waiter(), lab.waiter(), lab.pipe(), []

        async def leave() -> None:
            await old.wait((pipe.fd,), math.inf)
            left.append(True)

        async def wait_again() -> None:
            await lab.pause()
            lab.backend.forget(pipe.fd)
            await lab.together(until_read(new, pipe), end())

        async def end() -> None:
            await lab.pause()
            old.wake()
            await lab.until(lambda: left)
            pipe.write()

        await lab.together(leave(), wait_again())

    # Woken

    @case
    async def test_a_wake_ends_a_wait(self, lab: Lab) -> None:
        waiter = lab.waiter()

        async def wake() -> None:
            await lab.pause()
            waiter.wake()

        await lab.together(waiter.wait((), math.inf), wake())

    @case
    async def test_a_wake_before_the_wait_ends_it_at_once(self, lab: Lab) -> None:
        waiter, pipe = lab.waiter(), lab.pipe()
        for fds in ((), (pipe.fd,)):
            waiter.wake()
            await waiter.wait(fds, math.inf)

    @case
    async def test_many_wakes_end_one_wait(self, lab: Lab) -> None:
        waiter = lab.waiter()
        for _ in range(100_000):
            waiter.wake()
        await waiter.wait((), math.inf)
        await passes_time(waiter, ())

    @case
    async def test_a_wake_ends_the_wait_of_nobody_else(self, lab: Lab) -> None:
        waiter, other = lab.waiter(), lab.waiter()
        waiter.wake()
        await passes_time(other, ())
        await waiter.wait((), math.inf)

    @case
    async def test_a_wake_from_another_thread_ends_a_wait(self, lab: Lab) -> None:
        waiter = lab.waiter()
        for _ in range(20):
            woken = lab.thread(waiter.wake, later=0.001)
            await waiter.wait((), math.inf)  # nothing else happens here that could end it
            await lab.ended(woken)

    @case
    async def test_wakes_from_many_threads_are_no_harm(self, lab: Lab) -> None:
        waiter, over = lab.waiter(), threading.Event()

        async def wait() -> None:
            for _ in range(200):
                await waiter.wait((), math.inf)
            over.set()

        def wake() -> None:
            while not over.is_set():
                waiter.wake()
                over.wait(0.0001)

        await lab.together(wait(), lab.natively(wake, wake, wake))
        await passes_time(waiter, ())

    @case
    async def test_a_wake_after_the_end_is_no_harm(self, lab: Lab) -> None:
        waiter = lab.waiter()
        await waiter.wait((), 0)
        waiter.close()
        waiter.wake()
        await passes_time(lab.waiter(), ())

    @case
    async def test_who_closes_a_waiter_twice_harms_nobody(self, lab: Lab) -> None:
        waiter = lab.waiter()
        await waiter.wait((), 0)
        waiter.close()
        waiter.close()
        one, other = lab.waiter(), lab.waiter()
        one.wake()
        await passes_time(other, ())
        await one.wait((), math.inf)

    # Cancelled

    @case
    async def test_a_cancelled_wait_leaves_nothing_behind(self, lab: Lab) -> None:
        if not lab.backend.is_async:
            pytest.skip("nothing cancels a sync wait")
        waiter, other, pipe = lab.waiter(), lab.waiter(), lab.pipe()
        for _ in range(20):
            with anyio.move_on_after(0.001) as scope:
                await waiter.wait((pipe.fd,), math.inf)
            assert scope.cancelled_caught
        await passes_time(waiter, (pipe.fd,))
        await lab.together(until_read(waiter, pipe), self.write(lab, pipe))
        await lab.together(until_read(other, pipe), self.write(lab, pipe))

    @case
    async def test_who_is_cancelled_takes_nobody_s_place(self, lab: Lab) -> None:
        if not lab.backend.is_async:
            pytest.skip("nothing cancels a sync wait")
        waiter, other, pipe = lab.waiter(), lab.waiter(), lab.pipe()

        async def give_up() -> None:
            with anyio.move_on_after(0.001):
                await waiter.wait((pipe.fd,), math.inf)
            pipe.write()

        await lab.together(give_up(), until_read(other, pipe))

    # Locks, threads, leaks

    @case
    async def test_its_holder_may_take_a_lock_again(self, lab: Lab) -> None:
        lock = lab.backend.lock()

        def enter() -> None:
            with lock, lock:
                pass

        await lab.natively(enter)

    @case
    async def test_a_lock_keeps_other_threads_out(self, lab: Lab) -> None:
        lock, held, order = lab.backend.lock(), threading.Event(), []

        def hold() -> None:
            with lock:
                held.set()
                time.sleep(SHORT)
                order.append("first")

        def enter() -> None:
            held.wait(PATIENCE)
            with lock:
                order.append("second")

        await lab.natively(hold, enter)
        assert order == ["first", "second"]

    @case
    async def test_locks_are_independent(self, lab: Lab) -> None:
        one, other, done = lab.backend.lock(), lab.backend.lock(), []

        def enter() -> None:
            with other:
                done.append(True)

        with one:
            lab.backend.detach(enter)
            await lab.until(lambda: done)

    @case
    async def test_a_detached_function_runs_in_a_native_thread(self, lab: Lab) -> None:
        threads: list[int] = []
        lab.backend.detach(lambda: threads.append(threading.get_native_id()))
        await lab.until(lambda: threads)
        assert threads != [threading.get_native_id()]

    @case
    async def test_nobody_waits_for_a_detached_function(self, lab: Lab) -> None:
        go_on, over = threading.Event(), []
        lab.backend.detach(lambda: over.append(go_on.wait(PATIENCE)))
        assert not over
        go_on.set()
        await lab.until(lambda: over)

    @case
    async def test_no_file_descriptor_is_left_open(self, lab: Lab) -> None:
        pipe, before = lab.pipe(), 0
        for number in range(1000):
            if number == 10:
                before = open_files()
            waiter = lab.backend.waiter()
            if number % 2:
                waiter.wake()
            await lab.awaited(waiter).wait((pipe.fd,), 0.001 * (number % 3))
            waiter.close()
        await lab.until(lambda: open_files() <= before + 2)

    # Anything, in any order

    @case
    async def test_a_wait_ends_whatever_went_before(self, lab: Lab) -> None:
        for seed in range(100):
            await self.walk(lab.waiter(), lab.pipe(), random.Random(seed))

    @staticmethod
    async def walk(waiter: AsyncWaiter, pipe: Pipe, chance: random.Random) -> None:
        """Take random steps, among them waits without end where something has to end them."""
        written, woken = 0, False
        for step in chance.choices(["write", "read", "wake", "try", "wait"], k=20):
            if step == "write":
                pipe.write()
                written += 1
            elif step == "read":
                assert pipe.read() == bool(written)
                written = max(0, written - 1)
            elif step == "wake":
                waiter.wake()
                woken = True
            else:
                longest = 0 if step == "try" else math.inf if written or woken else 0.0001
                await waiter.wait((pipe.fd,), longest)
                woken = False

    @staticmethod
    async def write(lab: Lab, pipe: Pipe) -> bool:
        """Make a pipe readable, a little later."""
        await lab.pause()
        pipe.write()
        return True
