"""Plugins: found late, by name, and harmless to each other when broken."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy
import pytest

from agentzero import serializers
from agentzero.catalogue import Available, Catalogue
from agentzero.errors import PluginError
from agentzero.plugins import Plugins, Registry, hookimpl


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


HOOK = """
from agentzero import hookimpl

@hookimpl
{} agentzero_register_serializers(registry):
    registry.add("lost", dict)
"""

SHY = """
class Shy(Exception):
    def __str__(self):
        raise ValueError("no text")

raise Shy
"""

WRONG_ARGUMENT = """
from agentzero import plugins

@plugins.hookimpl
def agentzero_register_serializers(wrong): ...
"""


MISSPELT = """
from agentzero import hookimpl

@hookimpl
def agentzero_register_serialisers(registry): ...
"""

UNMARKED = """
def agentzero_register_backends(registry): ...
"""


class World:
    """A process's plugins: modules registered by hand, and distributions with entry points."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plugins = Plugins()
        self.scans = 0
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._distributions = metadata.distributions
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(metadata, "distributions", self._scan)

    def _scan(self) -> Iterable[metadata.Distribution]:
        self.scans += 1
        return self._distributions(path=[str(self._folder)])

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
            self._monkeypatch.setitem(sys.modules, f"{name}_plugin", None)
            del sys.modules[f"{name}_plugin"]
        else:
            self._monkeypatch.setitem(sys.modules, f"{name}_plugin", module)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_plugin_is_found_by_its_entry_point(world: World) -> None:
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    assert catalogue.find("yaml") is Yaml
    assert catalogue.available()["yaml"] == Available(Yaml, "acme-yaml")


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
        ("import sys; sys.exit('no licence')", "no licence"),
        (WRONG_ARGUMENT, "wrong"),
        (MISSPELT, "agentzero_register_serialisers"),
        (UNMARKED, "agentzero_register_backends is not marked as agentzero.hookimpl"),
        ("hook = None", "it has neither agentzero_register_serializers nor"),
        (SHY, "Shy: its text cannot be told"),
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
    listed = catalogue.available()
    assert len(caught) == 1
    assert sorted(listed) == ["it", "plain", "yaml"]
    assert listed["it"].distribution == "acme-broken"
    assert reason in str(listed["it"].problem)


def test_a_broken_plugin_is_tried_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setitem(sys.modules, "acme_world", SimpleNamespace(tried=tried))
    world.install("acme-broken", source="import acme_world; acme_world.tried.append('x'); 1/0")
    catalogue = world.catalogue()
    with pytest.warns(RuntimeWarning):
        catalogue.available()
    catalogue.available()
    assert tried == ["x"]


def test_threads_that_find_a_plugin_broken_at_once_warn_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(4, timeout=20)
    world.install("acme-broken", plugin("m"))

    def load(_: metadata.EntryPoint) -> None:
        together.wait()
        raise OSError("no disk")

    monkeypatch.setattr(metadata.EntryPoint, "load", load)
    catalogue = world.catalogue()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: catalogue.available(), range(4)))
    assert len(caplog.records) == 1


def test_where_warnings_are_errors_a_broken_plugin_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.install("acme-broken", source="1/0")
    world.install("worse", source="2/0")
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    catalogue = world.catalogue()
    assert catalogue.find("yaml") is Yaml
    assert sorted(catalogue.available()) == ["it", "plain", "yaml"]
    assert [name for name in ("acme-broken", "worse") if name in caplog.text] == [
        "acme-broken",
        "worse",
    ]
    assert len(caplog.records) == 2


def test_a_hook_that_raises_warns_once_and_brings_nothing(world: World) -> None:
    world.plugins.register(raising("m"), "acme-raising")
    world.plugins.register(plugin("n", ("yaml", Yaml)), "acme-yaml")
    catalogue = world.catalogue()
    with pytest.warns(RuntimeWarning, match="acme-raising.*no disk") as caught:
        assert sorted(catalogue.available()) == ["plain", "yaml"]
    assert len(caught) == 1
    assert catalogue.find("yaml") is Yaml


@pytest.mark.parametrize("source", [HOOK.format("async def"), HOOK.format("def") + "    yield\n"])
def test_a_hook_that_is_no_plain_function_is_told(world: World, source: str) -> None:
    world.install("acme-late", source=source)
    with pytest.warns(RuntimeWarning, match=r"acme-late.*no plain function"):
        assert list(world.catalogue().available()) == ["plain"]


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


