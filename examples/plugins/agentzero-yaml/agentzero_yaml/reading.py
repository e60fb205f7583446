"""Bytes of a stranger to plain objects: event by event, with a bound on everything."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import (
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

__all__ = ["DEPTH", "admit", "read"]

DEPTH = 200

# What Python takes at most for the digits of an integer, unless it is told otherwise; the time
# for the sexagesimal integers of YAML grows with the square of their length.
_LONGEST_NUMBER = 4300

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"

# The time that libyaml takes for directives grows with the square of their number, and it reads
# all that follow a document before it says that the document has ended.
_find_directive = re.compile("(?:^|[\n\r\x85\u2028\u2029])\ufeff*+%").search

# A dict of keys whose hashes are equal takes time that grows with the square of their number. The
# hashes of numbers and tuples are no secret, so that a stranger can choose such keys.
_MOST_ALIKE = 100


def read(raw: bytes) -> Any:
    """The item of the one document in `raw`.

    >>> read(b"- 1\\n- yes\\n")
    [1, True]
    """
    text = str(raw, "utf-8")
    if _find_directive(text):
        raise ValueError("directives are refused")
    events = yaml.parse(text, Loader=_LOADER)
    next(events)  # the stream's start
    if not isinstance(next(events), DocumentStartEvent):
        raise ValueError("there is no document in it")
    value = _value(next(events), events, DEPTH)
    next(events)  # the document's end
    if not isinstance(next(events), StreamEndEvent):
        raise ValueError("there is more than one document in it")
    return value


def _value(event: Event, events: Iterator[Event], room: int, key: bool = False) -> Any:
    """What begins with `event`; `key` makes it hashable."""
    if getattr(event, "anchor", None) is not None:
        raise ValueError("anchors and aliases are refused")
    if isinstance(event, ScalarEvent):
        return _scalar(event)
    if not room:
        raise ValueError(f"nested deeper than {DEPTH} levels")
    if isinstance(event, SequenceStartEvent):
        _check_tag(event, "seq")
        items = _items(events, room - 1, key)
        return tuple(items) if key else list(items)
    assert isinstance(event, MappingStartEvent), "nothing else begins a value"
    if event.tag == f"{_TAG}set":
        members = _mapping(events, room - 1).keys()
        return frozenset(members) if key else set(members)
    _check_tag(event, "map")
    if key:
        raise ValueError("a mapping cannot be a key")
    return _mapping(events, room - 1)


def _items(events: Iterator[Event], room: int, key: bool) -> Iterator[Any]:
    while not isinstance(event := next(events), SequenceEndEvent):
        yield _value(event, events, room, key)


def _mapping(events: Iterator[Event], room: int) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    alike: Counter[int] = Counter()
    while not isinstance(event := next(events), MappingEndEvent):
        key = _value(event, events, room, key=True)
        if key in mapping:
            raise ValueError("a key is in it twice")
        admit(key, alike)
        mapping[key] = _value(next(events), events, room)
    return mapping


def admit(key: object, alike: Counter[int]) -> None:
    """Count a key by its hash; too many keys of one hash are refused.

    >>> counted = Counter({hash(1): 100})
    >>> admit(2, counted)
    >>> admit(2**61, counted)
    Traceback (most recent call last):
      ...
    ValueError: more than 100 keys have the same hash
    """
    if type(key) is not str:
        alike[hash(key)] += 1
        if alike[hash(key)] > _MOST_ALIKE:
            raise ValueError(f"more than {_MOST_ALIKE} keys have the same hash")


def _check_tag(event: SequenceStartEvent | MappingStartEvent, kind: str) -> None:
    if event.tag not in {None, "!", _TAG + kind}:
        raise ValueError(f"the tag {event.tag} is refused")


_tag_of = Resolver().resolve
_constructor = SafeConstructor()
_constructors: dict[str | None, Callable[..., Any]] = SafeConstructor.yaml_constructors


def _scalar(event: ScalarEvent) -> Any:
    tag, text = event.tag, event.value
    if tag is None or tag == "!":
        tag = _tag_of(ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
    if tag == f"{_TAG}str":
        return text
    if tag == f"{_TAG}int" and len(text) > _LONGEST_NUMBER:
        raise ValueError(f"an integer of more than {_LONGEST_NUMBER} digits")
    construct = _constructors.get(tag) or _constructors[None]
    value = construct(_constructor, ScalarNode(tag, text))
    if isinstance(value, float) and math.isinf(value) and not text.lower().endswith(".inf"):
        raise ValueError("a number out of range")
    return value
