"""Who brings which serializer and backend: registration and lookup by name.

A plugin is a module with one or both hooks below, named by an entry point of the group
"agentzero". Nothing is scanned or imported before a name is asked for that is not built in.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import shlex
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pluggy

from agentzero.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Available", "Catalogue", "Plugins", "Registry", "hookimpl", "register"]

Factory: TypeAlias = Callable[..., Any]
Kind: TypeAlias = Literal["serializer", "backend"]

GROUP = "agentzero"

hookimpl = pluggy.HookimplMarker("agentzero")
hookspec = pluggy.HookspecMarker("agentzero")


@hookspec
def agentzero_register_serializers(registry: Registry) -> None:
    """Add serializers to the registry; `registry.add("yaml", YAML)` is all there is to do."""


@hookspec
def agentzero_register_backends(registry: Registry) -> None:
    """Add backends to the registry, as `agentzero_register_serializers` adds serializers."""


@dataclass(frozen=True)
class Available:
    """What is known of one name.

    Attributes:
        factory: what makes it: a callable, or the "module:attribute" where that is found.
        distribution: who brings it: a distribution, or a module registered by hand.
        problem: why it cannot be used and what mends that, or None where it can.
        ignored: distributions that claim the name of a built-in, in vain.
    """

    factory: Factory | str
    distribution: str
    problem: str | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Offer:
    """One name that one distribution brings."""

    name: str
    factory: Factory | str
    distribution: str
    requires: str | None
    install: str | None

    @property
    def problem(self) -> str | None:
        if self.requires is None or _is_installed(self.requires):
            return None
        mends = shlex.quote(self.install or self.requires)
        return f"{self.requires} is not installed: pip install {mends}"

    def load(self) -> Factory:
        """The callable itself, imported now where it was named as text."""
        if not isinstance(self.factory, str):
            return self.factory
        try:
            factory: Factory = pkgutil.resolve_name(self.factory)
        except Exception as error:
            raise PluginError(
                f"{self.name!r} of {self.distribution} cannot be imported from {self.factory}: "
                f"{_describe(error)}"
            ) from error
        return factory


class Registry:
    """What a hook is handed: it collects the names that one distribution brings.

    >>> registry = Registry("agentzero-yaml")
    >>> registry.add("yaml", "agentzero_yaml:YAML", requires="yaml", install="PyYAML")
    """

    def __init__(self, distribution: str) -> None:
        self._distribution = distribution
        self._offers: list[_Offer] = []

    def add(
        self,
        name: str,
        factory: Factory | str,
        *,
        requires: str | None = None,
        install: str | None = None,
    ) -> None:
        """Offer `factory` under `name`.

        Args:
            name: what users ask for.
            factory: called without arguments to make one, or "module:attribute" for a callable
                that is imported when it is first asked for.
            requires: a module without which it cannot be used. Its presence is looked up when
                somebody asks; it is never imported here.
            install: what `pip install` is to be given when that module is missing; the
                module's name where left out.

        Raises:
            TypeError: `name` is no str, or `factory` neither callable nor str.
        """
        if not isinstance(name, str):
            raise TypeError(f"a name must be a str, not {name!r}")
        if not isinstance(factory, str) and not callable(factory):
            raise TypeError(f"the factory of {name!r} must be callable, not {factory!r}")
        self._offers.append(_Offer(name, factory, self._distribution, requires, install))


class Plugins:
    """The plugins of a process: modules with hooks, and the distribution each came with.

    >>> plugins = Plugins()
    >>> plugins.register(threading)  # a module without hooks is harmless
    >>> [distribution for _, distribution in plugins.members]
    ['threading']
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.members: list[tuple[object, str]] = []
        self.broken: dict[str, str] = {}
        self._untold: list[str] = []
        self._scanned = False
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(sys.modules[__name__])

    def register(self, module: object, distribution: str | None = None) -> None:
        """Add a module (or any object) with hooks; again is harmless.

        `distribution` is what errors and `available()` call it; its own name where left out.

        Raises:
            pluggy.PluginValidationError: a hook takes arguments that it is not given.
        """
        name = distribution or str(getattr(module, "__name__", type(module).__name__))
        with self.lock:
            if not self._manager.is_registered(module):
                self._manager.register(module, name=f"{name} {id(module)}")
                self.members.append((module, name))

    def scan(self) -> None:
        """Load every module that entry points name; the second time does nothing."""
        with self.lock:
            if not self._scanned:
                self._scanned = True
                # Imported late, as it is half the cost of importing this library.
                from importlib import metadata

                for entry_point in metadata.entry_points(group=GROUP):
                    self._load(entry_point)

    def offers(self, kind: Kind, module: object, distribution: str) -> list[_Offer]:
        """What one module brings of one kind; nothing, and a warning, where its hook raises."""
        registry = Registry(distribution)
        others = [member for member, _ in self.members if member is not module]
        hook = self._manager.subset_hook_caller(f"agentzero_register_{kind}s", others)
        try:
            hook(registry=registry)
        except Exception as error:
            self._note(distribution, error)
            return []
        return registry._offers

    def warn(self) -> None:
        """Tell of the plugins found broken since the last time."""
        # Not said on the spot: where warnings are errors, it would leave the scan half done.
        with self.lock:
            untold, self._untold = self._untold, []
        for text in untold:
            warnings.warn(text, RuntimeWarning, stacklevel=4)

    def _load(self, entry_point: EntryPoint) -> None:
        distribution = entry_point.dist.name if entry_point.dist else entry_point.value
        try:
            self.register(entry_point.load(), distribution)
        except Exception as error:
            self._note(distribution, error)

    def _note(self, distribution: str, error: Exception) -> None:
        self.broken[distribution] = why = _describe(error)
        self._untold.append(f"the plugin {distribution} is broken and left out: {why}")


