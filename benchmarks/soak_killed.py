"""Scenes in which a process is killed, and in which who sends too much is thrown out."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import zmq
from soak_askers import Askers, Server
from soak_ledger import Receiver, Sender
from soak_payload import frames, marked, note_frames, size
from soak_pipes import ROOM, receive_objects
from soak_sides import Side, each, got
from soak_stage import TURN, Stage
from soak_traffic import Receiving, Sending

from agentzero.errors import SocketTimeout
from agentzero.events import ConnectionEvent

PROGRAM = Path(__file__).with_name("soak_process.py")


class Relay:
    """A process that passes on what it gets, and answers; it is killed and started again."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage, self._name = stage, name
        self._flow = stage.ledger.flow(name, open_to_strays=True)
        self._jobs = stage.address("tcp")
        self._results = stage.address("tcp", open_to_strays=True)
        self._questions = stage.address("tcp")
        self._server = Server()
        self._receivers: dict[bytes, Receiver] = {}
        side, jobs = stage.manager, f"{name} jobs"
        sending = Sending(stage, [self._flow], side, jobs)
        opened = partial(stage.bound, side, jobs, zmq.PUSH, self._jobs)
        stage.start("sending", side, partial(sending.run, opened, partial(self._send, sending)))
        stage.start("receiving", side, self._receive)
        keeper = stage.bare()
        stage.start("receiving", keeper, partial(self._keep, keeper))
        askers = Askers(stage, f"{name} asking", self._questions, self._server, "process", {})
        askers.start(((zmq.DEALER, 2), (zmq.REQ, 1)), 0)
        stage.closable.append(jobs)

    def _done(self) -> bool:
        return self._stage.drained(self._flow)

    async def _send(self, sending: Sending, key: str, number: int) -> None:
        body = sending.rng.randbytes(size(sending.rng))
        message = frames(key, number, body)
        await got(sending.side.sockets.send_multipart(sending.name, message, timeout=ROOM))

    async def _receive(self) -> None:
        side, name = self._stage.manager, f"{self._name} results"
        await self._stage.until(side, lambda: self._receivers, "a process is there")
        async with self._stage.bound(side, name, zmq.PULL, self._results):
            while not self._done():
                with suppress(SocketTimeout):
                    pid, *message = await got(side.sockets.recv_multipart(name, TURN))
                    note_frames(self._receivers.get(pid, self._flow.receivers[-1]), message)

    async def _keep(self, side: Side) -> None:
        rng = self._stage.rng(self._name)
        while not self._done():
            process = self._started()
            try:
                end = time.monotonic() + rng.uniform(0.2, 2)
                while not self._done() and not (self._stage.going and time.monotonic() > end):
                    await side.pause(0.02)
            finally:
                self._kill(process)

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), self._jobs, self._results, self._questions],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._receivers[str(process.pid).encode()] = self._flow.receiver()
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            self._flow.fault("the process did not start")
        self._server.come()
        return process

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if not self._done():
            self._receivers[str(process.pid).encode()].end("process killed")
        process.kill()
        self._server.go()
        process.wait()
        self._stage.ledger.count("processes killed")
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


class TooMuch:
    """Senders of which some messages are too large: those never come, and all others do."""

    LIMIT = 1 << 16

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._flow = stage.ledger.flow(name)
        self._address = stage.address("tcp")
        side, sender = stage.manager, f"{name} sending"
        receiving = Receiving(stage, self._flow, side, name, steady=True)
        options = {"max_message_size": self.LIMIT}
        opened = partial(stage.bound, side, name, zmq.PULL, self._address, **options)
        receive = partial(receive_objects, side, name)
        stage.start("receiving", side, partial(receiving.run, opened, receive))
        stage.start("sending", side, partial(self._send, side, sender))

    async def _send(self, side: Side, name: str) -> None:
        rng = self._stage.rng(name)
        while self._stage.going:
            sender = self._flow.sender()
            async with self._stage.connected(side, name, zmq.PUSH, self._address):
                for times in range(1, rng.randrange(2, 6)):
                    for _ in range(rng.randrange(1, 20)):
                        await self._send_one(side, name, sender, "x" * size(rng, self.LIMIT // 2))
                    await self._send_too_much(side, name, sender, times)
                await self._send_one(side, name, sender, "")
                await self._stage.until(side, partial(self._arrived, sender), "all but too much")

    async def _send_one(self, side: Side, name: str, sender: Sender, body: str) -> None:
        await got(side.sockets.send(name, marked(sender.key, sender.sent + 1, body), ROOM))
        self._flow.sent(sender)

    def _arrived(self, sender: Sender) -> bool:
        return sender.last == sender.sent

    async def _send_too_much(self, side: Side, name: str, sender: Sender, times: int) -> None:
        await self._stage.until(side, partial(self._arrived, sender), "all before too much")
        # Number 0 has come twice as soon as it comes.
        await got(side.sockets.send(name, marked(sender.key, 0, "x" * self.LIMIT), ROOM))
        self._stage.ledger.count("rejected")
        events = side.sockets.connection_events(name, timeout=5)
        await each(events, disconnected(times))


def disconnected(times: int) -> Callable[[ConnectionEvent], bool]:
    """Return what is true of the event that is the last of so many disconnections."""
    left = times

    def last(event: ConnectionEvent) -> bool:
        nonlocal left
        left -= int(event.kind == "disconnected")
        return left == 0

    return last
