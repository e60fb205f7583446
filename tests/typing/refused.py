"""Mistakes that type checkers find, each with what mypy and pyright call it."""

from __future__ import annotations

import zmq

from agentzero import AsyncSocketManager, SocketManager
from agentzero.pipeline import Client, Pipeline, Step, Worker
from agentzero.security import KeyPair


class Half:
    """A serializer that cannot read."""

    def pack(self, item: object) -> bytes:
        return b""


class Count(Step):
    job_type = 7  # refused: assignment, reportAssignmentType
    max_retries = "2"  # refused: assignment, reportAssignmentType

    async def execute(self, job: int) -> int:  # refused: override, reportIncompatibleMethodOverride
        return 0


def arguments(sockets: SocketManager) -> None:
    sockets.recv(b"in")  # refused: call-overload, reportArgumentType
    sockets.recv("in", timeout="2")  # refused: call-overload, reportArgumentType
    sockets.recv("in", 2, 100, int)  # refused: call-overload, reportCallIssue
    sockets.recv("in", type=7)  # refused: call-overload, reportArgumentType, reportCallIssue
    sockets.send("out")  # refused: call-arg, reportCallIssue
    sockets.send_multipart("out", b"one frame")  # refused: arg-type, reportArgumentType
    sockets.send_multipart("out", ["text"])  # refused: list-item, reportArgumentType
    sockets.publish("out", 1, "data")  # refused: arg-type, reportArgumentType
    sockets.recv_event("in", topic=True)  # refused: call-overload, reportArgumentType
    sockets.subscribe("in", keep_polling=True)  # refused: call-overload, reportArgumentType
    sockets.create("in", "PULL")  # refused: arg-type, reportArgumentType
    sockets.create("in", zmq.PULL, serializer=Half())  # refused: arg-type, reportArgumentType
    sockets.create("in", zmq.PULL, curve="secret")  # refused: arg-type, reportArgumentType
    sockets.bind("in", 6000)  # refused: arg-type, reportArgumentType
    sockets.send_to("router", "text", 1)  # refused: arg-type, reportArgumentType
    sockets.sent("out", 1)  # refused: attr-defined, reportAttributeAccessIssue
    SocketManager(backend=3)  # refused: arg-type, reportArgumentType
    SocketManager(secret=KeyPair("", ""))  # refused: call-arg, reportCallIssue


def count(words: list[str]) -> int:
    return len(words)


def results(sockets: SocketManager) -> None:
    number: int = sockets.recv("in", type=str)  # refused: assignment, reportAssignmentType
    sockets.recv_safe("in", type=str).upper()  # refused: union-attr, reportOptionalMemberAccess
    print(sockets.recv_event_safe("in").topic)  # refused: union-attr, reportOptionalMemberAccess
    number = sockets.recv_event("in", type=str).data  # refused: assignment, reportAssignmentType
    number = sockets.recv_from("in", type=str).data  # refused: assignment, reportAssignmentType
    for event in sockets.subscribe("in", type=str):
        number = event.data  # refused: assignment, reportAssignmentType
        event.data = "new"  # refused: misc, reportAttributeAccessIssue
    sockets.serve("rep", count, type=str)  # refused: arg-type, reportArgumentType, reportCallIssue
    print(number, sockets.send("out", 1))  # refused: func-returns-value


async def without_await(sockets: AsyncSocketManager) -> None:
    sockets.send("out", 1)  # refused: unused-coroutine, reportUnusedCoroutine
    sockets.recv("in", type=str).upper()  # refused: attr-defined, reportAttributeAccessIssue
    if sockets.send_safe("out", 1):  # refused: truthy-bool
        for _ in sockets.subscribe("in"):  # refused: attr-defined, reportGeneralTypeIssues
            pass
    with sockets:  # refused: attr-defined, reportGeneralTypeIssues
        pass


async def awaited(sockets: AsyncSocketManager) -> None:
    _, data = await sockets.recv_event("in", type=str)
    number: int = data  # refused: assignment, reportAssignmentType
    print(number)


async def awaited_in_vain(sockets: SocketManager) -> None:
    await sockets.recv("in", type=str)  # refused: misc, reportGeneralTypeIssues
    async for _ in sockets.subscribe("in"):  # refused: attr-defined, reportGeneralTypeIssues
        pass


def pipelines(client: Client) -> None:
    Pipeline("words", [Count()])  # refused: list-item, reportArgumentType
    Pipeline("words", Count)  # refused: arg-type, reportArgumentType
    Worker(Count)  # refused: arg-type, reportArgumentType
    client.submit("text")  # refused: arg-type, reportArgumentType
    client.submit_many({"text": ""})  # refused: dict-item, reportArgumentType
    client.result(7)  # refused: arg-type, reportArgumentType
    client.status("id").state = "done"  # refused: assignment, misc, reportAttributeAccessIssue
