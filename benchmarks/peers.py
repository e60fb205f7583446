"""Who is measured: what starts each peer, and what has to be installed for it."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple


class Peer(NamedTuple):
    """A library as one side of a conversation."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def missing(self) -> str:
        """Return why it cannot be measured here, or nothing."""
        for module in self.needs:
            try:
                import_module(module)
            except Exception as error:  # whatever an old library runs into with a new Python
                return str(error)
        return ""


BARE = Peer("bare pyzmq", ("peer_pyzmq.py", "zmq"))
GREEN = Peer("zmq.green", ("peer_pyzmq.py", "zmq.green"), ("gevent",))
ZMQ_ASYNCIO = Peer("zmq.asyncio", ("peer_zmq_asyncio.py", "asyncio"))
ZMQ_UVLOOP = Peer("zmq.asyncio, uvloop", ("peer_zmq_asyncio.py", "uvloop"), ("uvloop",))
AIOZMQ = Peer("aiozmq", ("peer_aiozmq.py",), ("aiozmq",))
PYNNG = Peer("pynng", ("peer_pynng.py",), ("pynng",))
THREADS = Peer("agentzero, threads", ("peer_agentzero.py", "threads"))
GEVENT = Peer("agentzero, gevent", ("peer_agentzero.py", "gevent"), ("gevent",))
ASYNCIO = Peer("agentzero, asyncio", ("peer_agentzero_async.py", "asyncio"))
UVLOOP = Peer("agentzero, uvloop", ("peer_agentzero_async.py", "uvloop"), ("uvloop",))
TRIO = Peer("agentzero, trio", ("peer_agentzero_async.py", "trio"), ("trio", "agentzero_trio"))

OTHERS = (BARE, GREEN, ZMQ_ASYNCIO, ZMQ_UVLOOP, AIOZMQ, PYNNG)
PEERS = (*OTHERS, THREADS, GEVENT, ASYNCIO, UVLOOP, TRIO)
