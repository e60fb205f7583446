"""Draws pipeline.svg: the sockets of a worker pipeline, and what crosses them.

    python docs/pipeline_sockets.py > docs/pipeline.svg

The tests compare the sockets here with those of a pipeline that runs, and the drawing with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Socket:
    """A socket in the drawing.

    Attributes:
        owner: "client", "pipeline" or "worker".
        name: what its manager calls it; "" where it says which worker's it is.
        kind: its ZeroMQ type.
        binds: whether it binds; others connect.
        x, y, width: where it is drawn: its middle, and how wide it is.
        note: what is written in small letters on it, beside its type.
    """

    owner: str
    name: str
    kind: str
    binds: bool
    x: int
    y: int
    width: int = 96
    note: str = ""


@dataclass(frozen=True)
class Flow:
    """What crosses two sockets: from the first to the second, and perhaps back."""

    source: Socket
    target: Socket
    there: str
    back: str = ""


ROUTER = Socket("pipeline", "replies", "ROUTER", True, 450, 116, 272, "answers as a REP")
PUSH = Socket("pipeline", "", "PUSH", False, 526, 196, 120, "per worker")
PULL = Socket("pipeline", "results", "PULL", True, 526, 276, 120)
SUB = Socket("pipeline", "events", "SUB", True, 526, 356, 120)

CLIENT = Socket("client", "pipeline", "DEALER", False, 116, 116)
JOIN = Socket("worker", "pipeline", "DEALER", False, 828, 116, 128)
ORDERS = Socket("worker", "orders", "PULL", True, 828, 196, 128)
RESULTS = Socket("worker", "results", "PUSH", False, 828, 276, 128)
EVENTS = Socket("worker", "events", "XPUB", False, 828, 356, 128)

SOCKETS = (ROUTER, PUSH, PULL, SUB, CLIENT, JOIN, ORDERS, RESULTS, EVENTS)

FLOWS = (
    Flow(CLIENT, ROUTER, "submit", "id"),
    Flow(JOIN, ROUTER, "join", "welcome"),
    Flow(PUSH, ORDERS, "jobs, settled"),
    Flow(RESULTS, PULL, "results"),
    Flow(EVENTS, SUB, "heartbeats, logs"),
)

STYLE = """
  .card { fill: #ffffff; stroke: #8c959f } .page { fill: #f6f8fa }
  text { fill: #1f2328; font: 14px system-ui, -apple-system, "Segoe UI", sans-serif }
  .title { font-weight: 600; font-size: 16px } .small { font-size: 12px; fill: #59636e }
  .kind { font: 600 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  .binds { fill: #0969da; stroke: #0969da } .connects { fill: #ffffff; stroke: #0969da }
  .on { fill: #ffffff } .on.small { fill: #ddf4ff }
  .flow { stroke: #59636e; stroke-width: 1.5; fill: none } .head { fill: #59636e }
  .store { fill: #fff8c5; stroke: #9a6700 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #151b23; stroke: #656c76 } .page { fill: #0d1117 }
    text { fill: #f0f6fc } .small { fill: #9198a1 }
    .binds { fill: #1f6feb; stroke: #1f6feb } .connects { fill: #151b23; stroke: #4493f8 }
    .on.small { fill: #cae8ff }
    .flow { stroke: #9198a1 } .head { fill: #9198a1 }
    .store { fill: #272115; stroke: #d29922 }
  }
"""

MARKER = (
    '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path class="head" d="M0 0 10 5 0 10z"/></marker>'
)


def drawing() -> str:
    """Return the SVG.

    >>> drawing().startswith("<svg")
    True
    """
    return "\n".join([*_frame(), *_boxes(), *map(_flow, FLOWS), *map(_socket, SOCKETS), "</svg>\n"])


def _frame() -> Iterator[str]:
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 490" role="img">'
    yield "<title>The sockets of a worker pipeline</title>"
    yield f"<style>{STYLE}</style>"
    yield f"<defs>{MARKER}</defs>"
    yield '<rect class="page" width="960" height="490" rx="10"/>'


def _boxes() -> Iterator[str]:
    yield from _stack(40, 48, 152, 108)
    yield _text(116, 78, "clients", "title")
    yield _card(300, 48, 300, 356)
    yield _text(450, 78, "pipeline", "title")
    yield from _stack(744, 48, 168, 356)
    yield _text(828, 78, "workers", "title")
    yield _text(828, 392, "any number per step", "small")
    yield from _journal(374, 276)
    yield from _legend(440)


def _stack(x: int, y: int, width: int, height: int) -> Iterator[str]:
    """Yield cards that lie on one another: there may be any number."""
    for offset in (12, 6, 0):
        yield _card(x + offset, y + offset, width, height)


def _card(x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="card" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>'


def _journal(x: int, y: int) -> Iterator[str]:
    yield (
        f'<path class="store" d="M{x - 44} {y - 44}v88a44 12 0 0 0 88 0v-88a44 12 0 0 0 -88 0'
        'a44 12 0 0 0 88 0"/>'
    )
    yield _text(x, y + 2, "journal")
    yield _text(x, y + 20, "every job", "small")


def _legend(y: int) -> Iterator[str]:
    for x, style, words in ((364, "binds", "binds"), (482, "connects", "connects")):
        yield f'<rect class="{style}" x="{x}" y="{y}" width="34" height="18" rx="5"/>'
        yield f'<text class="small" x="{x + 42}" y="{y + 13}">{words}</text>'


def _flow(flow: Flow) -> str:
    right = flow.target.x > flow.source.x
    start = _edge(flow.source, right=right)
    end = _edge(flow.target, right=not right)
    y, middle = flow.source.y, (start + end) // 2
    ends = 'marker-start="url(#head)" ' if flow.back else ""
    words = f"{flow.there} / {flow.back}" if flow.back else flow.there
    line = f'<path class="flow" {ends}marker-end="url(#head)" d="M{start} {y}H{end}"/>'
    return line + "\n" + _text(middle, y - 8, words, "small")


def _edge(socket: Socket, *, right: bool) -> int:
    half = socket.width // 2 + 3
    return socket.x + half if right else socket.x - half


def _socket(socket: Socket) -> str:
    style, on = ("binds", " on") if socket.binds else ("connects", "")
    x, y = socket.x - socket.width // 2, socket.y - 17
    box = f'<rect class="{style}" x="{x}" y="{y}" width="{socket.width}" height="34" rx="6"/>'
    if not socket.note:
        return box + "\n" + _text(socket.x, socket.y + 5, socket.kind, f"kind{on}")
    kind = _text(socket.x, socket.y - 1, socket.kind, f"kind{on}")
    return "\n".join([box, kind, _text(socket.x, socket.y + 12, socket.note, f"small{on}")])


def _text(x: int, y: int, words: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x}" y="{y}" text-anchor="middle">{words}</text>'


if __name__ == "__main__":
    print(drawing(), end="")  # noqa: T201 - that is the product
