"""Every example that the original AgentZero's reference shows, as it stands there.

`tests/seed/` holds them. Mended are their own typos: indentation, a missing quote, a keyword before
a positional argument, Python 2's print, a second argument of `get_by_name`. What depends on the
machine is replaced when they run: hosts by the loopback, ports by a free one (see `mended`).
"""

from __future__ import annotations

import ast
import doctest
import io
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from agentzero.errors import AgentZeroSocketError
from agentzero.util import get_free_tcp_port

SEED = Path(__file__).parent / "seed"
LONG = 10.0


def mended(text: str, port: int) -> str:
    """Replace hosts of somebody's network by the loopback, and fixed ports by `port`."""
    text = re.sub(r"192\.168\.\d+\.\d+", "127.0.0.1", text)
    return re.sub(r":(5051|6000|7000)\b", f":{port}", text)


class Example:
    """One example, and the names it leaves behind.

    Attributes:
        address: what takes the place of its fixed address, for a peer to connect to.
        names: its global names.
    """

    def __init__(self, name: str, port: int) -> None:
        self.address = f"tcp://127.0.0.1:{port}"
        self.names: dict[str, Any] = {"__name__": f"seed.{name}"}
        self._path = str(SEED / f"{name}.txt")
        self._text = mended(Path(self._path).read_text(), port)

    @property
    def sockets(self) -> Any:
        return self.names["sockets"]

    def run(self) -> None:
        """Run a program, or each line of a session, whose output is what the reference shows."""
        if ">>>" not in self._text:
            exec(compile(self._text, self._path, "exec"), self.names)
        for step in doctest.DocTestParser().get_examples(self._text):
            said = self._said(step)
            assert same(said, step.exc_msg or step.want), said

    def _said(self, step: doctest.Example) -> str:
        output = io.StringIO()
        with redirect_stdout(output):
            try:
                exec(compile(step.source, self._path, "single"), self.names)
            except AgentZeroSocketError as error:
                if not step.exc_msg:
                    raise
                return f"{type(error).__name__}: {error}\n"
        return output.getvalue()

    def end(self) -> None:
        """Close what the examples leave to the end of the process."""
        for value in self.names.values():
            for name in ("close_all", "destroy"):
                close = getattr(value, name, None)
                if close and not isinstance(value, type):
                    close()


def same(said: str, shown: str) -> bool:
    """Whether an output is what the reference shows; it leaves out what most calls return."""
    shown = shown.replace(":61432'", ":...'")  # the port that the system chose that day
    if not shown or doctest.OutputChecker().check_output(shown, said, doctest.ELLIPSIS):
        return True
    with suppress(ValueError, SyntaxError):
        return bool(ast.literal_eval(said) == ast.literal_eval(shown))
    return False


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[Example]:
    root = logging.getLogger()
    handlers = list(root.handlers)
    example = Example(request.param, get_free_tcp_port())
    yield example
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    example.end()


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", names, indirect=True)


