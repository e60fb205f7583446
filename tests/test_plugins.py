"""Plugins: found late, by name, and harmless to each other when broken."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from agentzero import plugins
from agentzero.errors import PluginError
from agentzero.plugins import Catalogue, Plugins, Registry, hookimpl


class Yaml:
    pass


class Builtin:
    pass


def plugin(name: str, *offers: tuple[str, object], **kw: str) -> ModuleType:
    module = ModuleType(name)

    @hookimpl
    def agentzero_register_serializers(registry: Registry) -> None:
        for offered, factory in offers:
            registry.add(offered, factory, **kw)  # type: ignore[arg-type]

    module.agentzero_register_serializers = (  # type: ignore[attr-defined]
        agentzero_register_serializers
    )
    return module


def raising(name: str) -> ModuleType:
    module = ModuleType(name)

    @hookimpl
    def agentzero_register_serializers(registry: Registry) -> None:
        registry.add("half", Yaml)
        raise OSError("no disk")

    module.agentzero_register_serializers = (  # type: ignore[attr-defined]
        agentzero_register_serializers
    )
    return module


WRONG_ARGUMENT = """
from agentzero import plugins

@plugins.hookimpl
def agentzero_register_serializers(wrong): ...
"""


class World:
    """A process's plugins: modules registered by hand, and distributions with entry points."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plugins = Plugins()
        self.scans = 0
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._entry_points = metadata.entry_points
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(metadata, "entry_points", self._scan)

    def _scan(self, *, group: str) -> metadata.EntryPoints:
        self.scans += 1
        return self._entry_points(group=group)

    def catalogue(self) -> Catalogue:
        builtins = plugin("builtins", ("plain", Builtin))
        return Catalogue("serializer", builtins, self.plugins)

    def install(
        self, distribution: str, module: ModuleType | None = None, source: str = ""
    ) -> None:
        """Put a real distribution on the path, whose entry point is that module."""
        name = distribution.replace("-", "_")
        info = self._folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[agentzero]\nit = {name}_plugin\n")
        if module is None:
            (self._folder / f"{name}_plugin.py").write_text(source)
        else:
            self._monkeypatch.setitem(sys.modules, f"{name}_plugin", module)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_plugin_is_found_by_its_entry_point(world: World) -> None:
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    assert catalogue.find("yaml") is Yaml
    assert catalogue.available()["yaml"] == plugins.Available(Yaml, "acme-yaml")


def test_a_built_in_is_found_without_looking_for_plugins(world: World) -> None:
    assert world.catalogue().find("plain") is Builtin
    assert world.scans == 0


def test_entry_points_are_read_once_for_all_names_and_kinds(world: World) -> None:
    catalogue = world.catalogue()
    backends = Catalogue("backend", ModuleType("backends"), world.plugins)
    for look in (catalogue.available, backends.available, catalogue.available):
        look()
    with pytest.raises(PluginError):
        catalogue.find("nobody")
    assert world.scans == 1


def test_threads_that_ask_first_at_once_share_one_scan(world: World) -> None:
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    start = threading.Barrier(8)

    def ask(_: int) -> Callable[..., object]:
        start.wait()
        return catalogue.find("yaml")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {Yaml}
    assert world.scans == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library", "no_such_library"),
        ("1/0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        (WRONG_ARGUMENT, "wrong"),
    ],
)
def test_a_broken_plugin_warns_once_by_name_and_spoils_nothing(
    world: World, source: str, reason: str
) -> None:
    world.install("acme-broken", source=source)
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    with pytest.warns(RuntimeWarning, match=rf"acme-broken.*{reason}") as caught:
        assert catalogue.find("yaml") is Yaml
    assert len(caught) == 1
    assert sorted(catalogue.available()) == ["plain", "yaml"]


def test_a_warning_that_is_an_error_is_raised_once(world: World) -> None:
    world.install("acme-broken", source="1/0")
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    with pytest.raises(RuntimeWarning, match="acme-broken"):
        catalogue.find("yaml")
    assert catalogue.find("yaml") is Yaml