@pytest.mark.parametrize(
    ("offer", "options"),
    [
        (("yaml", 5), {}),
        ((5, Yaml), {}),
        (("", Yaml), {}),
        ((" yaml", Yaml), {}),
        (("yaml", Yaml), {"requires": ["yaml"]}),
        (("yaml", Yaml), {"requires": "yaml", "install": 5}),
    ],
)
def test_nonsense_is_refused_by_the_registry(offer: Any, options: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Registry("acme").add(*offer, **options)


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


@pytest.mark.parametrize("damage", [b"[agentzero]\ngarbage", b"[agentzero]\n = \n", b"\xff\xfe"])
def test_damaged_entry_points_spoil_nothing_else(
    world: World, tmp_path: Path, damage: bytes, recwarn: pytest.WarningsRecorder
) -> None:
    world.install("acme-damaged", ModuleType("m"))
    (tmp_path / "acme_damaged-1.0.dist-info" / "entry_points.txt").write_bytes(damage)
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    assert world.catalogue().find("yaml") is Yaml


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe"])
def test_a_distribution_with_damaged_metadata_is_named_by_its_folder(
    world: World, tmp_path: Path, damage: bytes
) -> None:
    world.install("acme-yaml", plugin("m", ("yaml", Yaml)))
    (tmp_path / "acme_yaml-1.0.dist-info" / "METADATA").write_bytes(damage)
    assert "acme_yaml-1.0" in world.catalogue().available()["yaml"].distribution


ASKS = """
from agentzero import hookimpl, plugins, serializers, SocketManager

SocketManager(serialization_backend="json").close_all()
assert "json" in serializers.available()

@hookimpl
def agentzero_register_serializers(registry):
    assert "json" in serializers.available()
    registry.add("asks", dict)
"""


def test_a_plugin_may_itself_ask_for_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.install("acme-asks", source=ASKS)
    monkeypatch.setattr(serializers._catalogue, "_plugins", world.plugins)
    assert serializers.available()["asks"].distribution == "acme-asks"


WAITS = """
import acme_world
acme_world.importing.set()
acme_world.asking.wait(10)
acme_world.catalogue.available()
"""


def test_a_thread_that_imports_a_plugin_and_one_that_scans_do_not_wait_for_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = world.catalogue()
    importing, asking = threading.Event(), threading.Event()
    shared = SimpleNamespace(importing=importing, asking=asking, catalogue=catalogue)
    monkeypatch.setitem(sys.modules, "acme_world", shared)
    world.install("acme-waits", source=WAITS)
    load = metadata.EntryPoint.load

    def tell_and_load(entry_point: metadata.EntryPoint) -> Any:
        asking.set()
        return load(entry_point)

    monkeypatch.setattr(metadata.EntryPoint, "load", tell_and_load)
    daemons = [
        threading.Thread(target=importlib.import_module, args=("acme_waits_plugin",), daemon=True),
        threading.Thread(target=catalogue.available, daemon=True),
    ]
    daemons[0].start()
    assert importing.wait(10)
    daemons[1].start()
    for thread in daemons:
        thread.join(20)
    assert not any(thread.is_alive() for thread in daemons)


def test_a_scan_that_ctrl_c_ends_goes_on_the_next_time(world: World) -> None:
    world.install("acme-slow", source="import acme_world; acme_world.pause()" + HOOK.format("def"))
    pauses = iter([KeyboardInterrupt, None])

    def pause() -> None:
        if error := next(pauses):
            raise error

    catalogue = world.catalogue()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "acme_world", SimpleNamespace(pause=pause))
        with pytest.raises(KeyboardInterrupt):
            catalogue.available()
        assert list(catalogue.available()) == ["lost", "plain"]
    assert next(pauses, "paused twice") == "paused twice"


def test_one_plugin_that_brings_a_name_twice_is_said_to(world: World) -> None:
    world.plugins.register(plugin("m", ("yaml", Yaml), ("yaml", Builtin)), "acme")
    assert world.catalogue().available()["yaml"].problem == "acme brings it twice"


def test_a_plugin_may_be_an_object_that_cannot_be_hashed(world: World) -> None:
    @dataclasses.dataclass
    class Settings:
        name: str

        @hookimpl
        def agentzero_register_serializers(self, registry: Registry) -> None:
            registry.add(self.name, Yaml)

    world.plugins.register(Settings("yaml"), "acme")
    world.plugins.register(Settings("toml"), "acme")
    world.plugins.register(plugin("m", ("other", Yaml)), "better")
    assert sorted(world.catalogue().available()) == ["other", "plain", "toml", "yaml"]


