"""Serializers and backends that others write, and the plugins that bring them."""
# pyright: strict

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import zmq

from agentzero import SocketManager, hookimpl
from agentzero.backends import Backend
from agentzero.plugins import Registry
from agentzero.serializers import BaseSerializer, Serializer
from agentzero.testing import SerializerConformance


class Words(BaseSerializer):
    def pack(self, item: list[str]) -> str:
        return " ".join(item)

    def unpack(self, item: bytes) -> list[str]:
        return item.decode().split()


class Bare:
    """It inherits nothing, and never heard of AgentZero."""

    def pack(self, item: Any) -> bytes:
        return repr(item).encode()

    def unpack(self, item: bytes) -> str:
        return item.decode()


class OneEvent:
    """Waits for nothing but to be woken."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wake(self) -> None:
        self._woken.set()

    def wait(self, fds: Sequence[int], timeout: float) -> None:
        self._woken.wait(timeout)

    def close(self) -> None: ...


class Simple:
    """How to wait, in the fewest words."""

    name = "simple"
    flavour = "zmq"
    is_async: Literal[False] = False
    turn_every = 0

    def lock(self) -> threading.Lock:
        return threading.Lock()

    def waiter(self) -> OneEvent:
        return OneEvent()

    def detach(self, function: Callable[[], object]) -> object:
        thread = threading.Thread(target=function)
        thread.start()
        return thread

    def forget(self, fd: int) -> None: ...


@hookimpl
def agentzero_register_serializers(registry: Registry) -> None:
    registry.add("words", Words, requires="json", install="PyYAML")


@hookimpl
def agentzero_register_backends(registry: Registry) -> None:
    registry.add("simple", f"{__name__}:Simple")


class TestOfWords(SerializerConformance):
    @pytest.fixture
    def serializer(self) -> Serializer:
        return Words()


def used() -> None:
    backend: Backend = Simple()
    with SocketManager(serialization_backend=Words(), backend=backend) as sockets:
        sockets.create("in", zmq.PULL, serializer=Bare())
