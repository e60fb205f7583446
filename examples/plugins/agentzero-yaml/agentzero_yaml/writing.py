"""Objects to YAML: as events, so that no object is written as a reference to another one."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.representer import SafeRepresenter
from yaml.resolver import Resolver

from agentzero.serializers import form_of
from agentzero_yaml.reading import DEPTH, admit

__all__ = ["write"]

_NATIVE = (bytes, bytearray, memoryview, datetime.date, datetime.datetime)
_SCALARS = frozenset({type(None), bool, int, float, str, bytes, datetime.date, datetime.datetime})
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_TAG = "tag:yaml.org,2002:"
_QUOTED = ((True, False), (False, True))  # as plain text, and in quotes
_ONE_LINE = 2**31 - 1  # the width of a line: none is folded


def write(item: object) -> bytes:
    """The item as one document.

    >>> write([{1}, "1"])
    b"- !!set\\n  1: null\\n- '1'\\n"
    """
    events: list[Event] = [StreamStartEvent(), DocumentStartEvent(explicit=False)]
    _append(events, _plain(item), DEPTH)
    events += DocumentEndEvent(explicit=False), StreamEndEvent()
    text: str = yaml.emit(events, Dumper=_DUMPER, allow_unicode=True, width=_ONE_LINE)
    return text.encode()


def _append(events: list[Event], item: Any, room: int, key: bool = False) -> None:
    """Append what stands for a plain item."""
    if type(item) in _SCALARS:
        events.append(_scalar(item))
        return
    if not room:
        raise ValueError(f"nested deeper than {DEPTH} levels, or in a circle")
    if isinstance(item, dict):
        if key:
            raise ValueError("a mapping cannot be a key")
        events.append(MappingStartEvent(None, None, implicit=True, flow_style=not item))
        _append_pairs(events, item, room - 1)
    elif isinstance(item, (set, frozenset)):
        events.append(MappingStartEvent(None, f"{_TAG}set", implicit=False, flow_style=not item))
        _append_pairs(events, dict.fromkeys(item), room - 1)
    else:
        events.append(SequenceStartEvent(None, None, implicit=True, flow_style=not item))
        for member in item:
            _append(events, _plain(member), room - 1, key)
        events.append(SequenceEndEvent())


def _append_pairs(events: list[Event], item: dict[Any, Any], room: int) -> None:
    pairs = {_plain(key): value for key, value in item.items()}
    if len(pairs) < len(item):
        raise ValueError("two keys have one form")
    alike: Counter[int] = Counter()
    for key, value in pairs.items():
        admit(key, alike)
        _append(events, key, room, key=True)
        _append(events, _plain(value), room)
    events.append(MappingEndEvent())


def _plain(item: Any) -> Any:
    """The item as one of the kinds that YAML has; what a container holds is left for later."""
    if isinstance(item, datetime.datetime):
        return item if _is_exact(item) else form_of(item)
    if type(item) in _SCALARS or isinstance(item, (dict, list, tuple, set, frozenset)):
        return item
    if isinstance(item, (bytearray, memoryview)):
        return bytes(item)
    return msgspec.to_builtins(item, builtin_types=_NATIVE, enc_hook=form_of)


def _is_exact(item: datetime.datetime) -> bool:
    offset = item.utcoffset() or datetime.timedelta()
    return type(item) is datetime.datetime and not offset % datetime.timedelta(minutes=1)


class _Resolver(Resolver):
    """What plain text would be read as: by YAML 1.1, or by the rules that 1.2 has added."""


_Resolver.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"), None
)
_Resolver.add_implicit_resolver(f"{_TAG}int", re.compile("0o[0-7]+$"), ["0"])

# Only in double quotes they are written so that they are read as what they are.
_has_odd_break = re.compile("[\x85\u2028\u2029]").search

_represent: dict[type, Callable[..., Any]] = SafeRepresenter.yaml_representers
_representer = SafeRepresenter()
_tag_of = _Resolver().resolve


def _scalar(item: object) -> ScalarEvent:
    node = _represent[type(item)](_representer, item)
    tag, text = node.tag, node.value
    implicit = tuple(tag == _tag_of(ScalarNode, text, quoted) for quoted in _QUOTED)  # type: ignore[no-untyped-call]
    style = '"' if _has_odd_break(text) else node.style
    return ScalarEvent(None, tag, implicit, text, style=style)
