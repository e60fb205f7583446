"""The serializer itself; how it writes and reads is next door."""

from __future__ import annotations

from typing import Any

from agentzero.serializers import BaseSerializer, unreadable, unwritable
from agentzero_yaml.reading import read
from agentzero_yaml.writing import write

__all__ = ["YAML"]


class YAML(BaseSerializer):
    """YAML 1.1. Natively bytes, keys of any plain kind, integers of up to 4,300 digits, dates,
    datetimes (aware ones and naive ones) and sets.

    A set inside of a dataclass or Struct becomes a list, as msgspec has no sets.

    >>> print(YAML().pack({"job": 7, "tags": ["new", "yes"]}).decode(), end="")
    job: 7
    tags:
    - new
    - 'yes'
    >>> YAML().unpack(b"{due: 2020-02-29, raw: !!binary AP8=}")
    {'due': datetime.date(2020, 2, 29), 'raw': b'\\x00\\xff'}
    """

    def pack(self, item: Any) -> bytes:
        """The item as YAML in UTF-8.

        Raises:
            SerializationError: an integer of more than 4,300 digits, a lone surrogate, a
                mapping as a key, two keys of one form, more than 100 keys of one hash, or
                nesting of more than 200 levels.

        >>> YAML().pack({1.5: None})
        b'1.5: null\\n'
        """
        try:
            return write(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unwritable("YAML", error) from error

    def unpack(self, item: bytes) -> Any:
        """The item that those bytes stand for.

        Raises:
            DeserializationError: they are not one YAML document in UTF-8 with tags of YAML's
                own; they hold a key twice, a number out of range, or more than 200 levels; or
                they hold what can be made to cost too much: anchors, aliases, directives, and
                more than 100 keys of one hash.

        >>> YAML().unpack(b"[1, 2")
        Traceback (most recent call last):
          ...
        agentzero.errors.DeserializationError: cannot be read as YAML: ParserError: ...
        """
        try:
            return read(item)
        except MemoryError:
            raise
        except Exception as error:
            raise unreadable("YAML", item, error) from error
