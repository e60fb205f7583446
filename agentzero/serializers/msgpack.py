"""MessagePack."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import msgpack
import msgspec

from agentzero.serializers.base import BaseSerializer, unreadable, unwritable
from agentzero.serializers.forms import form_of

__all__ = ["MSGPACK"]


class MSGPACK(BaseSerializer):
    """MessagePack. Bytes, and keys of its own types, stay what they are; integers end at 64 bits.

    Timestamps of other programs are read as aware datetimes, other extensions as
    `msgpack.ExtType`.

    >>> MSGPACK().unpack(MSGPACK().pack({1: b"raw"}))
    {1: b'raw'}
    """

    def pack(self, item: Any) -> bytes:
        """The item as MessagePack.

        Raises:
            SerializationError: an integer beyond 64 bits, a lone surrogate, or nesting deeper
                than Python's recursion limit.

        >>> MSGPACK().pack(2**64)
        Traceback (most recent call last):
          ...
        agentzero.errors.SerializationError: cannot be written as MessagePack: OverflowError: an integer of 65 bits
        """  # noqa: E501
        try:
            packed: bytes = _packer().pack(item)
            _check(packed)
        except MemoryError:
            raise
        except Exception as error:
            raise unwritable("MessagePack", error) from error
        return packed

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: they are not one whole MessagePack object, or are nested deeper
                than Python's recursion limit.

        >>> MSGPACK().unpack(b"")
        Traceback (most recent call last):
          ...
        agentzero.errors.DeserializationError: cannot be read as MessagePack: DecodeError: Input data was truncated
        """  # noqa: E501
        try:
            _check(item)
            return _read(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable("MessagePack", item, error) from error


# msgpack makes room for what a length claims before it reads on: nested claims of a message of
# 5 KB would take 40 MB. So it reads only what holds all that it claims. To find that out, msgspec
# skips over it, which takes no memory and a tenth of the time, but follows no nesting as deep as
# msgpack does; so nothing is written that would not pass.
_check = msgspec.msgpack.Decoder(msgspec.Raw).decode


_COLLISIONS = 100


def _read(item: bytes) -> Any:
    try:
        return _loads(item)
    except TypeError:  # an array is a key: too seldom to look at every key of every message
        return _loads(item, object_pairs_hook=_hashable)


def _hashable(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    frozen = [(_frozen(key), value) for key, value in pairs]
    # A stranger can make any number of tuples of one hash, and filling a dict with them takes a
    # time that grows with the square of their number.
    hashes = Counter(hash(key) for key, _ in frozen)
    if frozen and hashes.most_common(1)[0][1] > _COLLISIONS:
        raise ValueError(f"more than {_COLLISIONS} keys of one hash")
    return dict(frozen)


def _frozen(key: Any) -> Any:
    return tuple(map(_frozen, key)) if isinstance(key, list) else key


def _form(item: object) -> object:
    if isinstance(item, int):
        raise OverflowError(f"an integer of {item.bit_length()} bits")
    return msgspec.to_builtins(item, builtin_types=(bytes, bytearray, memoryview), enc_hook=form_of)


_loads = partial(msgpack.unpackb, strict_map_key=False, timestamp=3)

# A packer keeps its buffer between calls and is not for two threads at once, so each message
# has its own; the default buffer of 256 KiB would cost more than the packing.
_packer = partial(msgpack.Packer, default=_form, buf_size=1024)
