"""What keeps out the messages of a client whose key was revoked while its connection lives on.

libzmq cannot end one connection of several. So a `Screen` stands between a socket and its channel:
it receives in the channel's place, and drops what comes from those that are not admitted any more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import zmq
from zmq.backend import Socket as RawSocket

from agentzero.security import ServerKeys

__all__ = ["Screen", "is_subscription", "screened"]

NOBLOCK = int(zmq.NOBLOCK)
POLLIN = int(zmq.POLLIN)
RCVMORE = int(zmq.RCVMORE)
EVENTS = int(zmq.EVENTS)

# So many frames may be dropped at a stretch: whoever floods must not keep others from their turn.
AT_ONCE = 1000


def is_subscription(frame: zmq.Frame) -> bool:
    """Return whether an XPUB is told by `frame` that a subscription began or ended."""
    return not frame.more and frame.bytes[:1] in (b"\0", b"\1")


class Screen:
    """A socket's `recv` and `get` as its channel sees them: without the messages of the barred.

    A frame that was taken is held until it is handed out or dropped, and neither can be interrupted
    half-way. So a signal handler that raises costs no frame but one that pyzmq itself had in hand,
    and never is the rest of a message handed out whose beginning was dropped.

    Whoever calls it holds the channel's lock.

    Args:
        recv: the socket's own, called with flags and False, for a frame.
        get: the socket's own.
        keys: who is admitted.
        dropped: called for each message that was dropped.
        answer: called after that, where a socket has to answer before it can receive again.
        passes: tells by its first frame which message is handed out all the same.
    """

    __slots__ = (
        "_answer", "_doubtful", "_dropped", "_dropping", "_get", "_held", "_inside", "_keys",
        "_owing", "_passes", "_recv",
    )  # fmt: skip

    def __init__(
        self,
        recv: Callable[..., Any],
        get: Callable[[int], Any],
        keys: ServerKeys,
        dropped: Callable[[], object],
        answer: Callable[[], object] | None = None,
        passes: Callable[[zmq.Frame], bool] | None = None,
    ) -> None:
        self._recv = recv
        self._get = get
        self._keys = keys
        self._dropped = dropped
        self._answer = answer
        self._passes = passes
        self._held: list[zmq.Frame] = []  # taken, and neither handed out nor dropped: one, or none
        self._inside = False  # whether the frame before that was not the last of its message
        self._dropping = False  # whether that message is being dropped
        self._owing = False  # whether a dropped message is still to be told, and answered
        self._doubtful = False  # whether pyzmq may have taken a frame, and lost it

    def recv(self, flags: int = 0, copy: bool = True) -> Any:
        """Return the next frame of whoever is admitted, as bytes or, not copied, as zmq.Frame.

        Raises:
            zmq.Again: there is none, or none so far.
        """
        try:
            self._take(flags)
        except zmq.ZMQError:
            self._doubtful = False
            raise
        except BaseException:
            self._mend()
            raise
        # From here on nothing is called: only then would a signal handler be run.
        frame = self._held[0]
        self._inside = frame.more
        del self._held[0]
        return frame.bytes if copy else frame

    def get(self, option: int) -> Any:
        """Return an option of the socket; of the last frame and the next, as `recv` has them."""
        if option == RCVMORE:
            self._mend()
            return int(self._inside)
        value = self._get(option)
        return value | POLLIN if option == EVENTS and self._held else value

    def _take(self, flags: int) -> None:
        """Hold a frame to hand out."""
        dropped = 0
        if self._doubtful:
            self._reckon()
        while True:
            self._settle()
            if dropped >= AT_ONCE and not self._inside:
                raise zmq.Again
            self._hold(flags)
            if not self._is_barred():
                return
            self._drop()
            dropped += 1

    def _hold(self, flags: int) -> None:
        if not self._held:
            self._doubtful = True
            # All of it in C: between two steps of Python, the frame could get lost.
            self._held.extend(map(self._recv, (flags,), (False,)))
            self._doubtful = False

    def _is_barred(self) -> bool:
        if not self._inside:
            self._dropping = self._keys.revoked_any and self._bars(self._held[0])
        return self._dropping

    def _bars(self, frame: zmq.Frame) -> bool:
        try:
            user = str(frame.get("User-Id"))
        except zmq.ZMQError:
            return False  # it comes from within the process, or from libzmq itself
        return not (self._keys.admits(user) or (self._passes is not None and self._passes(frame)))

    def _drop(self) -> None:
        # Nothing is called: see `recv`.
        self._inside = self._held[0].more
        self._owing = not self._inside
        del self._held[0]

    def _settle(self) -> None:
        if self._owing:
            self._dropped()
            if self._answer is not None:
                with suppress(zmq.ZMQError):  # done before, and then interrupted
                    self._answer()
            self._owing = False

    def _mend(self) -> None:
        """Drop the rest of a message that is dropped, or whose first frame was lost."""
        if self._doubtful:
            self._reckon()
        while (self._held or self._inside) and self._is_barred():
            self._hold(NOBLOCK)
            self._drop()

    def _reckon(self) -> None:
        """Find out from libzmq where a signal, which pyzmq looks for in mid-air, has left us."""
        if not self._held:
            began, self._inside = self._inside, bool(self._get(RCVMORE))
            self._owing = self._owing or (began and self._dropping and not self._inside)
            self._dropping = self._dropping or not began
        self._doubtful = False


def screened(socket: zmq.Socket[Any], keys: ServerKeys, dropped: Callable[[], object]) -> Screen:
    """Return the screen for a socket that `keys.configure` made a server.

    A REP answers whom it drops with an empty message, as it can receive no more before. An XPUB
    tells of all subscriptions: that is what it publishes by, and their ends could come alone.
    """
    kind = socket.get(zmq.TYPE)
    send = RawSocket.send.__get__(socket)
    return Screen(
        RawSocket.recv.__get__(socket),
        RawSocket.get.__get__(socket),
        keys,
        dropped,
        answer=partial(send, b"", NOBLOCK) if kind == zmq.REP else None,
        passes=is_subscription if kind == zmq.XPUB else None,
    )
