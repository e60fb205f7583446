"""What the behavioural suite stands on: managers, concurrent tasks and bare pyzmq peers.

Whatever takes `backend`, or `sockets`, which is made with it, runs once for each backend. Such a
test starts tasks, pauses and signals through `backend` alone, and calls the manager's verbs by
their plain names: it cannot tell threads from greenlets, nor either from an event loop, whose
manager hands each verb that can wait to the loop, and waits for it there.
"""

from __future__ import annotations

import gc
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
import zmq
from anyio.from_thread import start_blocking_portal

from agentzero import AsyncSocketManager, SocketManager, steps
from tests import processes
from tests.environments import environment as environment
from tests.questions import Patient

# How long anything may take that is sure to come, in seconds: far more than any machine needs.
PATIENCE = 20.0

TCP = "tcp://127.0.0.1:*"


class Task:
    """A function that runs concurrently."""

    def __init__(self, result: Callable[[float], Any], done: Callable[[], bool]) -> None:
        self._result = result
        self.done = done

    def result(self, within: float = PATIENCE) -> Any:
        """Wait for its end; return or raise what it did."""
        return self._result(within)


class Threads:
    """Tasks are threads."""

    name = "threads"
    event = staticmethod(threading.Event)
    pause = staticmethod(time.sleep)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function returns, or the awaitable that it returns."""
        return function(*args)

    def spawn(self, function: Callable[..., Any], *args: Any, **options: Any) -> Task:
        future: Future[Any] = Future()
        run = _settle(function, args, options, future.set_result, future.set_exception)
        threading.Thread(target=run, daemon=True).start()
        return Task(future.result, future.done)

    def manager(self, **options: Any) -> SocketManager:
        return SocketManager(backend=self.name, **options)

    def end(self) -> None:
        """Nothing is to be ended."""


class Greenlets:
    """Tasks are greenlets; nothing is monkey-patched but in `test_monkey_patched.py`."""

    name = "gevent"

    def __init__(self) -> None:
        self._gevent = pytest.importorskip("gevent")
        self._event = pytest.importorskip("gevent.event")
        self.event = self._event.Event
        self.pause = self._gevent.sleep

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def spawn(self, function: Callable[..., Any], *args: Any, **options: Any) -> Task:
        promise = self._event.AsyncResult()
        self._gevent.spawn(_settle(function, args, options, promise.set, promise.set_exception))
        return Task(lambda within: promise.get(timeout=within), promise.ready)

    def manager(self, **options: Any) -> SocketManager:
        return SocketManager(backend=self.name, **options)

    def end(self) -> None:
        """Nothing is to be ended: the hub is the process's."""


class Loop(Threads):
    """Tasks are threads, which wait for what an event loop does for them."""

    def __init__(self, name: str) -> None:
        self.name = name
        pytest.importorskip("agentzero_trio" if name == "trio" else name)
        self._backend = "trio" if name == "trio" else "asyncio"
        options = {"use_uvloop": True} if name == "uvloop" else {}
        self._running = start_blocking_portal(self._backend, options)
        self._portal = self._running.__enter__()

    def manager(self, **options: Any) -> Any:
        return Blocking(AsyncSocketManager(backend=self._backend, **options), self.call)

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call it in the loop; wait for what it returns where that is an awaitable."""
        result, error = self._portal.call(_outcome, function, args, options)
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error  # or it would keep itself, and with that the manager

    def end(self) -> None:
        self._portal.call(self._portal.stop, True)  # and what a failed test has left there
        self._running.__exit__(None, None, None)


async def _outcome(function: Callable[..., Any], args: Any, options: Any) -> tuple[Any, Any]:
    # A portal would not hand Ctrl-C on to its caller, but end.
    try:
        result = function(*args, **options)
        return (await result if inspect.isawaitable(result) else result), None
    except BaseException as error:
        return None, error


class Blocking:
    """An AsyncSocketManager with the face of a SocketManager: its coroutines are waited for.

    So are those of the trackers that it returns.
    """

    def __init__(self, manager: Any, run: Callable[..., Any]) -> None:
        vars(self).update(_manager=manager, _run=run)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._manager, name)
        return partial(self._run, value) if inspect.iscoroutinefunction(value) else value

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._manager, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._manager, name)

    def send_multipart(self, *args: Any, **options: Any) -> Any:
        tracker = self._run(self._manager.send_multipart, *args, **options)
        return None if tracker is None else Blocking(tracker, self._run)

    def subscribe(self, *args: Any, **options: Any) -> Iterator[Any]:
        return _iterate(self._manager.subscribe(*args, **options), self._run)

    def connection_events(self, *args: Any, **options: Any) -> Iterator[Any]:
        return _iterate(self._manager.connection_events(*args, **options), self._run)

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *error: object) -> None:
        self.close_all()

    def __bool__(self) -> bool:
        return bool(self._manager)

    def __len__(self) -> int:
        return len(self._manager)

    def __contains__(self, name: object) -> bool:
        return name in self._manager

    def __repr__(self) -> str:
        return repr(self._manager)


def _iterate(
    events: AsyncGenerator[Any, None], run: Callable[..., Any]
) -> Generator[Any, None, None]:
    try:
        while True:
            try:
                event = run(events.__anext__)
            except StopAsyncIteration:
                return
            yield event
    finally:
        run(events.aclose)


def _settle(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
    succeed: Callable[[Any], object],
    fail: Callable[[BaseException], object],
) -> Callable[[], None]:
    def run() -> None:
        try:
            result = function(*args, **options)
        except BaseException as error:
            fail(error)
        else:
            succeed(result)

    return run


Tasks = Threads | Greenlets

BACKENDS: dict[str, Callable[[], Tasks]] = {
    "threads": Threads,
    "gevent": Greenlets,
    "asyncio": partial(Loop, "asyncio"),
    "uvloop": partial(Loop, "uvloop"),
    "trio": partial(Loop, "trio"),
}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Iterator[Tasks]:
    """How concurrent tasks run, and what the managers of the test wait with."""
    tasks = BACKENDS[request.param]()
    yield tasks
    tasks.end()


@pytest.fixture
def spawn(backend: Tasks, eventually: Callable[..., None]) -> Iterator[Callable[..., Task]]:
    """Start a concurrent task; all of them have ended when the test has."""
    tasks = []

    def start(function: Callable[..., Any], *args: Any, **options: Any) -> Task:
        tasks.append(backend.spawn(function, *args, **options))
        return tasks[-1]

    yield start
    eventually(lambda: all(task.done() for task in tasks))


@pytest.fixture
def manager(backend: Tasks, spawn: Callable[..., Task]) -> Iterator[Callable[..., SocketManager]]:
    """Make a manager; the test's end closes it, and with that the waits of all tasks."""
    made: list[SocketManager] = []

    def make(**options: Any) -> SocketManager:
        made.append(backend.manager(**{"linger": 0, **options}))
        return made[-1]

    yield make
    for sockets in made:
        sockets.close_all()


