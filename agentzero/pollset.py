"""What `engage` polls, and which of it has to be looked at.

Where the system has epoll, a round costs what its changes cost, however many sockets there are: a
socket that was idle when it was looked at is left alone until its mailbox moves. Left out of that
are REQ and REP, and sockets of others, which may become ready without it.
"""

from __future__ import annotations

import math
import select
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from time import monotonic

import zmq

from agentzero.backends.base import AsyncBackend, Backend, Wakeable
from agentzero.channel import Channel

__all__ = ["PollSet"]

# How often, in seconds, every socket is looked at although nothing tells that it has changed.
LOOK_AT_ALL = 1.0

# Their own sending and receiving makes them ready, which moves no mailbox.
STATEFUL = (zmq.REQ, zmq.REP)


class Sockets:
    """Where nothing can tell what has changed: backends watch the sockets themselves."""

    exposed = True

    def __init__(self) -> None:
        self.fds: tuple[int, ...] = ()

    def add(self, fd: int) -> bool:
        self.fds += (fd,)
        return False

    def remove(self, fd: int) -> None:
        self.fds = tuple(other for other in self.fds if other != fd)

    def changed(self) -> Iterable[int]:
        return ()

    def close(self) -> None:
        self.fds = ()


class Mailboxes:
    """Which mailboxes have been written to or emptied since they were asked for last.

    libzmq empties the mailbox of a socket in every operation on it, and so eats the edge that
    others wait for. An edge-triggered epoll that asks for "writable" too, which a mailbox always
    is, tells of each change of the file descriptor, also of one that is already over: see epoll(7)
    and, in Linux, fs/eventfd.c.
    """

    exposed = False

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._events = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
        self.fds: tuple[int, ...] = (self._epoll.fileno(),)

    def add(self, fd: int) -> bool:
        """Return whether changes of `fd` will be told."""
        try:
            self._epoll.register(fd, self._events)
        except OSError:  # two objects of one socket, one closed meanwhile, too many in the system
            return False
        return True

    def remove(self, fd: int) -> None:
        # Its owner has closed it, and its number may be anything by now: this very epoll, a file.
        with suppress(OSError):
            self._epoll.unregister(fd)

    def changed(self) -> Iterable[int]:
        return [fd for fd, _ in self._epoll.poll(0)]

    def close(self) -> None:
        self.fds = ()
        self._epoll.close()


def _new_changes() -> Sockets | Mailboxes:
    try:
        return Mailboxes() if hasattr(select, "epoll") else Sockets()
    except OSError:  # no file descriptor is left
        return Sockets()


