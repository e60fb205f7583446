"""What a soak sends: random data of random size, with a mark that tells who sent it, and intact."""

from __future__ import annotations

import json
import random
import zlib
from typing import Any

import msgspec
from soak_ledger import Receiver

from agentzero.errors import DeserializationError

LARGEST = 1 << 20
UNDECODABLE = b"\xffnot a message: "

CHARACTERS = 'abc xyz 0123\n"\\äß€漢\U0001f600'


def data(rng: random.Random, largest: int = LARGEST) -> Any:
    """Return something random: mostly small, sometimes empty, seldom of `largest` bytes."""
    chance = rng.random()
    if chance < 0.05:
        return ""
    if chance < 0.85:
        return small(rng)
    return "x" * size(rng, largest)


def size(rng: random.Random, largest: int = LARGEST) -> int:
    """Return a random size; one in a hundred is of the order of the largest."""
    return rng.randrange(largest) if rng.random() < 0.01 else min(rng.randrange(5000), largest)


def small(rng: random.Random, depth: int = 0) -> Any:
    """Return some JSON-like data."""
    choices: list[Any] = [
        None,
        rng.random() < 0.5,
        rng.randrange(-(2**53), 2**53),
        rng.uniform(-1e9, 1e9),
        "".join(rng.choices(CHARACTERS, k=rng.randrange(20))),
    ]
    if depth < 3:
        choices.append([small(rng, depth + 1) for _ in range(rng.randrange(5))])
        choices.append({f"key {n}": small(rng, depth + 1) for n in range(rng.randrange(5))})
    return rng.choice(choices)


def checksum(body: Any) -> int:
    """Return a number that another body hardly has."""
    return zlib.crc32(body if isinstance(body, bytes) else msgspec.json.encode(body))


def marked(key: str, number: int, body: Any) -> dict[str, Any]:
    """Return a message."""
    return {"key": key, "number": number, "checksum": checksum(body), "body": body}


def frames(key: str, number: int, body: bytes) -> list[bytes]:
    """Return a message of two frames, of which the second may be empty."""
    return [json.dumps(marked(key, number, "") | {"checksum": checksum(body)}).encode(), body]


def undecodable(key: str, number: int) -> bytes:
    """Return what no serializer can read, and still tells who sent it."""
    return UNDECODABLE + json.dumps([key, number]).encode()


def note(receiver: Receiver, message: Any) -> None:
    """Note a message that was received."""
    match message:
        case {"key": str(key), "number": int(number), "checksum": int(sum_), "body": body}:
            receiver.got(key, number, intact=sum_ == checksum(body))
        case _:
            receiver.stray(readable=True)


def note_frames(receiver: Receiver, message: list[bytes]) -> None:
    """Note the frames of a message that was received."""
    try:
        mark, body = message
        note(receiver, json.loads(mark) | {"body": body})
    except (ValueError, TypeError):
        receiver.stray(readable=True)


def note_undecodable(receiver: Receiver, error: DeserializationError) -> None:
    """Note a message that could not be read."""
    _, sign, mark = error.raw.partition(UNDECODABLE)
    if sign:
        key, number = json.loads(mark)
        receiver.got(key, number, readable=False)
    else:
        receiver.stray(readable=False)