def test_a_wrapper_of_hooks_sees_no_plugin_but_its_own(world: World) -> None:
    module = ModuleType("m")

    @hookimpl(wrapper=True)
    def agentzero_register_serializers(registry: Registry) -> Generator[None, object, object]:
        yield
        registry.add("wrapped", Yaml)
        raise OSError("no disk")

    module.agentzero_register_serializers = (  # type: ignore[attr-defined]
        agentzero_register_serializers
    )
    world.plugins.register(module, "acme-wrapper")
    world.plugins.register(plugin("n", ("yaml", Yaml)), "acme-yaml")
    with pytest.warns(RuntimeWarning, match="acme-wrapper"):
        assert sorted(world.catalogue().available()) == ["plain", "yaml"]


def test_a_plugin_that_is_refused_is_refused_again(world: World) -> None:
    class Misspelt:
        @staticmethod
        @hookimpl
        def agentzero_register_serialisers(registry: Registry) -> None: ...

    for _ in range(2):
        with pytest.raises(pluggy.PluginValidationError, match="serialisers"):
            world.plugins.register(Misspelt)
    assert world.plugins.members == []


def needs(argument: str) -> Yaml:
    return Yaml()


def fails() -> Yaml:
    raise OSError("no disk")


def exits() -> Yaml:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (needs, "TypeError.*'argument'"),
        (fails, "OSError: no disk"),
        (exits, "SystemExit: 3"),
        (lambda: None, "None"),
        (dict, "{}"),
        ("os:sep", "not callable"),
        ("no module:at all", "cannot be imported"),
    ],
)
def test_a_factory_that_makes_no_such_thing_is_named_with_its_plugin(
    world: World, factory: object, reason: str
) -> None:
    world.plugins.register(plugin("m", ("odd", factory)), "acme")
    with pytest.raises(PluginError, match=f"'odd' of acme .*{reason}"):
        world.catalogue().make("odd", Yaml)


def test_a_factory_that_returns_a_class_makes_no_instance(world: World) -> None:
    world.plugins.register(plugin("m", ("odd", lambda: Yaml)), "acme")
    with pytest.raises(PluginError, match=r"'odd' of acme is none: .*Yaml"):
        world.catalogue().make("odd", object)


def test_what_a_factory_makes_is_handed_out(world: World) -> None:
    world.plugins.register(plugin("m", ("yaml", Yaml)), "acme")
    assert isinstance(world.catalogue().make("yaml", Yaml), Yaml)


@pytest.mark.parametrize("asked", ["yml", "YAML", "yaaml"])
def test_a_near_miss_is_told(world: World, asked: str) -> None:
    world.plugins.register(plugin("m", ("yaml", Yaml)), "acme")
    with pytest.raises(PluginError, match="did you mean 'yaml'"):
        world.catalogue().find(asked)


def test_what_a_plugin_cannot_import_is_told_with_what_mends_it(world: World) -> None:
    world.install("acme-broken", source="import no_such_library")
    with pytest.warns(RuntimeWarning, match="pip install acme-broken"):
        problem = world.catalogue().available()["it"].problem
    assert "pip install acme-broken" in str(problem)


def test_what_a_plugin_brings_is_not_forgotten_by_another_thread_meanwhile(world: World) -> None:
    """While it is being asked it may ask for names itself, and is told of none of its own."""
    catalogue = world.catalogue()
    asked_itself, go_on = threading.Event(), threading.Event()
    module, callers = ModuleType("m"), []

    @hookimpl
    def agentzero_register_serializers(registry: Registry) -> None:
        callers.append(threading.get_ident())
        catalogue.available()
        if callers.count(threading.get_ident()) == 1 == len(callers):
            asked_itself.set()
            assert go_on.wait(20)
        registry.add("mine", Yaml)

    module.agentzero_register_serializers = (  # type: ignore[attr-defined]
        agentzero_register_serializers
    )
    world.plugins.register(module)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(catalogue.find, "mine")
        assert asked_itself.wait(20)
        found = catalogue.find("mine")
        go_on.set()
        assert slow.result(20) is found is Yaml


def test_a_hook_that_fails_in_one_thread_fails_in_no_other(world: World) -> None:
    catalogue, calls = world.catalogue(), iter([0, 1])
    both, failed = threading.Barrier(2), threading.Event()
    module = ModuleType("m")

    @hookimpl
    def agentzero_register_serializers(registry: Registry) -> None:
        number = next(calls)
        both.wait(20)
        if number:
            assert failed.wait(20)
            raise OSError("no disk")
        registry.add("mine", Yaml)

    module.agentzero_register_serializers = (  # type: ignore[attr-defined]
        agentzero_register_serializers
    )
    world.plugins.register(module, "acme")

    def available() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = "mine" in catalogue.available()
        failed.set()
        return found

    with ThreadPoolExecutor(2) as pool:
        assert True in [asked.result(20) for asked in [pool.submit(available) for _ in range(2)]]
    assert catalogue.find("mine") is Yaml
