"""One named socket: its lock, its counters, its waiters, and attempts that never wait.

An attempt returns None where libzmq says "again"; `steps.py` does the waiting. Every method that
touches the socket holds the lock while it does, so any thread may call any of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from operator import attrgetter
from typing import Any, Never, TypeAlias, TypeVar, cast

import zmq
from zmq.backend import Socket as RawSocket

from agentzero.backends.base import Lock, Wakeable
from agentzero.errors import AgentZeroSocketError, PeerUnreachable, SocketClosed
from agentzero.events import SocketStats
from agentzero.handed import Handed
from agentzero.serializers import Serializer

__all__ = ["Channel", "Message", "RouterChannel", "Views"]

T = TypeVar("T")

# A message of one frame, or the frames of one that has several.
Message: TypeAlias = bytes | list[bytes]
Views: TypeAlias = memoryview | list[memoryview]

POLLIN = int(zmq.POLLIN)
POLLOUT = int(zmq.POLLOUT)
NOBLOCK = int(zmq.NOBLOCK)
SNDMORE = int(zmq.SNDMORE) | NOBLOCK
EVENTS = int(zmq.EVENTS)
RCVMORE = int(zmq.RCVMORE)

NEVER = 2**62

WRONG_STATE = {
    zmq.REQ: "a REQ socket sends and receives in turn",
    zmq.REP: "a REP socket receives and sends in turn",
}
ONE_WAY = {"send on": "only receives", "receive on": "only sends"}


def size(frames: Sequence[Any]) -> int:
    """Return the bytes of all frames."""
    return sum(memoryview(frame).nbytes for frame in frames)


as_bytes: Callable[[zmq.Frame], bytes] = attrgetter("bytes")


def as_view(frame: zmq.Frame) -> memoryview:
    """Return the memory of a frame itself; read-only, as others of this process may share it."""
    return frame.buffer.toreadonly()


def may_open_files() -> bool:
    """Return whether the process may open another file; without, libzmq's unbind aborts it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def refuse(*_: object) -> Never:
    """Stand in for the methods of a socket that is closed."""
    raise zmq.ZMQError(zmq.ENOTSOCK)


def end_thread(*_: object) -> Never:
    """Stand in for the methods of a socket that the end of the process closed."""
    if threading.current_thread() is threading.main_thread():
        refuse()
    raise SystemExit


