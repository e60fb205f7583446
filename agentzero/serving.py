"""Loops that answer questions: what `serve` does on a REP and on a ROUTER."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final

import zmq

from agentzero.backends.base import Wakeable
from agentzero.channel import Channel, Message
from agentzero.deadline import Deadline
from agentzero.errors import (
    AgentZeroSocketError,
    DeserializationError,
    PeerUnreachable,
    SerializationError,
    SocketClosed,
    SocketTimeout,
)
from agentzero.messages import envelope, failure, pack, unpack
from agentzero.steps import Steps, Wait, repeat, sent

__all__ = ["Question", "serve"]

logger: Final = logging.getLogger("agentzero")


class Question:
    """A request that a REP or ROUTER received, and its answer.

    It is answered by whoever handles it in its `with` block: with `reply`, or with what is raised
    there.

    Attributes:
        data: what was asked.
        reply: what to answer.
        error: what to answer instead.
    """

    def __init__(self, channel: Channel, route: list[bytes]) -> None:
        self.data: Any = None
        self.reply: object = None
        self.error: BaseException | None = None
        self._channel = channel
        self._route = route
        self._frames: list[bytes] = []

    def __enter__(self) -> Question:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.error = error
        if isinstance(error, Exception):
            logger.error("a handler failed on %s", self._channel, exc_info=error)
        # Ctrl-C and cancellations are for whoever serves, once the other side is told of them.
        return isinstance(error, Exception)

    @property
    def answered(self) -> bool:
        """Whether its answer is written, so that it may have been sent."""
        return bool(self._frames)

    def answer(self) -> list[bytes]:
        """Return the frames of the answer, the same whenever it is asked."""
        self._frames = self._frames or [*self._route, self._payload()]
        return self._frames

    def _payload(self) -> bytes:
        if self.error is None:
            try:
                return pack(self._channel, self.reply)
            except SerializationError as error:
                logger.error("a reply is lost on %s", self._channel, exc_info=error)
                self.error = error
        return failure(self._channel, self.error)


def read_question(channel: Channel, wanted: Any, message: Message) -> Question:
    """Return the question in a message; for one that cannot be read, with its error."""
    question = Question(channel, _way_back(channel, message))
    try:
        if channel.kind == zmq.ROUTER:
            question.data = envelope(channel, message, wanted).data
        else:
            question.data = unpack(channel, message, wanted)
    except DeserializationError as error:
        logger.error("%s", error)
        question.error = error
    return question


def _way_back(channel: Channel, message: Message) -> list[bytes]:
    """Return the frames before the payload, as far as they make sense."""
    if channel.kind != zmq.ROUTER or isinstance(message, bytes):
        return []
    between = message[-2:0:-1]
    last_empty = len(between) - between.index(b"") if b"" in between else 0
    return message[: 1 + last_empty]


def serve(
    waiter: Wakeable,
    channel: Channel,
    wanted: Any,
    on_error: Callable[[DeserializationError], object] | None,
    keep_polling: Callable[[], object],
    silence: float,
    longest: float,
    patience: float,
) -> Generator[Wait | Question, None, None]:
    """Yield each question, and send its answer when resumed; yield waits between.

    It ends as `steps.repeat` does. Closed while a question is out, it answers that at once.

    Args:
        waiter: the task's place to wait at.
        channel: a REP or ROUTER.
        wanted: what data is converted to, unless that is None.
        on_error: called with the error of each request that cannot be read.
        keep_polling, silence, longest: as for `steps.repeat`.
        patience: seconds that an answer waits for room in the queue of its peer.
    """
    read = partial(read_question, channel, wanted)
    question: Question | None = None
    try:
        for step in repeat(waiter, channel, read, keep_polling, silence, longest):
            if isinstance(step, Wait):
                yield step
                continue
            question = step
            if question.error is None:
                yield question
            elif on_error is not None and isinstance(question.error, DeserializationError):
                on_error(question.error)
            yield from _answer(waiter, channel, question.answer(), patience)
            question = None
    except BaseException as error:
        _leave(channel, question, error)
        raise


def _answer(
    waiter: Wakeable, channel: Channel, frames: list[bytes], patience: float
) -> Steps[None]:
    attempt = partial(channel.try_send_frames, frames)
    with suppress(SocketClosed):  # which ends the loop
        try:
            yield from sent(waiter, channel, attempt, Deadline(patience), patience)
        except (PeerUnreachable, SocketTimeout) as error:
            channel.count("dropped")
            logger.warning("an answer was dropped: %s", error)


def _leave(channel: Channel, question: Question | None, error: BaseException) -> None:
    """Answer what is still to be answered: a REP would refuse all work until then."""
    # Ctrl-C between receiving and reading: there may be a question all the same.
    unseen = channel.kind == zmq.REP and not isinstance(error, Exception | GeneratorExit)
    if question is None and unseen:
        question = Question(channel, [])
    if question is not None and not _may_have_left(channel, question, error):
        if isinstance(error, GeneratorExit):  # whoever ends the loop does not say why
            error = SocketClosed(f"{channel} stopped serving before it had an answer")
        question.error = question.error or error
        with suppress(AgentZeroSocketError):
            channel.try_send_now(question.answer())


def _may_have_left(channel: Channel, question: Question, error: BaseException) -> bool:
    # Ctrl-C amid an attempt to send: a ROUTER would answer twice, where a REP refuses to.
    amid = question.answered and not isinstance(error, GeneratorExit)
    return amid and channel.kind == zmq.ROUTER