_installed = Plugins()


def register(module: object) -> None:
    """Add a plugin of this process by hand, as an entry point would; again is harmless.

    Args:
        module: a module (or any object) with one or both hooks.

    Raises:
        pluggy.PluginValidationError: a hook takes arguments that it is not given.

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
    _installed.register(module)


class Catalogue:
    """Everything of one kind by name: the built-ins first, then what plugins bring.

    A plugin cannot take a built-in's name: that name always means the built-in, and
    `available()` tells who claimed it. A name that two plugins claim means neither.

    Args:
        kind: "serializer" or "backend".
        builtins: the module whose hook brings the built-ins.
        plugins: where the others are registered; those of this process where left out.

    >>> from agentzero import serializers
    >>> Catalogue("serializer", serializers).find("json").__name__
    'JSON'
    """

    def __init__(self, kind: Kind, builtins: object, plugins: Plugins | None = None) -> None:
        self._kind = kind
        self._builtins = builtins
        self._plugins = plugins or _installed
        self._offers: dict[str, list[_Offer]] = {}
        self._asked: set[int] = set()

    def find(self, name: str) -> Factory:
        """The factory of that name; a built-in's is found without looking for plugins.

        Raises:
            PluginError: nobody brings the name, two plugins do, or it cannot be used here; the
                text says what is known instead, who they are, or what is to be installed.
        """
        offers = self._own(name) or self._all().get(name)
        if not offers:
            raise PluginError(self._unknown(name))
        problem = _problem(offers)
        if problem:
            raise PluginError(f"{self._kind} {name!r} cannot be used: {problem}")
        return offers[0].load()

    def available(self) -> dict[str, Available]:
        """Every name, in order, with what is known of it.

        >>> from agentzero import serializers
        >>> serializers.available()["msgpack"].distribution
        'agentzero'
        """
        return {name: self._summary(name, offers) for name, offers in sorted(self._all().items())}

    def _own(self, name: str) -> list[_Offer]:
        """The built-in of that name, if there is one."""
        with self._plugins.lock:
            self._plugins.register(self._builtins, GROUP)
            self._ask(self._builtins, GROUP)
            return [offer for offer in self._offers.get(name, ()) if offer.distribution == GROUP]

    def _all(self) -> dict[str, list[_Offer]]:
        with self._plugins.lock:
            self._plugins.register(self._builtins, GROUP)
            self._plugins.scan()
            for module, distribution in self._plugins.members:
                self._ask(module, distribution)
            offers = {name: list(rivals) for name, rivals in self._offers.items()}
        self._plugins.warn()
        return offers

    def _ask(self, module: object, distribution: str) -> None:
        if id(module) not in self._asked:
            self._asked.add(id(module))
            for offer in self._plugins.offers(self._kind, module, distribution):
                self._offers.setdefault(offer.name, []).append(offer)

    def _summary(self, name: str, offers: list[_Offer]) -> Available:
        chosen = self._own(name) or offers
        ignored = tuple(offer.distribution for offer in offers if offer not in chosen)
        return Available(chosen[0].factory, _names(chosen), _problem(chosen), ignored)

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(self._all()))
        broken = "".join(f"; {who} is broken: {why}" for who, why in self._plugins.broken.items())
        return f"no {self._kind} is named {name!r}; known are {known}{broken}"


def _problem(offers: list[_Offer]) -> str | None:
    if len(offers) == 1:
        return offers[0].problem
    return f"{_names(offers)} both bring it; uninstall all but one"


def _names(offers: list[_Offer]) -> str:
    return " and ".join(offer.distribution for offer in offers)


def _is_installed(module: str) -> bool:
    try:
        # The top alone, because finding a submodule imports its parents.
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except ValueError:
        return True  # imported already, by means that left no spec


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
