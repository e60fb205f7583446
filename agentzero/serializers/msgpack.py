"""MessagePack."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgpack
import msgspec

from agentzero.serializers.base import BaseSerializer, unreadable, unwritable
from agentzero.serializers.forms import form_of

__all__ = ["MSGPACK"]


class MSGPACK(BaseSerializer):
    """MessagePack. Bytes and integer keys stay what they are; integers end at 64 bits.

    Timestamps of other programs are read as aware datetimes, other extensions as
    `msgpack.ExtType`.

    >>> MSGPACK().unpack(MSGPACK().pack({1: b"raw"}))
    {1: b'raw'}
    """

    def pack(self, item: Any) -> bytes:
        """The item as MessagePack.

        Raises:
            SerializationError: an integer beyond 64 bits, a lone surrogate, or nesting of more
                than 1,024 levels.

        >>> MSGPACK().pack(2**64)
        Traceback (most recent call last):
          ...
        agentzero.errors.SerializationError: cannot be written as MessagePack: OverflowError: an integer of 65 bits
        """  # noqa: E501
        try:
            packed: bytes = _packer().pack(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unwritable("MessagePack", error) from error
        return packed

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: they are not one whole MessagePack object.

        >>> MSGPACK().unpack(b"")
        Traceback (most recent call last):
          ...
        agentzero.errors.DeserializationError: cannot be read as MessagePack: ValueError: Unpack failed: incomplete input
        """  # noqa: E501
        try:
            return msgpack.unpackb(item, strict_map_key=False, timestamp=3)
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable("MessagePack", item, error) from error


def _form(item: object) -> object:
    if isinstance(item, int):
        raise OverflowError(f"an integer of {item.bit_length()} bits")
    return msgspec.to_builtins(item, builtin_types=(bytes, bytearray, memoryview), enc_hook=form_of)


# A packer keeps its buffer between calls and is not for two threads at once, so each message
# has its own; the default buffer of 256 KiB would cost more than the packing.
_packer = partial(msgpack.Packer, default=_form, buf_size=1024)
