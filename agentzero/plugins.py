"""Which plugins there are: modules with hooks, found by their entry points.

A plugin is a module with one or both hooks of `agentzero.registry`, named by an entry point of the
group "agentzero". Nothing is scanned or imported before a name is asked for that is not built in.
What they bring, by name, `agentzero.serializers.available` and `agentzero.backends.available` tell.
"""

from __future__ import annotations

import shlex
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pluggy

from agentzero import registry as hookspecs
from agentzero.registry import FAULTS, GROUP, Kind, Offer, Registry, describe, hookimpl

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["Broken", "Member", "Plugins", "Registry", "hookimpl", "register"]

HOOKS = ("agentzero_register_serializers", "agentzero_register_backends")


@dataclass(frozen=True)
class Broken:
    """A plugin that is left out.

    Attributes:
        name: of its entry point, or of the part that is broken.
        value: what its entry point names; empty where it is another part that is broken.
        distribution: who brings it.
        why: what went wrong.
    """

    name: str
    value: str
    distribution: str
    why: str


@dataclass(frozen=True, eq=False)
class Member:
    """One plugin. Each has hooks of its own, so that none meddles with those of another."""

    module: object
    distribution: str
    hooks: pluggy.PluginManager


class _Doing(threading.local):
    """What one thread is in the midst of, so that a plugin may itself ask for a name."""

    def __init__(self) -> None:
        self.scanning = False
        self.asking: set[tuple[str, Member]] = set()


class Plugins:
    """The plugins of a process: modules with hooks, and the distribution each came with.

    The code of plugins runs without our lock: another thread may be in the midst of importing
    one that itself asks for a name, and each would wait for the other for ever.

    >>> plugins = Plugins()
    >>> plugins.register(threading)  # a module without hooks is harmless
    >>> [member.distribution for member in plugins.members]
    ['threading']
    """

    def __init__(self) -> None:
        self.lock: Final = threading.RLock()
        self.members: list[Member] = []
        self.broken: dict[tuple[str, str], Broken] = {}
        self._untold: list[str] = []
        self._found: list[EntryPoint] | None = None
        self._settled: set[int] = set()
        self._thread = _Doing()

    def register(self, module: object, distribution: str | None = None) -> None:
        """Add a module (or any object) with hooks; again is harmless.

        `distribution` is what errors and `available()` call it; its own name where left out.

        Raises:
            pluggy.PluginValidationError: it has a hook that is none, or is not marked as one, or
                takes arguments that it is not given.
        """
        name = distribution or str(getattr(module, "__name__", type(module).__name__))
        with self.lock:
            if all(member.module is not module for member in self.members):
                self.members.append(Member(module, name, _hooks(module, name)))

    @contextmanager
    def scanned(self) -> Iterator[None]:
        """Every module that entry points name is loaded; at the end, tell of broken ones.

        Where a plugin itself asks meanwhile, it sees what there is so far.
        """
        if self._thread.scanning:
            yield
            return
        self._thread.scanning = True
        try:
            for entry_point in self._entry_points():
                self._load(entry_point)
            yield
        finally:
            self._thread.scanning = False
        self._warn()

    def offers(self, kind: Kind, member: Member) -> list[Offer] | None:
        """What a plugin brings of one kind; nothing, and a warning, where its hook raises.

        None where this thread is in the midst of asking it: what it brings is not known yet.
        """
        registry = Registry(member.distribution)
        name = f"agentzero_register_{kind}s"
        if (name, member) in self._thread.asking:
            return None
        self._thread.asking.add((name, member))
        try:
            _check_plain(getattr(member.hooks.hook, name)(registry=registry))
        except FAULTS as error:
            self._note(name, "", member.distribution, error)
            return []
        finally:
            self._thread.asking.remove((name, member))
        return registry._offers

    def _entry_points(self) -> list[EntryPoint]:
        with self.lock:
            if self._found is None:
                # Imported late, as it is half the cost of importing this library.
                from importlib import metadata

                named = map(self._named_by, metadata.distributions())
                self._found = [entry_point for some in named for entry_point in some]
            return self._found

    def _named_by(self, distribution: Distribution) -> list[EntryPoint]:
        try:
            return list(distribution.entry_points.select(group=GROUP))
        except Exception as error:
            if _is_ours(distribution):
                malformed = ValueError(f"its entry_points.txt is malformed ({describe(error)})")
                self._note("entry_points.txt", "", _name(distribution), malformed)
            return []

    def _load(self, entry_point: EntryPoint) -> None:
        if id(entry_point) in self._settled:
            return
        distribution = _name(entry_point.dist) if entry_point.dist else entry_point.value
        try:
            module = entry_point.load()
            self.register(module, distribution)
            _check_brings(module)
        except FAULTS as error:
            self._note(entry_point.name, entry_point.value, distribution, error)
        self._settled.add(id(entry_point))

    def _note(self, name: str, value: str, distribution: str, error: BaseException) -> None:
        why = describe(error)
        if isinstance(error, ModuleNotFoundError):
            why += f"; what it needs comes with it: pip install {shlex.quote(distribution)}"
        with self.lock:
            if (distribution, name) not in self.broken:
                self.broken[distribution, name] = Broken(name, value, distribution, why)
                self._untold.append(f"the plugin {distribution} is broken and left out: {why}")

    def _warn(self) -> None:
        with self.lock:
            untold, self._untold = self._untold, []
        for text in untold:
            _tell(text)


installed: Final = Plugins()


def register(module: object) -> None:
    """Add a plugin of this process by hand, as an entry point would; again is harmless.

    Args:
        module: a module (or any object) with one or both hooks.

    Raises:
        pluggy.PluginValidationError: it has a hook that is none, or is not marked as one, or
            takes arguments that it is not given.

    >>> from agentzero import plugins, serializers
    >>> class Compact:
    ...     @staticmethod
    ...     @plugins.hookimpl
    ...     def agentzero_register_serializers(registry):
    ...         registry.add("compact", "agentzero.serializers:MSGPACK")
    >>> plugins.register(Compact)
    >>> serializers.resolve("compact")
    MSGPACK()
    """
    installed.register(module)


def _hooks(module: object, name: str) -> pluggy.PluginManager:
    hooks = pluggy.PluginManager(GROUP)
    hooks.add_hookspecs(hookspecs)
    hooks.register(module, name=name)
    hooks.check_pending()
    for hook in HOOKS:
        if hasattr(module, hook) and not getattr(hooks.hook, hook).get_hookimpls():
            raise pluggy.PluginValidationError(
                module, f"{hook} is not marked as agentzero.hookimpl"
            )
    return hooks


def _check_brings(module: object) -> None:
    if not any(hasattr(module, hook) for hook in HOOKS):
        raise pluggy.PluginValidationError(module, f"it has neither {' nor '.join(HOOKS)}")


def _check_plain(returned: list[object]) -> None:
    for result in returned:
        if hasattr(result, "close"):
            result.close()  # a coroutine complains where it is left alone
        raise TypeError(f"its hook is no plain function: calling it gives {result!r}")


def _is_ours(distribution: Distribution) -> bool:
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except Exception:  # it is no text
        return False


def _name(distribution: Distribution) -> str:
    name: object = None
    with suppress(Exception):  # there may be no METADATA
        name = distribution.metadata["Name"]
    return str(name or getattr(distribution, "_path", distribution))


def _tell(text: str) -> None:
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=8)
    except RuntimeWarning:
        # Where warnings are errors, it would fail somebody who never asked for that plugin.
        import logging

        logging.getLogger(__name__).warning(text)
