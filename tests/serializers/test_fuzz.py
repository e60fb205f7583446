"""200,000 inputs for each serializer: a value or an error, and little memory.

A failure says its seed; `AGENTZERO_FUZZ_SEED=<seed>` runs the same inputs again.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import tracemalloc
from functools import partial
from typing import Any

import pytest

from agentzero.errors import DeserializationError
from agentzero.serializers import JSON, MSGPACK, Serializer, resolve
from agentzero.testing.children import assert_harmless, in_children, peak
from tests.serializers.inputs import inputs

INPUTS = 40_000
PART = 5_000
MEASURED = 10  # one of so many, as counting memory takes much longer than reading

ROOM = 128 * 1024  # cbor2 reads texts in pieces of 64 KiB
ROOM_PER_BYTE = 200

SEED = int(os.environ.get("AGENTZERO_FUZZ_SEED") or secrets.randbits(32))


def fuzz(name: str, serializer: Serializer, seed: int, start: int = 0) -> str | None:
    """What is wrong with how a part of the inputs is read, if anything."""
    raws = list(itertools.islice(inputs(name, serializer, seed + start), PART))
    for raw in raws:
        if said := look(serializer, raw):
            return f"{said}; the input is bytes.fromhex({raw.hex()!r})"
    tracemalloc.start()
    for raw in raws[::MEASURED]:
        taken = peak(partial(look, serializer, raw))
        if taken > ROOM + ROOM_PER_BYTE * len(raw):
            return f"takes {taken:,} bytes of memory; the input is bytes.fromhex({raw.hex()!r})"
    return None


def look(serializer: Serializer, raw: bytes) -> str | None:
    try:
        serializer.unpack(raw)
    except DeserializationError as error:
        return None if error.raw == raw else "the error does not carry the message"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("seed", [2015, SEED], ids=["a fixed seed", "another seed each time"])
def test_inputs_are_read_or_refused_with_little_memory(name: str, seed: int) -> None:
    serializer = resolve(name)
    assert_harmless(
        {
            f"inputs {start}-{start + PART} of AGENTZERO_FUZZ_SEED={seed}": partial(
                fuzz, name, serializer, seed, start
            )
            for start in range(0, INPUTS, PART)
        }
    )


def test_the_same_seed_makes_the_same_inputs(name: str) -> None:
    one, other = (list(itertools.islice(inputs(name, resolve(name), 5), 100)) for _ in range(2))
    assert one == other
    assert one != list(itertools.islice(inputs(name, resolve(name), 6), 100))


class Believing(MSGPACK):
    def unpack(self, item: bytes) -> Any:
        bytes(min(2**20, int.from_bytes(item[1:5], "big")))
        return super().unpack(item)


class Leaking(JSON):
    def unpack(self, item: bytes) -> Any:
        item.decode()
        return super().unpack(item)


class Dying(JSON):
    def unpack(self, item: bytes) -> Any:
        if item.startswith(b"[1,"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().unpack(item)


@pytest.mark.parametrize(
    ("serializer", "said"),
    [
        (Believing(), "bytes of memory; the input is"),
        (Leaking(), "UnicodeDecodeError"),
        (Dying(), "killed by SIGKILL"),
    ],
    ids=type,
)
def test_a_faulty_serializer_is_found(serializer: Serializer, said: str) -> None:
    name = "msgpack" if isinstance(serializer, MSGPACK) else "json"
    assert said in in_children({"it": partial(fuzz, name, serializer, 2015)})["it"]
