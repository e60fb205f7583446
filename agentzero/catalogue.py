"""Serializers and backends by name: the built-in ones, and what plugins bring."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import Any

from agentzero.errors import PluginError
from agentzero.plugins import Member, Plugins, installed
from agentzero.registry import FAULTS, GROUP, Factory, Kind, Offer, describe

__all__ = ["Available", "Catalogue"]


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
        self._plugins = plugins or installed
        self._offers: dict[Member, list[Offer]] = {}

    def find(self, name: str) -> Factory:
        """The factory of that name; a built-in's is found without looking for plugins.

        Raises:
            PluginError: nobody brings the name, two plugins do, or it cannot be used here; the
                text says what is known instead, who they are, or what is to be installed.
        """
        return self._chosen(name).load()

    def make(self, name: str, product: type | UnionType) -> Any:
        """What the factory of that name makes; it is a `product`.

        Raises:
            PluginError: as in `find`, or the factory fails or makes something else.

        >>> from agentzero import serializers
        >>> Catalogue("serializer", serializers).make("json", serializers.Serializer)
        JSON()
        """
        offer = self._chosen(name)
        factory = offer.load()
        try:
            made = factory()
        except FAULTS as error:
            raise PluginError(f"{self._called(offer)} fails: {describe(error)}") from error
        if isinstance(made, type) or not isinstance(made, product):
            raise PluginError(f"{self._called(offer)} is none: its factory returns {made!r}")
        return made

    def available(self) -> dict[str, Available]:
        """Every name, in order, with what is known of it.

        A plugin that cannot be imported is listed under the name of its entry point.

        >>> from agentzero import serializers
        >>> serializers.available()["msgpack"].distribution
        'agentzero'
        """
        found = {name: self._summary(name, offers) for name, offers in self._all().items()}
        for broken in list(self._plugins.broken.values()):
            if broken.value:
                found.setdefault(
                    broken.name, Available(broken.value, broken.distribution, broken.why)
                )
        return dict(sorted(found.items()))

    def _chosen(self, name: str) -> Offer:
        offers = self._own(name) or self._all().get(name)
        if not offers:
            raise PluginError(self._unknown(name))
        problem = _problem(offers)
        if problem:
            raise PluginError(f"{self._kind} {name!r} cannot be used: {problem}")
        return offers[0]

    def _own(self, name: str) -> list[Offer]:
        """The built-in of that name, if there is one."""
        self._plugins.register(self._builtins, GROUP)
        for member in list(self._plugins.members):
            if member.module is self._builtins:
                return [offer for offer in self._brought_by(member) if offer.name == name]
        return []

    def _all(self) -> dict[str, list[Offer]]:
        self._plugins.register(self._builtins, GROUP)
        offers: dict[str, list[Offer]] = {}
        with self._plugins.scanned():
            for member in list(self._plugins.members):
                for offer in self._brought_by(member):
                    offers.setdefault(offer.name, []).append(offer)
        return offers

    def _brought_by(self, member: Member) -> list[Offer]:
        if member in self._offers:
            return self._offers[member]
        offers = self._plugins.offers(self._kind, member)
        with self._plugins.lock:
            # Several threads may ask: that one failed does not undo what another was told.
            if offers or (offers is not None and member not in self._offers):
                self._offers[member] = offers
        return offers or []

    def _summary(self, name: str, offers: list[Offer]) -> Available:
        chosen = self._own(name) or offers
        ignored = tuple(offer.distribution for offer in offers if offer not in chosen)
        return Available(chosen[0].factory, _names(chosen), _problem(chosen), ignored)

    def _unknown(self, name: str) -> str:
        known = sorted(self._all())
        broken = "".join(
            f"; {plugin.distribution} is broken: {plugin.why}"
            for plugin in list(self._plugins.broken.values())
        )
        return (
            f"no {self._kind} is named {name!r}; known are {', '.join(known)}"
            f"{broken}{_hint(name, known)}"
        )

    def _called(self, offer: Offer) -> str:
        return f"the {self._kind} {offer.name!r} of {offer.distribution}"


def _problem(offers: list[Offer]) -> str | None:
    if len(offers) == 1:
        return offers[0].problem
    names = _names(offers)
    if names == offers[0].distribution:
        return f"{names} brings it twice"
    return f"{names} both bring it; uninstall all but one"


def _names(offers: list[Offer]) -> str:
    return " and ".join(dict.fromkeys(offer.distribution for offer in offers))


def _hint(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name.casefold(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
