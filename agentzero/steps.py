"""The waiting logic, written once, as generators; and the drivers that run them.

A step generator tries, and only when there is nothing yields a `Wait`: what to wait for and how
long at the most. Its driver hands that to the backend's waiter and resumes it. Loops, deadlines,
wake-ups and errors live in the generators; sync and async differ in their drivers alone.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from agentzero.backends.base import AsyncBackend, Backend, Wakeable
from agentzero.channel import POLLIN, POLLOUT, Channel, Message
from agentzero.deadline import Deadline
from agentzero.errors import SocketClosed, SocketTimeout
from agentzero.loans import Loan
from agentzero.pollset import PollSet

__all__ = [
    "NOTHING",
    "NO_ROOM",
    "Steps",
    "Wait",
    "drive",
    "drive_async",
    "drive_each",
    "drive_each_async",
    "end",
    "kept",
    "poll",
    "repeat",
    "sent",
    "timed_out",
    "until",
    "until_returned",
]

T = TypeVar("T")

NOTHING = "nothing to receive on"
NO_ROOM = "no room to send on"

FIRST_NAP = 0.1
LONGEST_NAP = 10.0
BLIND_NAP = 0.02


class Wait(NamedTuple):
    """A request to the driver: wait until one of `fds` is readable, `timeout` seconds at most."""

    fds: tuple[int, ...]
    timeout: float


Steps = Generator[Wait, None, T]


def until(
    waiter: Wakeable,
    channel: Channel,
    attempt: Callable[[], T],
    mask: int,
    deadline: Deadline,
    longest: float = LONGEST_NAP,
) -> Steps[T | None]:
    """Repeat `attempt` until it returns something; return None when the time is over.

    A single wait lasts a little longer each time. A wake-up gets lost only where somebody works on
    a socket behind our back: the first waits make that good soon, the later ones let an idle task
    cost nothing.

    Args:
        waiter: the task's place to wait at.
        channel: the socket.
        attempt: returns None for "again".
        mask: zmq.POLLIN or zmq.POLLOUT (or both): what the attempt needs.
        deadline: the total time.
        longest: the longest single wait in seconds.

    Raises:
        SocketClosed: the socket was closed meanwhile.
    """
    nap = FIRST_NAP
    if channel.take_turn():
        yield Wait((), 0)
    try:
        result = channel.attempt_or_arm(attempt, mask, waiter)
        while result is None:
            # Also for a time of 0: whoever asks again and again lets others have a turn.
            left = deadline.left()
            if channel.is_blind(waiter):
                nap = min(nap, BLIND_NAP)
            yield Wait(channel.fds, min(nap, left, longest))
            nap *= 2
            result = channel.attempt(attempt, waiter)
            if result is None and not left:
                return None
            if result is None:
                result = channel.attempt_or_arm(attempt, mask, waiter)
        return result
    finally:
        channel.disarm(waiter)


def sent(
    waiter: Wakeable,
    channel: Channel,
    attempt: Callable[[], bool | None],
    deadline: Deadline,
    longest: float,
) -> Steps[None]:
    """Repeat an attempt to send until there is room.

    Raises:
        SocketTimeout: there was none in time.
        SocketClosed: the socket was closed meanwhile.
    """
    # Tried without asking first: on a REQ that is not to send, only the attempt says so.
    if attempt() is None and not (
        yield from until(waiter, channel, attempt, POLLOUT, deadline, longest)
    ):
        raise timed_out(NO_ROOM, channel, deadline)


def timed_out(tried: str, channel: Channel, deadline: Deadline) -> SocketTimeout:
    """Count and explain that the time was over; `tried` is what was in vain, as in NO_ROOM."""
    channel.count("timeouts")
    return SocketTimeout(f"{tried} {channel} in {deadline.timeout:g} s{channel.told()}")


def repeat(
    waiter: Wakeable,
    channel: Channel,
    handle: Callable[[Message], T | None],
    keep_polling: Callable[[], object],
    silence: float,
    longest: float,
) -> Generator[Wait | T, None, None]:
    """Receive again and again; yield what `handle` makes of each message, and waits between.

    It ends when `keep_polling()` is false (asked before each message, and at least every `longest`
    seconds), when nothing came for `silence` seconds, and when the socket is closed. Where `handle`
    returns None, nothing is yielded.
    """
    deadline = Deadline(silence)
    while keep_polling():
        try:
            message = channel.try_recv()
            if message is None:
                slice_ = Deadline(min(longest, deadline.left()))
                message = yield from until(waiter, channel, channel.try_recv, POLLIN, slice_)
        except SocketClosed:
            return
        if message is not None:
            if (item := handle(message)) is not None:
                yield item
            deadline = Deadline(silence)
        elif not deadline.left():
            return


def poll(waiter: Wakeable, polled: PollSet, deadline: Deadline) -> Steps[dict[Any, int]]:
    """Wait until any of `polled` is ready for its mask; return socket -> ready mask.

    A socket that was closed before is left out.

    Raises:
        SocketClosed: one of the sockets was closed meanwhile.
    """
    nap = FIRST_NAP
    armed: set[Channel] = set()
    if polled.take_turn():
        yield Wait((), 0)
    try:
        if ready := _ready(waiter, polled, armed):
            return ready
        polled.enter(waiter)
        left = math.inf
        while not (ready := _ready(waiter, polled, armed)) and left:
            left = deadline.left()
            yield Wait(polled.fds, min(nap, left, polled.rest()))
            nap = min(nap * 2, LONGEST_NAP)
            for channel in polled.lost(waiter):
                channel.ready(0)  # raises what its tasks should see
        return ready
    finally:
        polled.leave(waiter)
        for channel in armed:
            channel.disarm(waiter)


def _ready(waiter: Wakeable, polled: PollSet, armed: set[Channel]) -> dict[Any, int]:
    ready = {}
    for channel, mask, since in polled.due(waiter):
        # What is ready as well: to look may take the wake-up of others, and to disarm returns it.
        armed.add(channel)
        try:
            events = channel.ready_or_arm(mask, waiter)
        except SocketClosed:
            # One that was closed behind our back may have been so before.
            polled.discard(channel, None if channel.closed else waiter)
            continue
        if events:
            ready[channel.socket] = events
        else:
            polled.settle(channel, since)
    return ready


def until_returned(
    waiter: Wakeable, channel: Channel, loan: Loan, deadline: Deadline
) -> Steps[bool]:
    """Wait until ZeroMQ has let go of what was lent to it; return whether it has.

    libzmq drops what it cannot send any more while somebody works on the socket, which nobody else
    may do.
    """
    loan.enter(waiter)
    nap, left = FIRST_NAP, math.inf
    try:
        while not loan.done and left:
            fds = channel.attend(waiter)
            if loan.done:
                break
            left = deadline.left()
            yield Wait(fds, min(nap, left))
            nap = min(nap * 2, LONGEST_NAP)
        return loan.done
    finally:
        loan.leave(waiter)
        channel.disarm(waiter)


def kept(channel: Channel, deadline: Deadline) -> SocketTimeout:
    """Count and explain that ZeroMQ has not let go in time."""
    channel.count("timeouts")
    return SocketTimeout(
        f"{channel} has not sent the message whole in {deadline.timeout:g} s, "
        f"or who received it in this process still holds it{channel.told()}"
    )


def end(
    waiter: Wakeable,
    shut: Callable[[], Sequence[Channel]],
    begin: Callable[[], None],
    ended: Callable[[], bool],
    give_up: Callable[[], object],
    deadline: Deadline,
) -> Steps[None]:
    """Close a manager.

    Args:
        waiter: the task's place to wait at.
        shut: closes the sockets, and returns their channels.
        begin: starts to terminate the context, once nobody waits on a socket any more.
        ended: whether that is done.
        give_up: called when whoever waits is interrupted or cancelled.
        deadline: the total time.
    """
    nap = 0.001
    try:
        leaving = shut()
        while not all(channel.released for channel in leaving) and deadline.left():
            yield Wait((), nap)
        begin()
        while not ended() and (left := deadline.left()):
            yield Wait((), min(nap, left))
            nap = min(nap * 2, 0.02)
    except BaseException:
        give_up()
        raise


def drive(backend: Backend, steps: Callable[[Wakeable], Steps[T]]) -> T:
    """Run `steps(waiter)` to its end; return what it returns."""
    waiter = backend.waiter()
    running = steps(waiter)
    try:
        while True:
            waiter.wait(*next(running))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        running.close()
        waiter.close()


def drive_each(
    backend: Backend, steps: Callable[[Wakeable], Generator[Wait | T, None, None]]
) -> Generator[T, None, None]:
    """Run `steps(waiter)`; yield all that it yields but its waits."""
    waiter = backend.waiter()
    running = steps(waiter)
    try:
        for step in running:
            if isinstance(step, Wait):
                waiter.wait(*step)
            else:
                yield step
    finally:
        running.close()
        waiter.close()


async def drive_async(backend: AsyncBackend, steps: Callable[[Wakeable], Steps[T]]) -> T:
    """As `drive`, awaited."""
    waiter = backend.waiter()
    running = steps(waiter)
    try:
        while True:
            await waiter.wait(*next(running))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        running.close()
        waiter.close()


async def drive_each_async(
    backend: AsyncBackend, steps: Callable[[Wakeable], Generator[Wait | T, None, None]]
) -> AsyncGenerator[T, None]:
    """As `drive_each`, awaited."""
    waiter = backend.waiter()
    running = steps(waiter)
    try:
        for step in running:
            if isinstance(step, Wait):
                await waiter.wait(*step)
            else:
                yield step
    finally:
        running.close()
        waiter.close()
