"""Bytes that were made to break whoever reads them, in the syntaxes of common formats."""

from __future__ import annotations

import html
import json
import os
import pickle
import shlex
import struct
import zlib
from pathlib import Path

__all__ = ["BOMB", "DEPTH", "Exploit", "bombs", "canaries", "malformed", "nests"]

DEPTH = 200_000
BOMB = 256 * 2**20

_OPENINGS = {
    "[": b"[",
    '{"a":': b'{"a":',
    '[{"a":': b'[{"a":',
    "(": b"(",
    "{": b"{",
    "-": b"-",
    "MessagePack arrays": b"\x91",
    "MessagePack maps": b"\x81\x01",
    "CBOR arrays": b"\x81",
    "CBOR endless arrays": b"\x9f",
    "CBOR maps": b"\xa1\x01",
    "CBOR keys": b"\xa1",
    "CBOR tags": b"\xc1",
    "CBOR sets": b"\xd9\x01\x02\x81",
    "YAML sequences": b"- ",
    "YAML keys": b"? ",
    "YAML anchors": b"&a [",
    "XML": b"<a>",
    "bencode lists": b"l",
    "bencode dicts": b"d1:a",
    "UBJSON": b"[[]",
    "TOML keys": b"a.",
    "PHP": b"a:1:{i:0;",
    "ASN.1": b"\x30\x80",
    "protobuf groups": b"\x0b",
}
_CLOSED = {"lists": b"[]", "parentheses": b"()", "CBOR": b"\x9f\xff", "bencode": b"le"}


def nests() -> dict[str, bytes]:
    """Nesting that is 200,000 levels deep, in many syntaxes."""
    opened = {f"nested {name}": opening * DEPTH for name, opening in _OPENINGS.items()}
    closed = {
        f"nested {name} that end": both[:1] * DEPTH + both[1:] * DEPTH
        for name, both in _CLOSED.items()
    }
    indented = b"".join(b" " * depth + b"a:\n" for depth in range(2000))
    return opened | closed | {"nested indentation": indented}


def bombs() -> dict[str, bytes]:
    """Small messages that claim to be large, or would become it."""
    most = b"\xff" * 8
    long, length = b"\x7f" + b"\xff" * 7, b"\x7f\xff\xff\xff"
    claims = {
        f"a length of {name}": head
        for name, head in {
            "MessagePack arrays": b"\xdd\xff\xff\xff\xff",
            "MessagePack maps": b"\xdf\xff\xff\xff\xff",
            "MessagePack texts": b"\xdb\xff\xff\xff\xff",
            "MessagePack bytes": b"\xc6\xff\xff\xff\xff",
            "MessagePack extensions": b"\xc9\xff\xff\xff\xff\x01",
            **{f"CBOR {head:#x}": bytes([head]) + long for head in (0x5B, 0x7B, 0x9B, 0xBB)},
            **{f"CBOR {head:#x}, most": bytes([head]) + most for head in (0x5B, 0x7B, 0x9B, 0xBB)},
            **{f"CBOR {head:#x}": bytes([head]) + length for head in (0x5A, 0x7A, 0x9A, 0xBA)},
            "CBOR big numbers": b"\xc2\x5b" + long,
            "CBOR powers": b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
            "bencode": b"9999999999:a",
            "UBJSON": b"[#l" + length,
            "BSON": b"\xff\xff\xff\x7f\x02a\x00" + length[::-1],
            "protobuf": b"\x0a\xff\xff\xff\xff\x07",
            "pickle": b"\x80\x04\x8e" + long[::-1],
            "marshal": b"[" + length[::-1],
            "PHP": b"a:2147483647:{",
            "a size in front": length + b"a",
        }.items()
    }
    return claims | _nested_claims(8000) | _nested_claims(DEPTH) | _expansions()


def _nested_claims(length: int) -> dict[str, bytes]:
    """Each of a thousand levels claims the length of all, which alone would be believed."""
    size = struct.pack(">I", length)
    heads = {
        "MessagePack arrays": b"\xdd" + size,
        "MessagePack maps": b"\xdf" + size + b"\x01",
        "CBOR arrays": b"\x9a" + size,
        "CBOR maps": b"\xba" + size + b"\x01",
        "UBJSON": b"[#l" + size,
    }
    return {
        f"nested lengths of {name}, each {length}": (head * 1000).ljust(length, b"\x01")
        for name, head in heads.items()
    }


