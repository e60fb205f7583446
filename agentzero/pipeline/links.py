"""The sockets of a worker, and the threads that listen at them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import zmq

from agentzero import SocketManager
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    ManagerClosed,
    SocketClosed,
    SocketNotFound,
    SocketTimeout,
)
from agentzero.pipeline.addresses import bindable, local_host_towards, reachable
from agentzero.pipeline.wire import Join, Order, Refused, Result, Results, Welcome
from agentzero.serializers import Serializer, resolve
from agentzero.util import extract_hostname_from_tcp_address

__all__ = ["Links"]

logger: Final = logging.getLogger("agentzero.pipeline")

PATIENCE = 2.0  # seconds until an unanswered question is asked again
PAUSE = 1.0  # seconds after an answer that is no use
TELLING = 30.0  # seconds between two log lines of one who waits

# What may be queued while the pipeline is busy, in messages: events that have no room are dropped,
# results are kept.
SOCKETS = (("pipeline", zmq.DEALER, 10), ("results", zmq.PUSH, 100), ("events", zmq.XPUB, 10_000))

# Two of these for each job: where nobody listens, writing them would be half of its cost.
OPTIONAL = ("started", "success")

CLOSED = (SocketClosed, SocketNotFound, ManagerClosed)

Hear: TypeAlias = Callable[[Welcome | Order | Exception], None]


class Links:
    """How a worker speaks to its pipeline, and hears of it.

    Args:
        worker: its id.
        reply_address: where the pipeline answers questions.
        bind: where to pull orders, as for `Worker`.
        serializer: of everything.
        hear: called, in threads of its own, with each welcome of the pipeline (a new one each time
            that it was reached anew), each order, and what makes any of that impossible.

    Attributes:
        worker: as given.
        address: where it pulls orders, as the pipeline can reach it; "" until it does.
        serializer: as given, or what stands for that.
    """

    def __init__(
        self,
        worker: str,
        reply_address: str,
        bind: str | None,
        serializer: Serializer | str | None,
        hear: Hear,
    ) -> None:
        self.worker = worker
        self.address: str = ""
        self.serializer: Serializer = resolve(serializer)
        self._sockets = SocketManager(serialization_backend=self.serializer, linger=1)
        self._reply_address = reply_address
        self._bind = bind
        self._hear = hear
        self._told = -math.inf
        self._unheard: set[str] = set()
        self._connected: list[tuple[str, str]] = []

    def open(self) -> None:
        """Begin to look for the pipeline."""
        sockets = self._sockets
        for name, kind, queued in SOCKETS:
            sockets.create(name, kind)
            sockets.set_socket_option(name, zmq.SNDHWM, queued)
            # Nothing waits in a queue for a pipeline that is not there: it would come too late, and
            # again and again.
            sockets.set_socket_option(name, zmq.IMMEDIATE, 1)
        sockets.connect("pipeline", self._reply_address)
        self._listen(self._join)

    def close(self) -> None:
        """Close the sockets; what is unsent may take a second."""
        self._sockets.close_all()

    # To the pipeline

    def follow(self, welcome: Welcome) -> None:
        """Connect to where the pipeline is; begin to listen for orders.

        Raises:
            AgentZeroSocketError: an address is of no use.
        """
        host = extract_hostname_from_tcp_address(self._reply_address) or "127.0.0.1"
        addresses = [("events", welcome.events), ("results", welcome.results)]
        connected = [(name, reachable(address, host)) for name, address in addresses]
        for name, address in self._connected:
            if (name, address) not in connected:
                self._sockets.disconnect(name, address)
        for name, address in connected:
            if (name, address) not in self._connected:
                self._sockets.connect(name, address)
        self._connected = connected
        if not self.address:
            self._bind_orders()

    def _bind_orders(self) -> None:
        host = local_host_towards(self._reply_address)
        address = bindable(self._bind, host, self.worker)
        self._sockets.ensure_and_bind("orders", zmq.PULL, address)
        self.address = reachable(self._sockets.endpoints("orders")[0], host)
        self._listen(self._take_orders)

    def send(self, results: list[Result]) -> bool:
        """Send results; return False where there is no room, or no connection, now."""
        # Asked first: results may be large, and a pipeline away for long.
        if not self._sockets.ready("results", zmq.POLLOUT, 0):
            return False
        return self._sockets.send_safe("results", Results(self.worker, results), timeout=0)

    def log_handler(self) -> logging.Handler:
        """Return what publishes log records."""
        return self._sockets.get_log_handler("events")

    def publish(self, topic: str, event: object) -> None:
        """Publish an event, if somebody listens, and it can be done at once."""
        if topic not in self._unheard:
            self._sockets.publish_nowait("events", topic, event)

    def look_around(self) -> None:
        """Find out whether somebody listens."""
        self._unheard = {topic for topic in OPTIONAL if not self._is_heard(topic)}

    def _is_heard(self, topic: str) -> bool:
        try:
            self._sockets.wait_for_subscribers("events", topic, timeout=0)
        except SocketTimeout:
            return False
        return True

    # From the pipeline, in threads

    def _listen(self, heard: Callable[[], None]) -> None:
        threading.Thread(target=self._until_closed, args=(heard,), daemon=True).start()

    def _until_closed(self, heard: Callable[[], None]) -> None:
        try:
            heard()
        except CLOSED:
            return
        except Exception as error:
            self._hear(error)

    def _join(self) -> None:
        for event in self._sockets.connection_events("pipeline"):
            if event.kind == "connected":
                self._hear(self._welcome())
            else:
                self._tell(f"{event.kind}: {event.reason}" if event.reason else event.kind)

    def _welcome(self) -> Welcome:
        while True:
            try:
                reply = self._sockets.request("pipeline", Join(), PATIENCE, type=Welcome | Refused)
            except CLOSED:
                raise
            except AgentZeroSocketError as error:
                self._tell(str(error))
                if not isinstance(error, SocketTimeout):
                    time.sleep(PAUSE)
            else:
                if isinstance(reply, Welcome):
                    return reply
                self._tell(reply.error.get("message", ""))
                time.sleep(PAUSE)

    def _tell(self, why: str) -> None:
        if time.monotonic() - self._told > TELLING:
            self._told = time.monotonic()
            logger.warning("waiting for the pipeline at %s (%s)", self._reply_address, why)

    def _take_orders(self) -> None:
        while True:
            try:
                self._hear(self._sockets.recv("orders", math.inf, type=Order))
            except DeserializationError as error:
                logger.error("%s", error)
