"""Draws architecture.svg: the rooms of the library in their layers, and a message on its way.

    python docs/architecture_rooms.py > docs/architecture.svg

The tests compare the rooms here with the modules that there are, the layers with what these import,
and the drawing with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """A module of the library, or a package of modules.

    Attributes:
        name: what it is called below agentzero/.
        column: where it is drawn, in columns from the left.
        columns: how many of them it takes.
    """

    name: str
    column: float
    columns: float = 1


@dataclass(frozen=True)
class Layer:
    """Rooms that stand side by side: they import from lower layers, and from the right of theirs.

    Attributes:
        title: what they are there for.
        rooms: from the left.
    """

    title: str
    rooms: tuple[Room, ...]


@dataclass(frozen=True)
class Call:
    """A step on the way of a message: from one room into another.

    Attributes:
        source, target: the names of the rooms.
        column: where the arrow runs down.
        words: what happens there.
    """

    source: str
    target: str
    column: float
    words: str


def row(title: str, *names: str, first: float = 0) -> Layer:
    """Return a layer of rooms that take a column each, the first one in column `first`."""
    return Layer(title, tuple(Room(name, first + place) for place, name in enumerate(names)))


MANAGERS = (Room("core", 0, 1.5), Room("aio", 1.5, 1.5))

LAYERS = (
    row("programs", "__main__", "cli"),
    row("on public names", "pipeline", "testing"),
    row("public names", "__init__"),
    Layer("managers", MANAGERS + row("", "tracking", "base", "books", first=3).rooms),
    row("conversations", "serving", "asking", "attendant", "monitor", "connections", first=3),
    row("waiting", "steps", "lifecycle", "pollset", "loans", "collector", first=2),
    Layer("in and out", (Room("messages", 0), Room("endpoints", 3), Room("subscribers", 4))),
    Layer("one socket", (Room("channel", 1), Room("handed", 3))),
    row("security", "screen", "zap", "security", "keys", first=3),
    Layer(
        "plugins",
        (
            Room("serializers", 0),
            *row("", "backends", "green", "catalogue", "plugins", "registry", first=2).rooms,
        ),
    ),
    row("words", "log", "events", "errors", "deadline", "util", "_version"),
)

WAY = (
    Call("core", "messages", 0, "frames"),
    Call("messages", "serializers", 0, "bytes"),
    Call("core", "channel", 1, "try"),
    Call("core", "steps", 2, "wait"),
    Call("steps", "channel", 2, "try again"),
    Call("steps", "backends", 2, "sleep"),
)

LEFT, TOP, COLUMN, ROW, GAP = 146, 64, 100, 52, 5

STYLE = """
  .page { fill: #f6f8fa } .band { fill: #ffffff; stroke: #d1d9e0 }
  .room { fill: #ffffff; stroke: #8c959f } .on { fill: #0969da; stroke: #0969da }
  text { fill: #1f2328; font: 14px system-ui, -apple-system, "Segoe UI", sans-serif }
  .title { font-weight: 600; font-size: 16px } .small { font-size: 12px; fill: #59636e }
  .name { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  text.on { fill: #ffffff; stroke: none }
  .way { stroke: #0969da; stroke-width: 1.5; fill: none } .head { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .band { fill: #151b23; stroke: #2f3742 }
    .room { fill: #151b23; stroke: #656c76 } .on { fill: #1f6feb; stroke: #1f6feb }
    text { fill: #f0f6fc } .small { fill: #9198a1 }
    .way { stroke: #4493f8 } .head { fill: #4493f8 }
  }
"""

MARKER = (
    '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto"><path class="head" d="M0 0 10 5 0 10z"/></marker>'
)

ROWS = {room.name: number for number, layer in enumerate(LAYERS) for room in layer.rooms}
ROOMS = {room.name: room for layer in LAYERS for room in layer.rooms}
VISITED = {name for call in WAY for name in (call.source, call.target)} | {"aio"}


def drawing() -> str:
    """Return the SVG.

    >>> drawing().startswith("<svg")
    True
    """
    rooms = map(_room, ROOMS.values())
    return "\n".join([*_frame(), *_bands(), *map(_arrow, WAY), *rooms, *_legend(), "</svg>\n"])


def _frame() -> Iterator[str]:
    height = TOP + ROW * len(LAYERS) + 52
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" role="img">'
    yield "<title>The rooms of AgentZero</title>"
    yield f"<style>{STYLE}</style>"
    yield f"<defs>{MARKER}</defs>"
    yield f'<rect class="page" width="960" height="{height}" rx="10"/>'
    yield _text(24, 38, "agentzero/", "title", "start")


def _bands() -> Iterator[str]:
    for number, layer in enumerate(LAYERS):
        y = TOP + ROW * number
        yield f'<rect class="band" x="12" y="{y}" width="936" height="{ROW - 4}" rx="6"/>'
        yield _text(24, y + ROW // 2 + 2, layer.title, "small", "start")


def _room(room: Room) -> str:
    x, width = _x(room.column) - (COLUMN - GAP) / 2, COLUMN * room.columns - GAP
    y, on = _y(room.name), " on" if room.name in VISITED else ""
    box = f'<rect class="room{on}" x="{x:g}" y="{y - 15}" width="{width:g}" height="30" rx="5"/>'
    return box + "\n" + _text(x + width / 2, y + 4, room.name, f"name{on}")


def _arrow(call: Call) -> str:
    x, start, end = _x(call.column), _y(call.source) + 15, _y(call.target)
    if ROOMS[call.target].column < call.column:  # round the corner, into its side
        x, side = x - 30, _x(ROOMS[call.target].column) + COLUMN / 2
        return _line(
            f"M{x:g} {start}V{end}H{side:g}", _text(x - 6, start + 41, call.words, "small", "end")
        )
    return _line(
        f"M{x:g} {start}V{end - 18}", _text(x + 6, start + 41, call.words, "small", "start")
    )


def _line(path: str, words: str = "") -> str:
    return f'<path class="way" marker-end="url(#head)" d="{path}"/>' + words


def _legend() -> Iterator[str]:
    y = TOP + ROW * len(LAYERS) + 28
    yield _line(f"M24 {y - 4}h34", _text(66, y, "the way of a message", "small", "start"))
    yield _text(936, y, "imports run down, and in a layer to the right", "small", "end")


def _x(column: float) -> float:
    return LEFT + COLUMN * column + COLUMN / 2


def _y(name: str) -> int:
    return TOP + ROW * ROWS[name] + ROW // 2 - 2


def _text(x: float, y: int, words: str, style: str, anchor: str = "middle") -> str:
    return f'<text class="{style}" x="{x:g}" y="{y}" text-anchor="{anchor}">{words}</text>'


if __name__ == "__main__":
    print(drawing(), end="")  # noqa: T201 - that is the product