def _expansions() -> dict[str, bytes]:
    entities = b"".join(
        b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
    )
    aliases = b"".join(
        b"a%d: &a%d [%s]\n" % (level, level, b",".join([b"*a%d" % (level - 1)] * 9))
        for level in range(1, 10)
    )
    packer = zlib.compressobj(1)
    zeros = b"".join(packer.compress(bytes(2**20)) for _ in range(BOMB // 2**20)) + packer.flush()
    return {
        "XML entities": b'<!DOCTYPE l [<!ENTITY l0 "l">' + entities + b"]><l>&l9;</l>",
        "YAML aliases": b"a0: &a0 [l, l, l]\n" + aliases,
        "compressed zeros": zeros,
        "a power of ten": b"1e999999999",
    }


def malformed() -> dict[str, bytes]:
    """What parsers and the types they make are known to stumble over."""
    raws = [
        *(b"", b" ", b"\n", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf1", b"\xc0\x80"),
        *(b'"\xff"', b'"\\ud800"', b"\xed\xa0\x80", b"'a", b'"', b"\\", b"\xa1\xff", b"\x61\xff"),
        *(b"{", b"}", b"[1", b"1 2", b"{}{}", b'{"a":1}\x00', b"[1,]", b"{,}", b"a: b: c"),
        *(b"NaN", b"-Infinity", b"1e400", b".inf", b"0x", b"0o9", b"1_", b"-", b"+", b".", b"~"),
        *(b"{[1]: 2}", b"? {a: 1}\n: b", b"*a", b"&a *a", b"&a [*a]", b"!a b", b"!!set [a]", b"%"),
        *(b"<<: 1", b"!!int a", b"!!float a", b"!!binary a", b"!!timestamp a", b"!!null a"),
        *(b"2020-13-41", b"9999-99-99T99:99:99Z", b"0001-01-01T00:00:00+23:59", b"60:60:60"),
        *(b"a = 1\na = 2", b"[a]\n[a]", b"a = 1979-02-30", b"<a", b"<a></b>", b"<!DOCTYPE"),
        *(b"\xc1", b"\xd4\xff\x00", b"\xc7\x0c\xff" + b"\xff" * 12, b"\xd4\xfea", b"\x81\x90\x01"),
        *(b"\x81\x80\x01", b"\x1c", b"\xa1\x80", b"\x9f\x01", b"\xc0\x61a", b"\t- a"),
        *(b"\xc1\xfb\x7f\xef" + b"\xff" * 6, b"\xc4\x01", b"\xc4\x82\x61a\x01", b"\xd8\x25\x41a"),
        *(b"i", b"ie", b"i-0e", b"-1:a", b"d", b"le", b"5:a", b"\x80\x04", b".", b"N.", b"c\n\n."),
    ]  # fmt: skip
    long = {
        "a number of 200,000 digits": b"1" * DEPTH,
        "a fraction of 200,000 digits": b"0." + b"1" * DEPTH,
        "a CBOR number of 200,000 bytes": b"\xc2\x5a" + struct.pack(">I", DEPTH) + b"\xff" * DEPTH,
        "a CBOR fraction of 200,000 bytes": b"\xc4\x82\x00\xc2\x5a"
        + struct.pack(">I", DEPTH)
        + b"\xff" * DEPTH,
        "200,000 spaces": b" " * DEPTH,
        "200,000 quotes": b'"' * DEPTH,
        "200,000 backslashes": b"\\" * DEPTH,
        "200,000 times 0xff": b"\xff" * DEPTH,
        "every byte": bytes(range(256)),
    }
    return {f"{raw!r}": raw for raw in raws} | long


class Exploit:
    """An object that makes a folder where whoever reads it does as it says, as pickle does.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return "an exploit"

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._path),)


def canaries(folder: Path) -> dict[str, tuple[bytes, Path]]:
    """Messages that make something where reading them executes code, each with what it makes."""
    made = {name: folder / f"made-{number}" for number, name in enumerate(_programs(folder))}
    return {name: (_programs(path)[name], path) for name, path in made.items()}


def _programs(path: Path) -> dict[str, bytes]:
    command = f"touch {shlex.quote(str(path))}"
    quoted, file = json.dumps(command), json.dumps(str(path))
    programs = {
        "Python": f"__import__('os').system({command!r})",
        "a YAML call": f"!!python/object/apply:os.system [{quoted}]",
        "a YAML process": f"!!python/object/apply:subprocess.Popen [[touch, {file}]]",
        "a YAML object": f"!!python/object/apply:builtins.open\nargs: [{file}, w]",
        "a YAML state": (
            "!!python/object/new:type\nargs: [z, !!python/tuple [], "
            "{extend: !!python/name:exec }]\n"
            f"listitems: {json.dumps(f'open({str(path)!r}, chr(119))')}"
        ),
        "a Ruby YAML object": "--- !ruby/object:Gem::Installer\ni: x",
        "jsonpickle": (
            f'{{"py/reduce": [{{"py/function": "os.system"}}, {{"py/tuple": [{quoted}]}}]}}'
        ),
        "a JSON class": f'{{"__class__": "os.system", "__args__": [{quoted}]}}',
        "an XML call": f"<python><call>os.system</call><arg>{html.escape(command)}</arg></python>",
    }
    pickles = {
        f"pickle, protocol {number}": pickle.dumps(Exploit(path), number)
        for number in range(pickle.HIGHEST_PROTOCOL + 1)
    }
    return pickles | {name: program.encode() for name, program in programs.items()}
