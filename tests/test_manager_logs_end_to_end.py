"""Log records over real sockets: published by a logger, rebuilt on the other side."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import zmq

from agentzero import SocketManager
from agentzero.core import ZMQPubHandler
from agentzero.log import record_from_event

Make = Callable[..., Any]


@pytest.fixture
def logs(manager: Make, link: Make, codec: str) -> SocketManager:
    """An XPUB named "logs" and a SUB named "reader" that is subscribed to it, in each codec."""
    sockets: SocketManager = manager(serialization_backend=codec)
    link(sockets, ("logs", zmq.XPUB), ("reader", zmq.SUB))
    sockets.set_topic("reader", "")
    assert sockets.recv_multipart("logs") == [b"\x01"]
    return sockets


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a logger of the test's own."""
    name = f"test-{uuid.uuid4()}"
    logger = logging.getLogger(name)
    logger.setLevel(1)
    logger.propagate = False
    yield name
    logger.handlers.clear()


def handlers(logger: logging.Logger) -> list[ZMQPubHandler]:
    """The handlers of a logger, without those that pytest adds."""
    return [handler for handler in logger.handlers if isinstance(handler, ZMQPubHandler)]


def read(sockets: SocketManager) -> logging.LogRecord:
    return record_from_event(sockets.recv_event("reader"))


def test_a_record_arrives_as_it_was_logged(logs: SocketManager, name: str) -> None:
    logger = logs.get_logger("logs", "app", name)
    logger.info("%s is %d%% done", "backup", 50, extra={"job": 7})
    event = logs.recv_event("reader")
    assert event.topic == "app"
    assert event.data["msg"] == "backup is 50% done"
    assert event.data["level"] == logging.INFO
    assert list(event.data["args"]) == ["backup", 50]
    record = record_from_event(event)
    assert record.getMessage() == "backup is 50% done"
    assert (record.name, record.levelname, record.levelno) == (name, "INFO", logging.INFO)
    assert record.funcName == "test_a_record_arrives_as_it_was_logged"
    assert record.job == 7  # type: ignore[attr-defined]


def test_a_traceback_arrives_with_its_record(logs: SocketManager, name: str) -> None:
    """The original called traceback.format_exc(e)."""
    logger = logs.get_logger("logs", logger_name=name)
    try:
        raise LookupError("no such thing")
    except LookupError:
        logger.exception("it failed")
    text = logging.Formatter().format(read(logs))
    assert text.startswith("it failed\nTraceback (most recent call last):")
    assert text.endswith("LookupError: no such thing")


def test_custom_levels_and_arguments_that_nobody_can_write(logs: SocketManager, name: str) -> None:
    """The original's handler died on custom levels."""
    logger = logs.get_logger("logs", logger_name=name)
    logger.log(5, "%s", object())
    logger.log(35, "a set: %s", {1})
    first, second = read(logs), read(logs)
    assert (first.levelno, first.levelname) == (5, "Level 5")
    assert first.getMessage().startswith("<object object at")
    assert (second.levelno, second.getMessage()) == (35, "a set: {1}")


def test_the_time_is_what_it_was(logs: SocketManager, name: str) -> None:
    """The original stamped local time with a Z."""
    before = datetime.now().timestamp()
    logs.get_logger("logs", logger_name=name).info("now")
    record = read(logs)
    assert before <= record.created <= datetime.now().timestamp()


def test_asking_twice_adds_one_handler(sockets: SocketManager, name: str) -> None:
    logger = sockets.get_logger("logs", "topic", name)
    assert sockets.get_logger("logs", "topic", name) is logger
    assert handlers(logger) == [sockets.get_log_handler("logs", "topic")]
    assert sockets.get_log_handler("logs", "other") not in handlers(logger)


def test_a_logger_has_its_sockets_name_unless_another_is_given(sockets: SocketManager) -> None:
    name = f"socket-{uuid.uuid4()}"
    logger = sockets.get_logger(name)
    assert (logger.name, handlers(logger)) == (name, [sockets.get_log_handler(name)])
    logger.handlers.clear()


def test_two_managers_have_a_handler_each(manager: Make, name: str) -> None:
    one, other = manager(), manager()
    one.get_logger("logs", logger_name=name)
    logger = other.get_logger("logs", logger_name=name)
    both = [one.get_log_handler("logs"), other.get_log_handler("logs")]
    assert handlers(logger) == both
    assert both[0] is not both[1]


def test_several_tasks_may_log_at_once(
    backend: Any, logs: SocketManager, name: str, spawn: Make
) -> None:
    logger = logs.get_logger("logs", logger_name=name)

    def work(worker: int) -> None:
        for number in range(50):
            logger.info("%d %d", worker, number)
            backend.pause(0)

    workers = [spawn(work, worker) for worker in range(4)]
    records = [read(logs) for _ in range(200)]
    for task in workers:
        task.result()
    told = sorted(tuple(record.args) for record in records)  # type: ignore[arg-type]
    assert told == [(worker, number) for worker in range(4) for number in range(50)]
    texts = sorted(record.getMessage() for record in records)
    assert texts == sorted(f"{worker} {number}" for worker, number in told)


def test_logging_before_there_is_a_socket_counts_what_it_drops(
    sockets: SocketManager, name: str, link: Make
) -> None:
    logger = sockets.get_logger("logs", logger_name=name)
    logger.info("too early")
    handler = sockets.get_log_handler("logs")
    assert handler.dropped == 1
    link(sockets, ("logs", zmq.XPUB), ("reader", zmq.SUB))
    sockets.set_topic("reader", "")
    sockets.recv_multipart("logs")
    logger.info("in time")
    assert read(sockets).getMessage() == "in time"
    assert handler.dropped == 1


def test_logging_after_the_end_neither_raises_nor_waits(sockets: SocketManager, name: str) -> None:
    sockets.create("logs", zmq.PUB)
    logger, handler = (
        sockets.get_logger("logs", logger_name=name),
        sockets.get_log_handler("logs"),
    )
    sockets.close_all()
    logger.info("too late")
    assert handler.dropped == 1


def test_a_queue_without_room_drops_and_counts(sockets: SocketManager, name: str) -> None:
    sockets.create("logs", zmq.PUSH)
    logger = sockets.get_logger("logs", logger_name=name)
    logger.info("nobody is there")
    assert sockets.get_log_handler("logs").dropped == 1
    assert sockets.stats("logs").dropped == 1


def test_what_cannot_be_read_is_not_logged_in_a_circle(sockets: SocketManager, link: Make) -> None:
    """The library's own logger may be published on the socket that its errors come from."""
    link(sockets, ("logs", zmq.XPUB), ("reader", zmq.SUB))
    logger = sockets.get_logger("logs", logger_name="agentzero")
    try:
        events = sockets.subscribe("reader", timeout=20)
        sockets.recv_multipart("logs")
        sockets.send_multipart("logs", [b"topic", b"{"])
        record = record_from_event(next(events))
        events.close()
    finally:
        logger.removeHandler(sockets.get_log_handler("logs"))
    assert (record.name, record.levelname) == ("agentzero", "ERROR")
    assert "'reader'" in record.getMessage()
