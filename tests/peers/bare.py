"""Sockets of bare pyzmq under the names of a manager's verbs, as far as tests need them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import zmq

PATIENCE = 20.0


class Bare:
    """What a manager talks to that knows nothing of this library."""

    def __init__(self) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._sockets: dict[str, Any] = {}
        self._subscribed: set[bytes] = set()

    def create(self, name: str, kind: int) -> None:
        made = self._sockets[name] = self._context.socket(kind)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = int(PATIENCE * 1000)

    def ensure_and_bind(self, name: str, kind: int, address: str) -> None:
        self._ensure(name, kind).bind(address)

    def ensure_and_connect(self, name: str, kind: int, address: str) -> None:
        self._ensure(name, kind).connect(address)

    def _ensure(self, name: str, kind: int) -> Any:
        if name not in self._sockets:
            self.create(name, kind)
        return self._sockets[name]

    def set_socket_option(self, name: str, option: int, value: int | bytes) -> None:
        self._sockets[name].set(option, value)

    def set_topic(self, name: str, topic: str) -> None:
        self._sockets[name].subscribe(topic)

    def close(self, name: str) -> None:
        self._sockets.pop(name).close()

    def send(self, name: str, data: object) -> None:
        self._sockets[name].send_json(data)

    def recv(self, name: str) -> Any:
        return self._sockets[name].recv_json()

    def recv_safe(self, name: str, timeout: float) -> Any:
        return self.recv(name) if self._sockets[name].poll(timeout * 1000) else None

    def publish(self, name: str, topic: str, data: object) -> None:
        self._sockets[name].send_multipart([topic.encode(), json.dumps(data).encode()])

    def recv_event(self, name: str) -> tuple[str, Any]:
        topic, payload = self._sockets[name].recv_multipart()
        return topic.decode(), json.loads(payload)

    def recv_event_safe(self, name: str, timeout: float) -> tuple[str, Any] | None:
        return self.recv_event(name) if self._sockets[name].poll(timeout * 1000) else None

    def wait_for_subscribers(self, name: str, topic: str) -> None:
        while b"\1" + topic.encode() not in self._subscribed:
            self._subscribed.add(self._sockets[name].recv())

    def serve(self, name: str, handler: Callable[[Any], Any]) -> None:
        server = self._sockets[name]
        server.rcvtimeo = -1
        while True:
            *route, payload = server.recv_multipart()
            answer = json.dumps(handler(json.loads(payload))).encode()
            server.send_multipart([*route, answer])