@pytest.fixture
def sockets(manager: Callable[..., SocketManager]) -> SocketManager:
    """A manager as it comes, but for its linger."""
    return manager()


@pytest.fixture(params=["json", "msgpack", "cbor"])
def codec(request: pytest.FixtureRequest) -> str:
    """The name of a serializer."""
    return str(request.param)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Let no garbage be collected where a test drives the stack to its limit.

    What other tests have left would be destroyed there, and its destructors would hit the limit.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def link() -> Callable[..., str]:
    """Bind one socket of a manager and connect another one to it; return the address."""

    def make(
        sockets: SocketManager,
        bound: tuple[str, int],
        connected: tuple[str, int],
        address: str = TCP,
        **options: Any,
    ) -> str:
        sockets.ensure_and_bind(*bound, address, **options)
        real = sockets.endpoints(bound[0])[-1]
        sockets.ensure_and_connect(*connected, real, **options)
        return real

    return make


@pytest.fixture
def pipe(sockets: SocketManager, link: Callable[..., str]) -> SocketManager:
    """A manager with a PULL named "in" and a PUSH named "out" that is connected to it."""
    link(sockets, ("in", zmq.PULL), ("out", zmq.PUSH))
    return sockets


@pytest.fixture
def full_router(sockets: SocketManager) -> bytes:
    """The identity of a peer of a ROUTER named "router" that has no room for another message."""
    sockets.create("router", zmq.ROUTER)
    sockets.create("full", zmq.DEALER)
    for name in ("router", "full"):
        sockets.set_socket_option(name, zmq.HWM, 1)
    sockets.set_socket_option("full", zmq.IDENTITY, b"full")
    sockets.bind("router", "inproc://router")
    sockets.connect("full", "inproc://router")
    sockets.send("full", "hello")
    assert sockets.recv_from("router").identity == b"full"
    while sockets._channels["router"].try_send_frames([b"full", b"1"]):
        pass
    return b"full"


@pytest.fixture
def peer() -> Iterator[Callable[..., Any]]:
    """Make a socket of bare pyzmq, which knows nothing of this library."""
    context = zmq.Context()
    made = []

    def make(
        kind: int, *, bind: str | None = None, connect: str | None = None, **options: Any
    ) -> Any:
        socket = context.socket(kind)
        made.append(socket)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = int(PATIENCE * 1000)
        for option, value in options.items():
            socket.set(getattr(zmq, option.upper()), value)
        if bind:
            socket.bind(bind)
        if connect:
            socket.connect(connect)
        return socket

    yield make
    context.destroy(linger=0)


@pytest.fixture
def eventually(backend: Tasks) -> Callable[[Callable[[], object]], None]:
    """Let other tasks run until a condition holds; it fails the test where it never does."""
    return partial(processes.eventually, pause=backend.pause)


@pytest.fixture
def bare(peer: Callable[..., Any], eventually: Callable[..., None]) -> Callable[..., Any]:
    """Make a socket of bare pyzmq that no greenlet blocks on."""
    return lambda *args, **options: Patient(peer(*args, **options), eventually)


@pytest.fixture
def router(bare: Callable[..., Any]) -> Any:
    """A bare ROUTER that answers when a test says so."""
    return bare(zmq.ROUTER, bind=TCP)


@pytest.fixture
def serving(
    sockets: SocketManager, spawn: Callable[..., Task], waiting: Callable[..., None]
) -> Callable[..., tuple[str, Task]]:
    """Have a socket named "server" served by a task; return its address and the task."""

    def start(kind: int, handler: Callable[[Any], Any], **options: Any) -> tuple[str, Task]:
        sockets.ensure_and_bind("server", kind, TCP)
        task = spawn(sockets.serve, "server", handler, **options)
        waiting(sockets, "server")
        return sockets.endpoints("server")[0], task

    return start


@pytest.fixture
def without_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a wake-up ends a wait in the time of a test."""
    for name in ("FIRST_NAP", "LONGEST_NAP", "BLIND_NAP"):
        monkeypatch.setattr(steps, name, 1800.0)


@pytest.fixture
def waiting(eventually: Callable[..., None]) -> Callable[..., None]:
    """Return when as many tasks wait on a socket."""

    def wait(sockets: SocketManager, name: str, tasks: int = 1) -> None:
        # Who engages waits for all that is registered.
        waiters, engaged = sockets._channels[name]._waiters, sockets._registered._waiting
        eventually(lambda: max(len(waiters), len(engaged)) >= tasks)

    return wait