class Channel:
    """One socket, shared by any number of tasks.

    Args:
        name: what its manager calls it.
        socket: a pyzmq socket of any flavour.
        lock: held around each attempt, never while waiting.
        serializer: what its messages are written and read with.
        turn_every: after how many messages or KiB an attempt says "again" although it need not,
            so that other tasks have a turn; 0 for never.
        forget: called with each fd of the socket just before it is closed.
        curve: its keys, where it has any.
    """

    __slots__ = (
        "__weakref__", "_attending", "_get", "_in_message", "_quiet", "_recv", "_send",
        "_turn_due", "_turn_every", "_turn_in", "_waiters", "closed", "curve", "dropped",
        "endpoints", "fds", "forget", "kind", "late", "lock", "monitor", "name", "received",
        "received_bytes", "requests", "sent", "sent_bytes", "serializer", "socket", "timeouts",
        "topics", "undecodable", "when_used",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        socket: Any,
        lock: Lock,
        serializer: Serializer,
        turn_every: int = 0,
        forget: Callable[[int], object] | None = None,
        curve: Any = None,
    ) -> None:
        self.name: str = name
        self.socket: Any = socket
        self.lock: Lock = lock
        self.serializer: Serializer = serializer
        self.forget: Callable[[int], object] | None = forget
        self.curve: Any = curve
        self.when_used: Callable[[Channel], object] | None = None
        # The base class's own methods: a flavour's override would wait, or look at watchers of
        # its own after each message, and its socket is handed out all the same.
        self._send: Callable[..., Any] = RawSocket.send.__get__(socket)
        self._recv: Callable[..., Any] = RawSocket.recv.__get__(socket)
        self._get: Callable[..., Any] = RawSocket.get.__get__(socket)
        self.kind: zmq.SocketType = zmq.SocketType(self._get(zmq.TYPE))
        self.fds: tuple[int, ...] = (self._get(zmq.FD),)
        self.endpoints: list[Any] = []
        self.topics: set[bytes] = set()
        self.requests: Any = None  # those that wait for replies, see asking.py
        self.monitor: Any = None  # tells of its connections, see monitor.py
        self.closed: bool = False
        if isinstance(socket, Handed):
            socket.guard = lock
        self._waiters: dict[Wakeable, int] = {}  # who is to be woken, and for what
        self._attending: set[Wakeable] = set()  # who waits, woken already or not
        self._in_message = False
        self._quiet = False
        self._turn_every = turn_every or NEVER
        self._turn_in = self._turn_every
        self._turn_due = False
        self.sent: int = 0
        self.sent_bytes: int = 0
        self.received: int = 0
        self.received_bytes: int = 0
        self.timeouts: int = 0
        self.undecodable: int = 0
        self.late: int = 0
        self.dropped: int = 0

    def __str__(self) -> str:
        where = ", ".join(str(endpoint) for endpoint in self.endpoints) or "no endpoints"
        return f"socket {self.name!r} ({self.kind.name}, {where})"

    def receive_with(self, recv: Callable[..., Any], get: Callable[..., Any]) -> None:
        """Have these stand between the socket and whoever receives."""
        self._recv, self._get = recv, get

    def told(self) -> str:
        """Return in words what its connections last did, as the end of a sentence."""
        monitor = None if self.closed else self.monitor
        words = "" if monitor is None or monitor.closed else monitor.told(self.endpoints)
        told = f": {words}" if words else ""
        return f"{told}; no topic is set" if self.kind == zmq.SUB and not self.topics else told

    def unheard(self) -> AbstractContextManager[Any]:
        """Return what keeps others from hearing of a connection before it is in the books."""
        return nullcontext() if self.monitor is None else self.monitor.unheard()

    def forget_connections(self, addresses: Iterable[str], *, anew: bool = False) -> None:
        """Tell nothing any more of connections that were let go of, to be made `anew` or not."""
        for address in addresses if self.monitor is not None else ():
            self.monitor.forget(address, anew=anew)

    # Attempts

    def try_send(self, frame: bytes) -> bool | None:
        """Queue a message of one frame; return True, or None for "again"."""
        with self.lock:
            if self._in_message or self._turn_due:
                return None
            try:
                self._send(frame, NOBLOCK)
            except zmq.ZMQError as error:
                self._again(error, "send on")
                return None
            self.sent += 1
            self.sent_bytes += (moved := len(frame))
            self._turn_in -= 1 + (moved >> 10)
            if self._waiters or self._turn_in < 0:
                self._settle()
            return True

    def try_send_frames(self, frames: Sequence[Any]) -> bool | None:
        """Queue a message of several frames, whole or not at all; return True, or None."""
        with self.lock:
            if self._in_message or self._turn_due:
                return None
            self._in_message = True
            try:
                self._send_frames(frames)
            except zmq.ZMQError as error:
                self._again(error, "send on")
                return None
            finally:
                self._in_message = False
            self.sent += 1
            self.sent_bytes += (moved := size(frames))
            self._turn_in -= 1 + (moved >> 10)
            if self._waiters or self._turn_in < 0:
                self._settle()
            return True

    def try_send_now(self, frames: Sequence[Any]) -> bool | None:
        """As `try_send_frames`, for who cannot give others a turn: the next one does."""
        with self.lock:
            due, self._turn_due = self._turn_due, False
            try:
                return self.try_send_frames(frames)
            finally:
                self._turn_due = self._turn_due or due

    def _send_frames(self, frames: Sequence[Any]) -> None:
        interrupted: BaseException | None = None
        last = len(frames) - 1
        for number, frame in enumerate(frames):
            try:
                self._send(frame, NOBLOCK if number == last else SNDMORE)
            except zmq.ZMQError:
                if 0 < number < last:
                    self._end_dropping()
                if interrupted is None:
                    raise
                break
            except BaseException as error:
                # Ctrl-C between two frames: the half message would swallow the next one.
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def _end_dropping(self) -> None:
        # The peer went in mid-message: libzmq drops what follows, up to a last frame.
        with suppress(zmq.ZMQError):
            self._send(b"", NOBLOCK)

    def try_recv(self, read: Callable[[zmq.Frame], Any] = as_bytes) -> Message | None:
        """Take a message; return its frame, or a list where it has several, or None for "again".

        Where the last one had to be waited for, None comes unasked: `attempt_or_arm` asks first,
        which costs a third of an attempt in vain.
        """
        with self.lock:
            if self._in_message or self._quiet or self._turn_due:
                return None
            try:
                frame = self._recv(NOBLOCK, False)
                message: Message = self._with_rest(frame, read) if frame.more else read(frame)
            except zmq.ZMQError as error:
                self._again(error, "receive on")
                return None
            except BaseException:
                # Ctrl-C between two frames: the rest would be read as the next message.
                self._drop_rest()
                if self._waiters:
                    self._pass_on()
                raise
            moved = size(message) if type(message) is list else len(message)
            self.received += 1
            self.received_bytes += moved
            self._turn_in -= 1 + (moved >> 10)
            if self._waiters or self._turn_in < 0:
                self._settle()
            return message

    def try_recv_views(self) -> Views | None:
        """As `try_recv`, but return views of the memory that the frames arrived in."""
        return cast("Views | None", self.try_recv(as_view))

    def try_recv_into(self, kept: list[zmq.Frame]) -> bool | None:
        """As `try_recv`, but put the frames into `kept`, from where Ctrl-C cannot take them.

        Return True once a message is there whole, which one may be that was left there before.
        """
        with self.lock:
            if kept and not kept[-1].more:
                return True
            if self._in_message or self._quiet or self._turn_due:
                return None
            try:
                self._take_frames(kept)
            except zmq.ZMQError as error:
                self._again(error, "receive on")
                return None
            self.received += 1
            self.received_bytes += (moved := size(kept))
            self._turn_in -= 1 + (moved >> 10)
            if self._waiters or self._turn_in < 0:
                self._settle()
            return True

    def _take_frames(self, kept: list[zmq.Frame]) -> None:
        try:
            while not kept or kept[-1].more:
                # All of it in C: between two steps of Python, a frame could get lost.
                kept.extend(map(self._recv, (NOBLOCK,), (False,)))
        except zmq.ZMQError:
            raise
        except BaseException:
            self._complete(kept)
            raise

    def _complete(self, kept: list[zmq.Frame]) -> None:
        """Take the rest of a message that was interrupted; pyzmq may have lost a frame of it."""
        if not kept:
            self._drop_rest()
        while kept and kept[-1].more:
            if not self._get(RCVMORE):  # its last frame
                kept.clear()
                return
            kept.extend(map(self._recv, (NOBLOCK,), (False,)))

    def _settle(self) -> None:
        if self._turn_in < 0:
            self._turn_in, self._turn_due = self._turn_every, True
        if self._waiters:
            self._pass_on()

    def take_turn(self) -> bool:
        """Return whether other tasks are due a turn, which the caller then gives them."""
        due, self._turn_due = self._turn_due, False
        return due

    def _with_rest(self, frame: zmq.Frame, read: Callable[[zmq.Frame], T]) -> list[T]:
        self._in_message = True
        try:
            frames = [frame]
            while frames[-1].more:
                frames.append(self._recv(NOBLOCK, False))
            return [read(frame) for frame in frames]
        finally:
            self._in_message = False

    def _drop_rest(self) -> None:
        while self._get(RCVMORE):
            self._recv(NOBLOCK)

    def _again(self, error: zmq.ZMQError, doing: str) -> None:
        # What fails has eaten the edge all the same.
        if self._waiters and not self.gone(error):
            self._pass_on()
        if not isinstance(error, zmq.Again):
            raise self.explained(error, doing) from error

    @staticmethod
    def gone(error: zmq.ZMQError) -> bool:
        """Return whether `error` says that the socket, or its context, is closed."""
        return error.errno in (zmq.ENOTSOCK, zmq.ETERM)

    def explained(self, error: zmq.ZMQError, doing: str) -> AgentZeroSocketError:
        """Return what `error` means on this socket, in the words of this library."""
        if self.gone(error):
            return SocketClosed(f"{self} was closed")
        if error.errno == zmq.EHOSTUNREACH:
            return PeerUnreachable(f"no connected peer of {self} has that identity")
        cause = error.strerror
        if error.errno == zmq.EFSM:
            cause = WRONG_STATE.get(self.kind, cause)
        elif error.errno == zmq.ENOTSUP and doing in ONE_WAY:
            cause = f"a {self.kind.name} socket {ONE_WAY[doing]}"
        return AgentZeroSocketError(f"cannot {doing} {self}: {cause}")

    @contextmanager
    def using(self) -> Iterator[Any]:
        """Give the socket for anything else that is done to it, such as a bind."""
        with self.lock:
            if self.closed:
                raise SocketClosed(f"{self} was closed")
            try:
                yield self.socket
            finally:
                if self._waiters:
                    self._pass_on()
                if self.when_used is not None:
                    self.when_used(self)

    def tend(self) -> None:
        """Let libzmq do what it was told to: it does so while somebody works on the socket."""
        with self.using():
            if self.is_ours:
                self._events()

    @property
    def is_ours(self) -> bool:
        """Whether messages go by verbs alone; else it may be in use by hand at this very moment."""
        moved = self.sent or self.received or self.timeouts or self.requests or self._attending
        return bool(moved) and not getattr(self.socket, "by_hand", True)

    # Waiting

    def ready(self, mask: int) -> int:
        """Return those bits of `mask` (zmq.POLLIN, zmq.POLLOUT) that are ready now."""
        with self.lock:
            self._turn_in -= 1
            if self._turn_in < 0:
                self._settle()
            return self._events() & mask

    def attempt(self, attempt: Callable[[], T], waiter: Wakeable) -> T:
        """Return what `attempt` gives for a waiter that was woken."""
        with self.lock:
            self._waiters.pop(waiter, None)
            quiet, self._quiet, self._turn_due = self._quiet, False, False
            result = attempt()
            self._quiet = quiet
            return result

    def attempt_or_arm(self, attempt: Callable[[], T], mask: int, waiter: Wakeable) -> T | None:
        """Return what `attempt` gives; where that is None, leave word to wake `waiter`.

        Both under one hold of the lock, or what arrives between them would wake nobody.

        Raises:
            SocketClosed: the socket is closed.
        """
        with self.lock:
            self._waiters.pop(waiter, None)
            self._quiet = self._turn_due = False
            events = self._events()
            if events & mask and (result := attempt()) is not None:
                return result
            # POLLOUT is on, and yet there is no room: of a ROUTER for the peer in question, of an
            # XPUB that may not drop. To be woken by it would be to be woken for ever.
            self._arm(waiter, mask & ~events)
            self._quiet = bool(mask & POLLIN)
            return None

    def ready_or_arm(self, mask: int, waiter: Wakeable) -> int:
        """Return the ready bits of `mask`; where there are none, leave word to wake `waiter`."""
        with self.lock:
            self._waiters.pop(waiter, None)
            events = self._events() & mask
            if not events:
                self._arm(waiter, mask)
            return events

    def attend(self, waiter: Wakeable) -> tuple[int, ...]:
        """Let libzmq do what it was told to; return the fds that tell of more, none where closed.

        `waiter` is woken when the socket is closed.
        """
        try:
            self.ready_or_arm(0, waiter)
        except SocketClosed:
            self.disarm(waiter)
            return ()
        return self.fds

    def is_blind(self, waiter: Wakeable) -> bool:
        """Return whether nothing tells that `waiter` can go on, so that it has to ask."""
        return self._waiters.get(waiter) == 0

    def disarm(self, waiter: Wakeable) -> None:
        """Forget `waiter`, and let another go on if there is something left to do.

        Of a closed channel, the last to leave closes the socket: some event loops abort the process
        when what they watch is closed.
        """
        if not self._waiters and waiter not in self._attending:
            return
        with self.lock:
            self._attending.discard(waiter)
            self._waiters.pop(waiter, None)
            if self.closed and not self._attending:
                self._release()
            elif self._waiters:
                self._pass_on()

    def _arm(self, waiter: Wakeable, mask: int) -> None:
        if self._waiters:
            self._pass_on()
        self._attending.add(waiter)
        self._waiters[waiter] = mask

    def _events(self) -> int:
        try:
            events: int = self._get(EVENTS)
        except zmq.ZMQError as error:
            raise self.explained(error, "poll") from error
        return events

    def _pass_on(self) -> None:
        # Every operation may have eaten the one edge that the others wait for.
        events = self._events()
        for waiter, mask in list(self._waiters.items()):
            if events & mask and self._waiters.pop(waiter, None) is not None:
                waiter.wake()
                events &= ~mask

    def close(self) -> None:
        """Close the socket and wake its waiters: they get SocketClosed. Twice is harmless."""
        with self.lock:
            if not self.closed:
                self.closed = True
                self._send = self._recv = self._get = refuse
            for waiter in self._waiters:
                waiter.wake()
            self._waiters.clear()
            if not self.socket.closed and not self._may_hold_messages:
                self._free_addresses()
            if not self._attending:
                self._release()

    @property
    def _may_hold_messages(self) -> bool:
        # libzmq drops what the peers of an address are still to be sent where it is unbound.
        return bool(self.sent) or getattr(self.socket, "by_hand", True)

    def _free_addresses(self) -> None:
        # The socket itself lives on until its waiters have left, and libzmq's reaper comes by.
        for endpoint in self.endpoints:
            if endpoint.bound and may_open_files():
                with suppress(zmq.ZMQError):
                    self.socket.unbind(endpoint.address)

    def _release(self) -> None:
        self._unwatch()
        if not self.socket.closed:  # or the numbers may be another's by now
            for fd in self.fds:
                if self.forget is not None:
                    self.forget(fd)
            self.socket.close()

    def _unwatch(self) -> None:
        # Before the socket: a monitor that goes first blocks libzmq.
        if self.monitor is not None:
            self.monitor.close(self.socket)

    def inherit(self, lock: Lock) -> None:
        """Refuse all work in a forked process, where the parent's socket does not work."""
        self.lock = lock
        self.closed = True
        self._send = self._recv = self._get = refuse
        self._waiters.clear()
        self._attending.clear()
        if self.monitor is not None:
            self.monitor.inherit(lock)

    @property
    def released(self) -> bool:
        """Whether it is closed, and all who waited have left."""
        return self.closed and not self._attending

    def abandon(self) -> None:
        """Close the socket at the exit; daemon threads that wait on it end without a word."""
        with self.lock:
            self.closed = True
            self._send = self._recv = self._get = end_thread
            self._waiters.clear()
            self._unwatch()
            self.socket.close()

    # Counters

    def count(self, counter: str, by: int = 1) -> None:
        """Add to one of the counters that `stats` shows."""
        with self.lock:
            setattr(self, counter, getattr(self, counter) + by)

    def stats(self) -> SocketStats:
        """Return the counters as they are now."""
        with self.lock:
            return SocketStats(**{name: getattr(self, name) for name in SocketStats.__slots__})


class RouterChannel(Channel):
    """A ROUTER, where whatever is sent names its receiver."""

    __slots__ = ()

    def try_send(self, frame: bytes) -> bool | None:
        """Refuse: libzmq would take the frame for an identity, and drop it without a word."""
        raise AgentZeroSocketError(f"{self} sends with send_to, which names the receiver")
