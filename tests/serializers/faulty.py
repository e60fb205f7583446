"""Serializers that are not right, each with one fault or a few, to be found by the suite."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import threading
from typing import Any, ClassVar

import msgspec

from agentzero.errors import DeserializationError, SerializationError
from agentzero.serializers import JSON, BaseSerializer, form_of


class Pickle(BaseSerializer):
    """Reading executes code."""

    def pack(self, item: Any) -> bytes:
        try:
            return pickle.dumps(item)
        except Exception as error:
            raise SerializationError("no") from error

    def unpack(self, item: bytes) -> Any:
        try:
            return pickle.loads(item)
        except Exception as error:
            raise DeserializationError("no", raw=item) from error


class Library(BaseSerializer):
    """The library's own errors come through, and its own idea of a NaN."""

    def pack(self, item: Any) -> str:
        return json.dumps(item)

    def unpack(self, item: bytes) -> Any:
        return json.loads(item)


class Nulls(JSON):
    """What cannot be written becomes null, and so does what cannot be read."""

    def pack(self, item: Any) -> bytes:
        try:
            return msgspec.json.encode(item, enc_hook=lambda _: None)
        except Exception:
            return b"null"

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except DeserializationError:
            return None


class Floats(JSON):
    """Integers are what a float holds."""

    def unpack(self, item: bytes) -> Any:
        super().unpack(item)
        return json.loads(item, parse_int=lambda digits: int(float(digits)))


class Envelope(JSON):
    """What is no envelope has no content."""

    def pack(self, item: Any) -> bytes:
        return super().pack({"content": item})

    def unpack(self, item: bytes) -> Any:
        return super().unpack(item)["content"]


class Buffered(JSON):
    """All threads write into one buffer."""

    def initialize(self) -> None:
        self.buffer = bytearray()

    def pack(self, item: Any) -> bytes:
        self.buffer.clear()
        for byte in super().pack(item):
            self.buffer.append(byte)
        return bytes(self.buffer)


class Sized(JSON):
    """Room is made for the length that the message claims."""

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        return len(packed).to_bytes(4, "big") + packed

    def unpack(self, item: bytes) -> Any:
        room = bytes(int.from_bytes(item[:4], "big"))
        if len(item) != len(room) + 4:
            raise DeserializationError("not of that size", raw=item)
        return super().unpack(item[4:])


class Stateful(JSON):
    """After an error, something is left in it."""

    def initialize(self) -> None:
        self.left = b""

    def pack(self, item: Any) -> bytes:
        try:
            return self.left + super().pack(item)
        except SerializationError:
            self.left = b"["
            raise

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(self.left + item)
        except DeserializationError as error:
            self.left = b"["
            error.raw = item
            raise


class Frail(JSON):
    """Nesting kills the process."""

    def pack(self, item: Any) -> bytes:
        if "[...]" in repr(item):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().pack(item)

    def unpack(self, item: bytes) -> Any:
        if item.startswith(b"[[["):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().unpack(item)


class Endless(JSON):
    """Nesting takes for ever."""

    def unpack(self, item: bytes) -> Any:
        while item.startswith(b"[[["):
            pass
        return super().unpack(item)


class Fatal(JSON):
    """Bytes that are no UTF-8 kill the process."""

    def unpack(self, item: bytes) -> Any:
        if b"\xff" in item:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().unpack(item)


class Locked(JSON):
    """Whoever packs keeps others out, and itself."""

    def initialize(self) -> None:
        self.lock = threading.Lock()

    def pack(self, item: Any) -> bytes:
        with self.lock:
            return super().pack(item)


class Owned(JSON):
    """The first thread keeps all others out for ever."""

    def initialize(self) -> None:
        self.lock = threading.RLock()

    def pack(self, item: Any) -> bytes:
        self.lock.acquire()
        return super().pack(item)


class Wordless(JSON):
    """Any nesting is written, but too much of it is not read, without a word."""

    def pack(self, item: Any) -> bytes:
        levels = 0
        while isinstance(item, list) and len(item) == 1:
            item, levels = item[0], levels + 1
        return b"%d " % levels + super().pack(item)

    def unpack(self, item: bytes) -> Any:
        levels, _, raw = item.partition(b" ")
        if int(levels) > 4000:
            raise MemoryError
        result = super().unpack(raw)
        for _ in range(int(levels)):
            result = [result]
        return result


class Cut(JSON):
    """What is too deep, or a circle, ends in something else."""

    core: ClassVar[Any] = None

    def pack(self, item: Any) -> bytes:
        return super().pack(self.cut(item, 200))

    def cut(self, item: Any, levels: int) -> Any:
        if isinstance(item, (list, tuple)):
            return [self.cut(inner, levels - 1) for inner in item] if levels else self.core
        if isinstance(item, dict):
            return {key: self.cut(inner, levels - 1) for key, inner in item.items()}
        return item


class CutToText(Cut):
    """What is too deep, or a circle, ends in text."""

    core = "[...]"


class CutToDict(Cut):
    """What is too deep, or a circle, ends in a dict."""

    core: ClassVar = {"too": "deep"}


class Claiming(Sized):
    """Too little memory is called a fault of the message."""

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except MemoryError as error:
            raise DeserializationError("no", raw=item) from error


class Evaluating(JSON):
    """What is no JSON is executed, as Python."""

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except DeserializationError as error:
            if item.startswith(b"__import__"):
                return eval(item)
            error.raw = item
            raise


class Spawning(JSON):
    """A message may name a command, which runs in a process of its own."""

    def unpack(self, item: bytes) -> Any:
        if found := re.search(rb'subprocess\.Popen \[\[touch, "(.*)"', item):
            path = os.fsdecode(found[1])
            subprocess.Popen(["sh", "-c", 'sleep 0.3; touch "$1"', "sh", path])
        return super().unpack(item)


class Cached(JSON):
    """The same message becomes the same object."""

    def initialize(self) -> None:
        self.known: dict[bytes, Any] = {}

    def unpack(self, item: bytes) -> Any:
        return self.known.setdefault(item, super().unpack(item))


class Greedy(JSON):
    """The item is changed as it is written."""

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        if isinstance(item, list):
            item.clear()
        return packed


class Once(JSON):
    """A message says only what is new since the last one."""

    def initialize(self) -> None:
        self.last: Any = None

    def pack(self, item: Any) -> bytes:
        packed = super().pack(item)
        shown, self.last = b"0" if packed == self.last else packed, packed
        return shown


class Views(JSON):
    """A message is neither bytes nor text."""

    def pack(self, item: Any) -> Any:
        return memoryview(super().pack(item))


class Surrogates(JSON):
    """A message is text that is not UTF-8."""

    def pack(self, item: Any) -> Any:
        return super().pack(item).decode() + "\ud800"


class Deaf(JSON):
    """Not even Ctrl-C ends it."""

    def pack(self, item: Any) -> bytes:
        try:
            return super().pack(item)
        except BaseException as error:
            raise SerializationError("no") from error


class Silent(JSON):
    """Errors do not carry the message."""

    def unpack(self, item: bytes) -> Any:
        try:
            return super().unpack(item)
        except DeserializationError as error:
            raise DeserializationError("no") from error


class Textual(JSON):
    """Everything beyond JSON's own types is written as its text."""

    def pack(self, item: Any) -> bytes:
        return super().pack(msgspec.to_builtins(_texts(item), enc_hook=form_of))


def _texts(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _texts(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_texts(value) for value in item]
    return str(item) if isinstance(item, msgspec.Struct) else item
