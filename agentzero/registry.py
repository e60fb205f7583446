"""What the author of a plugin writes against: the hooks, and the registry they are handed."""

from __future__ import annotations

import importlib.util
import pkgutil
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import pluggy

from agentzero.errors import PluginError

__all__ = ["Offer", "Registry", "hookimpl"]

Factory: TypeAlias = Callable[..., Any]
Kind: TypeAlias = Literal["serializer", "backend"]

GROUP = "agentzero"

hookimpl: Final = pluggy.HookimplMarker("agentzero")
hookspec: Final = pluggy.HookspecMarker("agentzero")

# What code of others may raise without harm to us; what is left is meant for our caller.
FAULTS = (Exception, SystemExit)

LONGEST = 500  # characters of what is told of an error


@hookspec
def agentzero_register_serializers(registry: Registry) -> None:
    """Add serializers to the registry; `registry.add("yaml", YAML)` is all there is to do."""


@hookspec
def agentzero_register_backends(registry: Registry) -> None:
    """Add backends to the registry, as `agentzero_register_serializers` adds serializers."""


@dataclass(frozen=True)
class Offer:
    """One name that one distribution brings; `Registry.add` tells what its parts are."""

    name: str
    factory: Factory | str
    distribution: str
    requires: str | None = None
    install: str | None = None

    @property
    def problem(self) -> str | None:
        """Why it cannot be used and what mends that, or None where it can.

        >>> Offer("yaml", "agentzero_yaml:YAML", "acme", requires="no_such", install="Y").problem
        'no_such is not installed: pip install Y'
        """
        if self.requires is None or _is_installed(self.requires):
            return None
        mends = shlex.quote(self.install or self.requires)
        return f"{self.requires} is not installed: pip install {mends}"

    def load(self) -> Factory:
        """The callable itself, imported now where it was named as text.

        Raises:
            PluginError: it cannot be imported.
        """
        if not isinstance(self.factory, str):
            return self.factory
        try:
            factory: Factory = pkgutil.resolve_name(self.factory)
        except FAULTS as error:
            raise PluginError(
                f"{self.name!r} of {self.distribution} cannot be imported from {self.factory}: "
                f"{describe(error)}"
            ) from error
        return factory


class Registry:
    """What a hook is handed: it collects the names that one distribution brings.

    >>> registry = Registry("agentzero-yaml")
    >>> registry.add("yaml", "agentzero_yaml:YAML", requires="yaml", install="PyYAML")
    """

    def __init__(self, distribution: str) -> None:
        self._distribution = distribution
        self._offers: list[Offer] = []

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
            TypeError: `factory` is neither callable nor str, or another one is no str.
            ValueError: `name` is empty, or has spaces around it.
        """
        if not isinstance(name, str):
            raise TypeError(f"a name must be a str, not {name!r}")
        if not name or name != name.strip():
            raise ValueError(f"a name must not be empty or have spaces around it: {name!r}")
        if not isinstance(factory, str) and not callable(factory):
            raise TypeError(f"the factory of {name!r} must be callable, not {factory!r}")
        for word in (requires, install):
            if not isinstance(word, str | None):
                raise TypeError(f"what {name!r} requires must be a str, not {word!r}")
        self._offers.append(Offer(name, factory, self._distribution, requires, install))


def describe(error: BaseException) -> str:
    """An error in one line, not too long.

    >>> describe(OSError("no disk"))
    'OSError: no disk'
    """
    try:
        text = str(error)
    except Exception as failure:
        text = f"its text cannot be told ({type(failure).__name__})"
    return " ".join(f"{type(error).__name__}: {text}"[:LONGEST].split())


def _is_installed(module: str) -> bool:
    try:
        # The top alone, because finding a submodule imports its parents.
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except Exception:
        return True  # imported by means that left no spec, or a finder fails: using it will tell
