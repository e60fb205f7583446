"""`logs`: how records are told, which of them, and what is done with what is none."""

from __future__ import annotations

import json
import logging
import math
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import zmq

from tests.cli.commands import read
from tests.cli.inside import Agent, Peer, Ran, meanwhile
from tests.processes import START, eventually, is_asleep

Log = Callable[[logging.Logger], None]


def program(peer: Peer, log: Log, topic: str = "logs") -> None:
    """Publish what is logged, once somebody listens."""
    peer.has(zmq.XPUB, bound=True)
    peer.sockets.wait_for_subscribers("peer", topic)
    logger = logging.Logger("shop")  # noqa: LOG001 - nobody else is to have it
    logger.addHandler(peer.sockets.get_log_handler("peer", topic))
    log(logger)


@pytest.fixture
def told(agent: Agent, peer: Peer) -> Callable[..., Ran]:
    """What `logs` does while a program logs."""

    def tell(log: Log, *words: str, topic: str = "logs") -> Ran:
        with meanwhile(program, peer, log, topic):
            return agent("logs", peer.address, *words)

    return tell


def each_level(logger: logging.Logger) -> None:
    for level in (logging.DEBUG, logging.INFO, 25, logging.WARNING, logging.ERROR):
        logger.log(level, "at %d", level)


def texts(ran: Ran) -> list[str]:
    return [line.decode().rpartition("shop: ")[2] for line in ran.lines]


def test_a_record_is_told_in_a_line(told: Callable[..., Ran]) -> None:
    ran = told(lambda logger: logger.warning("%d left, naïve", 3), "--count", "1")
    assert (ran.code, ran.err) == (0, "")
    [line] = ran.out.decode().splitlines()
    assert line.split(maxsplit=2)[2] == "WARNING shop: 3 left, naïve"


@pytest.mark.parametrize("level", ["WARNING", "warning", "30", "26"])
def test_records_below_a_level_are_left_out(level: str, told: Callable[..., Ran]) -> None:
    ran = told(each_level, "--level", level, "--count", "2")
    assert texts(ran) == ["at 30", "at 40"]


def test_without_a_level_all_are_told(told: Callable[..., Ran]) -> None:
    assert texts(told(each_level, "--count", "5")) == [f"at {n}" for n in (10, 20, 25, 30, 40)]


@pytest.mark.parametrize("level", ["loud", "-1", "", "3.5", "²"])
def test_what_is_no_level_is_wrong_usage(level: str, agent: Agent, peer: Peer) -> None:
    ran = agent("logs", peer.address, "--level", level)
    assert (ran.code, ran.out) == (2, b"")
    assert "neither a number nor one of CRITICAL" in ran.err


def test_all_that_was_published_is_told_as_json(told: Callable[..., Ran]) -> None:
    def log(logger: logging.Logger) -> None:
        logger.info("ignored")
        logger.error("disk %s", "full", extra={"disk": 7})

    ran = told(log, "--json", "--level", "ERROR", "--count", "1")
    [record] = map(json.loads, ran.lines)
    assert record | {"msg": "disk full", "level": 40, "args": ["full"], "disk": 7} == record


def test_a_record_that_json_cannot_write_ends_nothing(agent: Agent, peer: Peer) -> None:
    def serve() -> None:
        peer.has(zmq.XPUB, bound=True, serializer="msgpack")
        peer.sockets.wait_for_subscribers("peer")
        for number in (math.nan, 1.0):
            peer.sockets.publish("peer", "logs", {"msg": "load", "level": 20, "load": number})

    with meanwhile(serve):
        ran = agent("logs", peer.address, "--json", "--serializer", "msgpack", "--count", "2")
    assert [json.loads(line)["load"] for line in ran.lines] == [1.0]
    assert ran.err.startswith("Warning: a log record is left out: JSON has no NaN")


def test_lines_that_go_on_are_indented(told: Callable[..., Ran]) -> None:
    def log(logger: logging.Logger) -> None:
        try:
            raise OSError("no disk")
        except OSError:
            logger.exception("it failed\n2026-01-01 00:00:00,000 INFO    shop: all is well")

    first, *others = told(log, "--count", "1").out.decode().splitlines()
    assert first.endswith("ERROR   shop: it failed")
    assert others[0] == "    2026-01-01 00:00:00,000 INFO    shop: all is well"
    assert others[1] == "    Traceback (most recent call last):"
    assert others[-1] == "    OSError: no disk"


def test_records_cannot_move_the_cursor(told: Callable[..., Ran]) -> None:
    ran = told(lambda logger: logger.info("\x1b[2Jred\rgreen\x07"), "--count", "1")
    assert texts(ran)[-1] == "    green"
    assert b"\x1b" not in ran.out
    assert b"\x07" not in ran.out


@pytest.mark.parametrize(
    ("words", "expected"), [([], ["a", "b"]), (["app"], ["a"]), (["app", "db"], ["a", "b"])]
)
def test_topics_say_whose_records(
    words: list[str], expected: list[str], agent: Agent, peer: Peer
) -> None:
    def serve() -> None:
        peer.has(zmq.XPUB, bound=True)
        for topic in words or [""]:
            peer.sockets.wait_for_subscribers("peer", topic)
        for topic, text in [("app:1", "a"), ("db:1", "b")]:
            peer.sockets.publish("peer", topic, {"msg": text, "level": 20, "name": "shop"})

    with meanwhile(serve):
        ran = agent("logs", peer.address, *words, "--count", str(len(expected)))
    assert texts(ran) == expected


def test_what_is_no_record_is_told_once_and_left_out(agent: Agent, peer: Peer) -> None:
    def serve() -> None:
        peer.has(zmq.XPUB, bound=True)
        peer.sockets.wait_for_subscribers("peer")
        for frames in ([b"price", b"7"], [b"logs", b"\xff"], [b"logs"], [b"\xff", b"{}"]):
            peer.sockets.send_multipart("peer", frames)
        peer.sockets.publish("peer", "logs", {"msg": "here", "level": 20, "name": "shop"})

    with meanwhile(serve):
        ran = agent("logs", peer.address, "--count", "1")
    assert (ran.code, texts(ran)) == (0, ["here"])
    [line] = ran.err.splitlines()
    assert line.startswith("Warning: what is no log record is left out: ")


def test_silence_ends_it_where_a_limit_is_set(agent: Agent, peer: Peer) -> None:
    ran = agent("logs", peer.address, "--timeout", "0.02")
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err.startswith("Error: nothing to receive on socket 'logs'")


def test_levels_have_colours_on_a_terminal_and_ctrl_c_ends_it(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agentzero", "logs", peer.address]
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, env=os.environ, text=True
    ) as process:
        os.close(theirs)
        with meanwhile(program, peer, each_level):
            written = b""
            for chunk in read(ours):
                written += chunk
                if b"at 40" in written:
                    break
        eventually(lambda: is_asleep(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert (process.wait(START), process.stderr.read().strip()) == (130, "")
    os.close(ours)
    colours = [line.partition(b"m")[0] for line in written.splitlines()]
    assert [colours[3], colours[4]] == [b"\x1b[33", b"\x1b[31"]
    assert not colours[1].startswith(b"\x1b")
