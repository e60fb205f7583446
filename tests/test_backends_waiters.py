"""What the built-in backends promise, by the suite that is there for everybody's."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from agentzero.backends import resolve, resolve_async
from agentzero.testing import BackendConformance


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


class TestThreads(BackendConformance):
    @pytest.fixture
    def backend(self) -> Any:
        return resolve("threads")


class TestGevent(BackendConformance):
    @staticmethod
    def spawn(function: Any) -> Any:
        return pytest.importorskip("gevent").spawn(function)

    @staticmethod
    def pause(seconds: float) -> Any:
        return pytest.importorskip("gevent").sleep(seconds)

    @pytest.fixture
    def backend(self) -> Any:
        pytest.importorskip("gevent")
        return resolve("gevent")


class TestAsyncio(BackendConformance):
    @pytest.fixture
    def backend(self) -> Any:
        return resolve_async("asyncio")


class TestUvloop(TestAsyncio):
    loop_options: ClassVar[dict[str, Any]] = {"use_uvloop": True}

    @pytest.fixture
    def backend(self) -> Any:
        pytest.importorskip("uvloop")
        return resolve_async("asyncio")


class TestTrio(BackendConformance):
    loop = "trio"

    @pytest.fixture
    def backend(self) -> Any:
        pytest.importorskip("agentzero_trio")
        return resolve_async("trio")


def test_each_backend_suits_a_flavour() -> None:
    flavours = {"threads": "zmq", "gevent": "zmq.green", "asyncio": "zmq.asyncio"}
    for name, flavour in flavours.items():
        backend: Any = resolve_async(name) if name == "asyncio" else resolve(name)
        assert (backend.name, backend.flavour) == (name, flavour)


def test_a_greenlets_timeout_ends_its_wait_and_leaves_nothing_behind(
    pipe: tuple[int, int],
) -> None:
    gevent = pytest.importorskip("gevent")
    waiter = resolve("gevent").waiter()
    with gevent.Timeout(0.02, False):
        waiter.wait((pipe[0],), math.inf)
        pytest.fail("nothing was there to end it")
    os.write(pipe[1], b"1")
    waiter.wait((pipe[0],), math.inf)
    waiter.close()