def test_a_hook_that_raises_warns_once_and_brings_nothing(world: World) -> None:
    world.plugins.register(raising("m"), "acme-raising")
    world.plugins.register(plugin("n", ("yaml", Yaml)), "acme-yaml")
    catalogue = world.catalogue()
    with pytest.warns(RuntimeWarning, match="acme-raising.*no disk") as caught:
        assert sorted(catalogue.available()) == ["plain", "yaml"]
    assert len(caught) == 1
    assert catalogue.find("yaml") is Yaml


def test_an_unknown_name_lists_the_known_and_the_broken(world: World) -> None:
    world.plugins.register(raising("m"), "acme-raising")
    world.plugins.register(plugin("n", ("yaml", Yaml)), "acme-yaml")
    catalogue = world.catalogue()
    with pytest.warns(RuntimeWarning):
        catalogue.available()
    with pytest.raises(PluginError, match=r"'yml'; known are plain, yaml; acme-raising is broken"):
        catalogue.find("yml")


def test_two_plugins_of_one_name_are_an_error_when_it_is_asked_for(world: World) -> None:
    world.plugins.register(plugin("m", ("yaml", Yaml), ("other", Yaml)), "acme-yaml")
    world.plugins.register(plugin("n", ("yaml", Yaml)), "better-yaml")
    catalogue = world.catalogue()
    assert catalogue.find("other") is Yaml
    with pytest.raises(PluginError, match="acme-yaml and better-yaml both bring it"):
        catalogue.find("yaml")
    entry = catalogue.available()["yaml"]
    assert entry.distribution == "acme-yaml and better-yaml"
    assert "uninstall" in str(entry.problem)


def test_a_plugin_cannot_take_a_built_in_s_name(world: World) -> None:
    world.plugins.register(plugin("m", ("plain", Yaml)), "acme-plain")
    catalogue = world.catalogue()
    entry = catalogue.available()["plain"]
    assert (entry.factory, entry.problem, entry.ignored) == (Builtin, None, ("acme-plain",))
    assert catalogue.find("plain") is Builtin


def test_what_needs_a_missing_module_says_what_mends_it(world: World) -> None:
    module = plugin("m", ("yaml", Yaml), requires="no_such.library", install="acme[yaml]")
    world.plugins.register(module, "acme")
    catalogue = world.catalogue()
    problem = "no_such.library is not installed: pip install 'acme[yaml]'"
    assert catalogue.available()["yaml"].problem == problem
    with pytest.raises(PluginError) as caught:
        catalogue.find("yaml")
    assert problem in str(caught.value)


def test_what_is_needed_is_looked_up_but_not_imported(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needed_library.py").write_text("1/0")
    world.plugins.register(plugin("m", ("yaml", Yaml), requires="needed_library"), "acme")
    assert world.catalogue().find("yaml") is Yaml
    monkeypatch.setitem(sys.modules, "needed_library", SimpleNamespace(__spec__=None))
    assert world.catalogue().find("yaml") is Yaml


def test_a_factory_named_as_text_is_imported_when_asked_for(world: World) -> None:
    offers = ("path", "pathlib:Path"), ("gone", "pathlib:Gone"), ("lost", "no_such_module:X")
    world.plugins.register(plugin("m", *offers), "acme")
    catalogue = world.catalogue()
    assert catalogue.find("path") is Path
    assert catalogue.available()["gone"].factory == "pathlib:Gone"
    for name in ("gone", "lost"):
        with pytest.raises(PluginError, match=f"'{name}' of acme cannot be imported"):
            catalogue.find(name)


@pytest.mark.parametrize("offer", [("yaml", 5), (5, Yaml)])
def test_nonsense_is_refused_by_the_registry(offer: tuple[str, object]) -> None:
    with pytest.raises(TypeError):
        Registry("acme").add(*offer)  # type: ignore[arg-type]


def test_registering_again_changes_nothing(world: World) -> None:
    module = plugin("acme_module", ("yaml", Yaml))
    world.plugins.register(module)
    world.plugins.register(module, "another name")
    assert world.catalogue().available()["yaml"].distribution == "acme_module"


def test_a_plugin_registered_late_is_found(world: World) -> None:
    catalogue = world.catalogue()
    assert list(catalogue.available()) == ["plain"]
    world.plugins.register(plugin("m", ("yaml", Yaml)))
    assert catalogue.find("yaml") is Yaml


def test_a_name_s_entry_is_frozen(world: World) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.catalogue().available()["plain"].problem = "x"  # type: ignore[misc]
