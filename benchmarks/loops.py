"""Event loops by name: asyncio's own, uvloop, trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeVar

from side import AsyncRole, Role

T = TypeVar("T")

# Which backend of agentzero waits in which loop.
BACKENDS = {"asyncio": "asyncio", "uvloop": "asyncio", "trio": "trio"}


def run(loop: str, function: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
    """Run a coroutine function to its end in a new loop; return what it returns."""
    if loop == "asyncio":
        return asyncio.run(function(*args))
    result: T
    if loop == "uvloop":
        result = import_module("uvloop").run(function(*args))
    else:
        result = import_module("trio").run(function, *args)
    return result


def blocking(loop: str) -> Callable[[AsyncRole], Role]:
    """Return what makes a function of a coroutine function, by running it in such a loop."""
    return lambda role: lambda count, address: run(loop, role, count, address)