class Peer:
    """A program of bare pyzmq beside the example."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.context.linger = 0
        self._threads = ThreadPoolExecutor()

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self.context.socket(kind)
        made.sndtimeo = made.rcvtimeo = int(LONG * 1000)
        return made

    def start(self, function: Callable[..., object], *arguments: Any) -> Future[object]:
        return self._threads.submit(function, *arguments)

    def end(self) -> None:
        self._threads.shutdown()
        self.context.destroy(linger=0)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.end()


def test_no_example_is_forgotten() -> None:
    tested = {
        name
        for test in vars(sys.modules[__name__]).values()
        for mark in getattr(test, "pytestmark", [])
        if mark.args[0] == "example"
        for name in mark.args[1]
    }
    assert tested == {path.stem for path in SEED.glob("*.txt")}


@of("socket_manager")
def test_the_requester_of_the_class_reaches_a_plain_rep(example: Example, peer: Peer) -> None:
    with peer.socket(zmq.REP) as rep:
        rep.bind(example.address)
        example.run()
        assert example.sockets.send_safe("requester", {"ping": 1})
        assert rep.recv() == b'{"ping":1}'
        rep.send(b'"pong"')
        assert example.sockets.recv_safe("requester") == "pong"


@of("get_or_create")
def test_get_or_create(example: Example) -> None:
    example.run()
    assert example.sockets.get_by_name("requester").type == zmq.REQ
    assert example.sockets.engage(0) == {}


@of("bind")
def test_bind(example: Example, peer: Peer) -> None:
    example.run()
    with peer.socket(zmq.PUSH) as push:
        push.connect(example.address)
        push.send(b'"job"')
        assert example.sockets.recv_safe("pipe-in") == "job"


@of("bind_to_random_port")
def test_bind_to_random_port(example: Example, peer: Peer) -> None:
    example.run()
    with peer.socket(zmq.REQ) as req:
        req.connect(example.names["address"])
        req.send(b'"status"')
        assert example.sockets.recv_safe("api-server") == "status"
        assert example.sockets.send_safe("api-server", "fine")
        assert req.recv() == b'"fine"'


@of("connect")
def test_a_publisher_that_connects(example: Example, peer: Peer) -> None:
    with peer.socket(zmq.SUB) as sub:
        sub.subscribe("output")
        sub.bind(example.address)
        example.run()
        # What is published before the connection stands reaches nobody, as ever in ZeroMQ.
        assert published_until_it_comes(example, sub) == [b"output", b'"some data"']


def published_until_it_comes(example: Example, sub: zmq.Socket[bytes]) -> list[bytes]:
    for _ in range(int(LONG / 0.02)):
        if sub.poll(20):
            break
        assert example.sockets.publish_safe("logs", "output", "some data") is True
    return sub.recv_multipart()


@of("ensure_and_connect")
def test_ensure_and_connect(example: Example, peer: Peer) -> None:
    example.run()
    with peer.socket(zmq.REP) as rep:
        rep.bind(example.address)
        assert example.sockets.send_safe("logs", "hello")
        assert rep.recv() == b'"hello"'


@of("recv_safe")
def test_recv_safe_shows_what_a_peer_sent(example: Example, peer: Peer) -> None:
    with peer.socket(zmq.PUSH) as push:
        push.connect(example.address)
        push.send(
            b'{"pipeline": "video-download", "instructions": '
            b'{"url": "https://www.youtube.com/watch?v=FPZ6mVsv4EI"}}'
        )
        example.run()


@of("recv_event_safe", "set_topic")
def test_an_event_under_the_topic_that_was_set(example: Example, peer: Peer) -> None:
    def publish() -> None:
        with peer.socket(zmq.XPUB) as pub:
            pub.connect(example.address)
            assert pub.recv() == b"\x01logs"
            pub.send_multipart([b"metrics", b"{}"])
            pub.send_multipart([b"logs:2016-06-20", b'{"stdout": "hello world"}'])
            done.result(LONG)

    done: Future[None] = Future()
    publishing = peer.start(publish)
    try:
        example.run()
    finally:
        done.set_result(None)
    publishing.result()


@of("subscribe")
def test_a_subscription_prints_what_is_published_until_it_is_closed(
    example: Example, peer: Peer
) -> None:
    def publish() -> None:
        with peer.socket(zmq.XPUB) as pub:
            pub.connect(example.address)
            assert pub.recv() == b"\x01output"
            pub.send_multipart([b"input:0", b'"other data"'])
            pub.send_multipart([b"output:0", b'"some data"'])
            pub.send_multipart([b"output:1", b'"more data"'])
            pub.send_multipart([b"output:2", b'"and so on"'])
            until = time.monotonic() + LONG
            while example.sockets.stats("logs").received < 3 and time.monotonic() < until:
                time.sleep(0.001)
            example.sockets.close("logs")

    publishing = peer.start(publish)
    example.run()
    publishing.result()


@of("set_socket_option")
def test_set_socket_option(example: Example) -> None:
    example.run()
    socket = example.sockets.get_by_name("pipe-in")
    assert (socket.sndhwm, socket.rcvhwm) == (10, 10)


@of("get_log_handler", "get_logger")
def test_logs_of_greenlets_reach_a_plain_subscriber(example: Example, peer: Peer) -> None:
    example.run()  # nothing is lost on the way: there is no socket yet, so the record is dropped
    with peer.socket(zmq.SUB) as sub:
        sub.subscribe("")
        sub.bind(example.address)
        example.sockets.ensure_and_connect("logs", zmq.PUB, example.address)
        logger = example.names["logger"]
        for _ in range(int(LONG / 0.02)):
            if sub.poll(20):
                break
            logger.warning("Server is up!")
        topic, record = sub.recv_multipart()
    assert topic == (b"app_logs" if "handler" in example.names else b"logs")
    assert b'"msg":"Server is up!"' in record


@of("close")
def test_close(example: Example) -> None:
    example.run()
    assert "logs" not in example.sockets


@of("socket_already_exists", "socket_not_found")
def test_the_texts_of_the_exceptions(example: Example) -> None:
    example.run()


@of("pipeline")
def test_the_pipelines_skeleton(example: Example) -> None:
    example.run()
    pipeline = example.names["Pipeline"]()
    assert pipeline.sockets.names() == ["pipe-sub", "pipe-in", "pipe-out"]
    pipeline.sockets.close_all()
    pipeline.context.destroy(linger=0)
