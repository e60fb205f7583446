"""What `engage` polls, and which of it has to be looked at.

Where the system has epoll, a round costs what its changes cost, however many sockets there are: a
socket that was idle when it was looked at is left alone until its mailbox moves.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator
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


class Everything:
    """Where nothing can tell what has changed, everything may have."""

    def __init__(self) -> None:
        self.fds: tuple[int, ...] = ()

    def add(self, fd: int) -> None:
        self.fds += (fd,)

    def remove(self, fd: int) -> None:
        self.fds = tuple(other for other in self.fds if other != fd)

    def changed(self) -> Iterable[int]:
        return self.fds

    def close(self) -> None:
        self.fds = ()


class Mailboxes:
    """Which mailboxes have been written to or emptied since they were asked for last.

    libzmq empties the mailbox of a socket in every operation on it, and so eats the edge that
    others wait for. An edge-triggered epoll that asks for "writable" too, which a mailbox always
    is, tells of each change of the file descriptor, also of one that is already over: see epoll(7)
    and, in Linux, fs/eventfd.c.
    """

    EDGES = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLOUT", 0)

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.fds: tuple[int, ...] = (self._epoll.fileno(),)

    def add(self, fd: int) -> None:
        with suppress(OSError):  # two objects of one socket, or one that was closed meanwhile
            self._epoll.register(fd, self.EDGES | select.EPOLLET)

    def remove(self, fd: int) -> None:
        with suppress(OSError):  # its owner has closed it
            self._epoll.unregister(fd)

    def changed(self) -> Iterable[int]:
        return [fd for fd, _ in self._epoll.poll(0)]

    def close(self) -> None:
        self.fds = ()
        self._epoll.close()


class PollSet:
    """The sockets that a manager polls, each with its mask; any task may use it.

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
        self._due: dict[Channel, int] = {}  # who has to be looked at, and since which event
        self._events = count()
        self._stateful: set[Channel] = set()
        self._look_at_all = 0.0
        self._waiting: dict[Wakeable, set[Channel]] = {}  # who waits, and what it has lost
        self._changes: Mailboxes | Everything | None = None

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._masks))

    @property
    def fds(self) -> tuple[int, ...]:
        """Any of these is readable when something may have changed."""
        return self._changes.fds if self._changes is not None else ()

    def register(self, channel: Channel, mask: int) -> None:
        """Poll `channel` for `mask` from now on."""
        with self._lock:
            if self._changes is None:
                self._changes = Mailboxes() if hasattr(select, "epoll") else Everything()
            if channel not in self._masks:
                for fd in channel.fds:
                    self._by_fd[fd] = channel
                    self._changes.add(fd)
            self._masks[channel] = mask
            if channel.kind in STATEFUL:
                self._stateful.add(channel)
            self._mark([channel])
        if channel.closed:  # by another task, just now
            self.discard(channel)

    def discard(self, channel: Channel) -> None:
        """Poll `channel`, which was closed, no more, and tell those who wait."""
        with self._lock:
            if channel not in self._masks:
                return
            for waiter, lost in self._waiting.items():
                lost.add(channel)
                waiter.wake()
            for fd in channel.fds:
                if self._by_fd.get(fd) is channel and self._changes is not None:
                    del self._by_fd[fd]
                    self._changes.remove(fd)
            self._due.pop(channel, None)
            self._stateful.discard(channel)
            del self._masks[channel]  # at last: interrupted, it can be repeated

    def close(self) -> None:
        """Poll nothing any more."""
        with self._lock:
            for channel in list(self._masks):
                self.discard(channel)
            self._release()

    def _release(self) -> None:
        # Some event loops abort the process when what they watch is closed.
        if self._changes is not None and not self._masks and not self._waiting:
            for fd in self._changes.fds:
                self._forget(fd)
            self._changes.close()
            self._changes = None

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

    def due(self, waiter: Wakeable) -> list[tuple[Channel, int, int]]:
        """Return what has to be looked at: channel, mask, and what to tell `settle`."""
        with self._lock:
            changed = self._changes.changed() if self._changes is not None else ()
            if now_due := [self._by_fd[fd] for fd in changed if fd in self._by_fd]:
                self._mark(now_due, waiter)
            self._mark_unasked()
            return [(channel, self._masks[channel], since) for channel, since in self._due.items()]

    def settle(self, channel: Channel, since: int) -> None:
        """Leave `channel`, which was idle when looked at, alone until it changes."""
        with self._lock:
            if self._due.get(channel) == since:
                del self._due[channel]

    def _mark(self, channels: Iterable[Channel], waiter: Wakeable | None = None) -> None:
        self._due.update((channel, next(self._events)) for channel in channels)
        # It is over for them too: an edge is seen once.
        for other in self._waiting:
            if other is not waiter:
                other.wake()

    def _mark_unasked(self) -> None:
        now, unasked = monotonic(), self._stateful
        if now >= self._look_at_all:
            self._look_at_all, unasked = now + LOOK_AT_ALL, set(self._masks)
        for channel in unasked.difference(self._due):
            self._due[channel] = next(self._events)
