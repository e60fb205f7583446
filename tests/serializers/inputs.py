"""Inputs for a fuzzer: random bytes, broken messages, and what follows a format's grammar."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

from agentzero.serializers import Serializer
from agentzero.testing.hostile import malformed
from agentzero.testing.values import message

Way: TypeAlias = Callable[[random.Random], bytes]

VALUES: list[Any] = [
    *(None, True, 0, -1, 300, 2**31, 2**63, 1.5, "", "text", "\U0001d11e" * 9, "x" * 300),
    *(b"", b"bytes" * 60, [], {}, [1, [2, [3, [4.5]]]], {"a": {"b": {"c": None}}}, list(range(70))),
    *({str(number): [number] for number in range(20)}, [{"id": 1, "name": "n"}] * 5, {1: "a"}),
    *({1, 2}, Decimal("1.10"), [Decimal("-1E+9")] * 3),
]  # fmt: skip
LENGTHS = [0, 1, 23, 24, 31, 32, 255, 256, 4000, 65535, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]
LONGEST = 8192


def inputs(name: str, serializer: Serializer, seed: int) -> Iterator[bytes]:
    """Inputs without end for the serializer of that name; those of one seed are the same."""
    chance = random.Random(f"{name} {seed}")
    known = [message(serializer, value) for value in VALUES]
    known += [raw for raw in malformed().values() if len(raw) < 1000]
    grammar = GRAMMARS[name]
    ways: list[Way] = [
        noise,
        partial(mutated, known),
        partial(mutated, known),
        grammar,
        lambda chance: mutated([grammar(chance)], chance),
    ]
    while True:
        raw = chance.choice(ways)(chance)[:LONGEST]
        place = int(chance.random() * len(raw))
        yield raw
        yield raw[:place]
        yield b"%b%c%b" % (raw[:place], int(chance.random() * 256), raw[place + 1 :])


def noise(chance: random.Random) -> bytes:
    """Random bytes, most often a few."""
    return chance.randbytes(int(chance.expovariate(0.1)))


def mutated(known: Sequence[bytes], chance: random.Random) -> bytes:
    """A known message with a few changes."""
    raw = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        start = chance.randint(0, len(raw))
        end = min(len(raw), start + chance.choice((0, 1, 1, 2, 4, 8, len(raw))))
        raw[start:end] = chance.choice(CHANGES)(chance, bytes(raw[start:end]), known)
    return bytes(raw)


Change: TypeAlias = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

CHANGES: list[Change] = [
    lambda chance, piece, known: b"",
    lambda chance, piece, known: chance.randbytes(len(piece) or 1),
    lambda chance, piece, known: bytes(1 << chance.randrange(8) ^ byte for byte in piece),
    lambda chance, piece, known: piece * chance.choice((2, 3, 50)),
    lambda chance, piece, known: chance.choice(known),
    lambda chance, piece, known: chance.choice(known)[len(piece) :],
    lambda chance, piece, known: sized(chance, chance.choice(LENGTHS)),
    lambda chance, piece, known: chance.choice((b"\x00", b"\xff", b"\x7f", b"\x80", b'"', b"[")),
]  # fmt: skip


def sized(chance: random.Random, number: int) -> bytes:
    """A number in any width that holds it."""
    widths = [width for width in (1, 2, 4, 8) if number < 256**width]
    return number.to_bytes(chance.choice(widths), "big")


def claim(chance: random.Random, number: int) -> int:
    """That length, or a lie."""
    return number if chance.random() < 0.9 else chance.choice([*LENGTHS, number + 1])


TOKENS = [
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"[", b"{", b'{"a":', b'"a":', b'"a"', b"[1,"),
    *(b"1", b"-", b"0", b".5", b"e", b"E+9", b"e400", b"9" * 25, b"true", b"false", b"null"),
    *(b"\\", b"\\u", b"\\u00e9", b"\\ud834\\udd1e", b"\\ud800", b"\\n", b"\xc3\xa9", b"nul"),
    *(b"NaN", b"Infinity", b"\x00", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"//", b"\n", b" "),
]  # fmt: skip


def json_text(chance: random.Random) -> bytes:
    """Tokens of JSON, seldom in their places; or nesting that is closed."""
    if chance.random() < 0.8:
        return b"".join(chance.choices(TOKENS, k=chance.randint(1, 20)))
    opened = chance.choices(
        [(b"[", b"]"), (b'{"a":', b"}"), (b"[1,", b"]")], k=chance.randint(1, 600)
    )
    inside = chance.choice(TOKENS)
    return b"".join(o for o, _ in opened) + inside + b"".join(c for _, c in reversed(opened))


def msgpack_object(chance: random.Random, room: int = 5) -> bytes:
    """A MessagePack object whose lengths may lie; or deep nesting of such heads."""
    if room == 5 and chance.random() < 0.05:
        return _nested(chance, [b"\x91", b"\x92\x01", b"\x81\x01", _array(chance), b"\xdc\x00\x01"])
    kind = chance.randrange(8)
    if not room or kind < 3:
        return bytes([chance.randrange(256)]) + chance.randbytes(chance.choice((0, 1, 2, 4, 8, 12)))
    if kind < 5:
        text = chance.randbytes(chance.randrange(6))
        width, codes = chance.choice(((1, b"\xd9\xc4"), (2, b"\xda\xc5"), (4, b"\xdb\xc6")))
        return bytes([chance.choice(codes)]) + _fits(claim(chance, len(text)), width) + text
    if kind == 5:
        data = chance.randbytes(chance.choice((1, 2, 4, 8, 12, 16)))
        code = chance.choice((-1, 0, 5, 127)) & 0xFF
        return b"\xc7" + _fits(claim(chance, len(data)), 1) + bytes([code]) + data
    number = chance.randrange(5)
    parts = [msgpack_object(chance, room - 1) for _ in range(number * (kind - 5))]
    width, codes = chance.choice(((2, b"\xdc\xde"), (4, b"\xdd\xdf")))
    return bytes([codes[kind - 6]]) + _fits(claim(chance, number), width) + b"".join(parts)


def _array(chance: random.Random) -> bytes:
    return b"\xdd" + _fits(chance.choice(LENGTHS), 4)


def _fits(number: int, width: int) -> bytes:
    return (number & (1 << 8 * width) - 1).to_bytes(width, "big")


def _nested(chance: random.Random, heads: Sequence[bytes]) -> bytes:
    return chance.choice(heads) * chance.choice((10, 100, 399, 402, 1000, 2000)) + b"\x01"


TAGS = [*range(6), *range(21, 40), 43, 52, 54, 100, *range(256, 264), 1004, 43000, 55799, 2**32]
SPECIAL = [float("nan"), float("inf"), -0.0, 1e308, -62135596801.0, 1e18, 0.5]


def cbor_item(chance: random.Random, room: int = 5) -> bytes:
    """A CBOR item whose lengths may lie and whose tags may be out of place; or deep nesting."""
    if room == 5 and chance.random() < 0.05:
        heads = [b"\x81", b"\x9f", b"\xa1\x01", b"\xa1", b"\xc1", b"\xd9\x01\x02\x81", b"\xd8\x1c"]
        return _nested(chance, heads)
    major = chance.randrange(8)
    if major in (4, 5) and room:
        number = chance.randrange(5)
        parts = b"".join(cbor_item(chance, room - 1) for _ in range(number * (major - 3)))
        if chance.random() < 0.2:
            return bytes([major << 5 | 31]) + parts + b"\xff"
        return _head(chance, major, claim(chance, number)) + parts
    if major == 6 and room:
        return _head(chance, 6, chance.choice(TAGS)) + cbor_item(chance, room - 1)
    if major in (2, 3):
        text = chance.choice((b"2020-02-29T12:30:00Z", b"2020-02-29", b"a+", chance.randbytes(16)))
        text = text[: chance.randrange(30)]
        return _head(chance, major, claim(chance, len(text))) + text
    if major == 7:
        return chance.choice(
            (
                b"\xfb" + struct.pack(">d", chance.choice(SPECIAL)),
                bytes([chance.randrange(0xE0, 256)]),
            )
        )
    return _head(chance, major % 2, chance.choice(LENGTHS))


def _head(chance: random.Random, major: int, number: int) -> bytes:
    if number < 24 and chance.random() < 0.7:
        return bytes([major << 5 | number])
    size = sized(chance, number % 2**64)
    return bytes([major << 5 | 24 + len(size).bit_length() - 1]) + size


GRAMMARS: dict[str, Way] = {"json": json_text, "msgpack": msgpack_object, "cbor": cbor_item}