class PollSet:
    """The sockets that a manager polls, each with its mask; any task may use it.

    Its lock may be taken again by a signal handler, so that whatever is gone through is a copy.

    Args:
        backend: what the manager waits with.
    """

    def __init__(self, backend: Backend | AsyncBackend) -> None:
        self._lock = backend.lock()
        self._forget = backend.forget
        self._turn_every = backend.turn_every
        self._rounds = 0
        self._masks: dict[Channel, int] = {}
        self._by_fd: dict[int, Channel] = {}
        self._restless: set[Channel] = set()  # to be looked at in every round
        self._due: dict[Channel, int] = {}  # to be looked at, and since which event
        self._events = count()
        self._look_at_all = 0.0
        self._waiting: dict[Wakeable, set[Channel]] = {}  # who waits, and what it has lost
        self._changes: Mailboxes | Sockets | None = None
        self._inherited: Mailboxes | Sockets | None = None

    def __len__(self) -> int:
        return len(self._masks)

    @property
    def fds(self) -> tuple[int, ...]:
        """Any of these is readable when something may have changed."""
        return self._changes.fds if self._changes is not None else ()

    def register(self, channel: Channel, mask: int, *, foreign: bool = False) -> None:
        """Poll `channel` for `mask` from now on; a foreign one is used behind our back."""
        with self._lock:
            if self._changes is None:
                self._changes = _new_changes()
            if channel not in self._masks:
                untold = [fd for fd in channel.fds if not self._add(fd, channel, self._changes)]
                if untold or foreign or channel.kind in STATEFUL:
                    self._restless.add(channel)
                channel.when_used = self.touch
            self._masks[channel] = mask
            self.touch(channel)
        if channel.closed:  # by another task, just now
            self.discard(channel)

    def _add(self, fd: int, channel: Channel, changes: Mailboxes | Sockets) -> bool:
        self._by_fd[fd] = channel
        return changes.add(fd)

    def touch(self, channel: Channel) -> None:
        """Have `channel` looked at: what was done to it may have made it ready."""
        with self._lock:
            if channel in self._masks:
                self._mark([channel])

    def discard(self, channel: Channel, knowing: Wakeable | None = None) -> None:
        """Poll `channel`, which was closed, no more; tell all who wait but `knowing`."""
        with self._lock:
            if channel not in self._masks:
                return
            for waiter, lost in list(self._waiting.items()):
                if waiter is not knowing:
                    lost.add(channel)
                    waiter.wake()
            for fd in channel.fds:
                self._remove(fd, channel)
            self._due.pop(channel, None)
            self._restless.discard(channel)
            channel.when_used = None
            self._masks.pop(channel, None)  # at last: interrupted, it can be repeated

    def _remove(self, fd: int, channel: Channel) -> None:
        if self._changes is None or self._by_fd.get(fd) is not channel:
            return
        del self._by_fd[fd]
        self._changes.remove(fd)
        if self._changes.exposed:
            self._forget(fd)

    def close(self) -> None:
        """Poll nothing any more."""
        with self._lock:
            for channel in list(self._masks):
                self.discard(channel)
            self._release()

    def _release(self) -> None:
        # Some event loops abort the process when what they watch is closed.
        if self._changes is not None and not self._masks and not self._waiting:
            changes, self._changes = self._changes, None
            for fd in changes.fds:
                self._forget(fd)
            changes.close()

    def inherit(self, backend: Backend | AsyncBackend) -> None:
        """Poll nothing any more in a forked process: the epoll is its parent's as well."""
        self._lock = backend.lock()
        self._inherited, self._changes = self._changes, None  # not closed: somebody may watch it
        for lost in self._waiting.values():
            lost.update(self._masks)
        for books in (self._masks, self._by_fd, self._due, self._restless):
            books.clear()

    # Rounds

    def take_turn(self) -> bool:
        """Return whether other tasks are due a turn, which the caller then gives them."""
        self._rounds += 1
        return bool(self._turn_every) and not self._rounds % self._turn_every

    def enter(self, waiter: Wakeable) -> None:
        """Until it leaves, wake `waiter` when another task sees a change or closes a socket."""
        with self._lock:
            self._waiting[waiter] = set()

    def leave(self, waiter: Wakeable) -> None:
        """Undo `enter`."""
        with self._lock:
            self._waiting.pop(waiter, None)
            self._release()

    def lost(self, waiter: Wakeable) -> set[Channel]:
        """Return what was discarded since `waiter` entered."""
        return self._waiting[waiter]

    def rest(self) -> float:
        """Return in how many seconds everything is looked at again."""
        return max(0.0, self._look_at_all - monotonic()) if self._masks else math.inf

    def due(self, waiter: Wakeable) -> list[tuple[Channel, int, int]]:
        """Return what has to be looked at: channel, mask, and what to tell `settle`."""
        with self._lock:
            try:
                self._collect(waiter)
            except BaseException:  # a signal handler's: what was told once is not told again
                self._look_at_all = 0.0
                raise
            return [
                (channel, mask, since)
                for channel, since in list(self._due.items())
                if (mask := self._masks.get(channel)) is not None
            ]

    def _collect(self, waiter: Wakeable) -> None:
        changed = self._changes.changed() if self._changes is not None else ()
        if channels := [self._by_fd[fd] for fd in changed if fd in self._by_fd]:
            self._mark(channels, waiter)
        now, unasked = monotonic(), set(self._restless)
        if now >= self._look_at_all:
            self._look_at_all, unasked = now + LOOK_AT_ALL, set(self._masks)
        for channel in unasked.difference(self._due):
            self._due[channel] = next(self._events)

    def settle(self, channel: Channel, since: int) -> None:
        """Leave `channel`, which was idle when looked at, alone until it changes."""
        with self._lock:
            if self._due.get(channel) == since:
                del self._due[channel]

    def _mark(self, channels: Iterable[Channel], waiter: Wakeable | None = None) -> None:
        for channel in channels:
            self._due[channel] = next(self._events)
        # It is over for them too: an edge is seen once.
        for other in list(self._waiting):
            if other is not waiter:
                other.wake()
