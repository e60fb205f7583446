"""Which backend a manager waits with: the argument, the environment, the flavour, the patching."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from agentzero import SocketManager, backends
from agentzero.backends import resolve
from agentzero.backends.threads import ThreadsBackend
from agentzero.errors import PluginError
from tests.processes import START, run


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTZERO_BACKEND", raising=False)


@pytest.fixture
def green() -> Any:
    pytest.importorskip("gevent")
    return pytest.importorskip("zmq.green")


def test_threads_it_is_where_nothing_else_is_said() -> None:
    assert resolve().name == "threads"
    assert resolve(None, zmq).name == "threads"


def test_the_flavour_chooses(green: Any) -> None:
    assert resolve(None, green).name == "gevent"


def test_the_environment_comes_before_the_flavour(
    green: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTZERO_BACKEND", "threads")
    assert resolve(None, green).name == "threads"
    monkeypatch.setenv("AGENTZERO_BACKEND", "gevent")
    assert resolve(None, zmq).name == "gevent"


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTZERO_BACKEND", "")
    assert resolve().name == "threads"


def test_the_argument_comes_before_all(green: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTZERO_BACKEND", "gevent")
    assert resolve("threads", green).name == "threads"
    instance = ThreadsBackend()
    assert resolve(instance, green) is instance


@pytest.mark.parametrize("name", ["nonsense", "THREADS", " "])
def test_an_unknown_name_lists_the_known_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for argument in (name, None):
        monkeypatch.setenv("AGENTZERO_BACKEND", name)
        with pytest.raises(PluginError, match=r"gevent.*threads"):
            resolve(argument)


@pytest.mark.parametrize("spec", [ThreadsBackend, 5, zmq, b"threads"])
def test_what_is_no_backend_is_a_clear_error(spec: Any) -> None:
    with pytest.raises(TypeError, match="backend"):
        resolve(spec)


def test_an_asynchronous_one_names_the_manager_that_it_is_for() -> None:
    class Loop(ThreadsBackend):
        name = "loop"
        is_async = True  # type: ignore[assignment]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asynchronous = pytest.importorskip("zmq.asyncio")
    with pytest.raises(PluginError, match="AsyncSocketManager"):
        resolve(Loop())
    with pytest.raises(PluginError, match="AsyncSocketManager"):
        resolve(None, asynchronous)


def test_the_built_in_ones_are_listed_with_who_brings_them() -> None:
    available = backends.available()
    assert {"threads", "gevent"} <= set(available)


def test_a_module_that_is_no_flavour_is_not_taken_for_one() -> None:
    with pytest.raises(TypeError, match="zmq"):
        SocketManager(SimpleNamespace(__name__="zmq"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("patch", "name"), [("", "threads"), ("patch_all()", "gevent")])
def test_monkey_patching_chooses(patch: str, name: str) -> None:
    pytest.importorskip("gevent")
    program = f"""
import gevent.monkey
{patch and "gevent.monkey." + patch}
import zmq
from agentzero import SocketManager
with SocketManager() as sockets:
    sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
    sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
    received = gevent.spawn(sockets.recv, "in") if {patch!r} else None
    gevent.sleep(0)
    sockets.send("out", "hello")
    print(sockets.backend.name, received.get(timeout=10) if received else sockets.recv("in"))
"""
    ended = run("-c", program, within=START, measured=False)
    assert (ended.code, ended.out, ended.err) == (0, f"{name} hello\n", "")


def test_importing_the_library_imports_neither_gevent_nor_asyncio() -> None:
    program = "import sys, agentzero; print([m for m in ('gevent', 'asyncio') if m in sys.modules])"
    ended = run("-c", program, within=START, measured=False)
    assert (ended.out, ended.err) == ("[]\n", "")
