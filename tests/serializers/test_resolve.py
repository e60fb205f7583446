"""Which serializer is meant, and what it takes to write one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

import agentzero.serializers
from agentzero.errors import PluginError
from agentzero.serializers import JSON, BaseSerializer, Serializer, available, resolve


class Words(BaseSerializer):
    """As written for the old AgentZero: text out, bytes in."""

    def initialize(self, separator: str = " ") -> None:
        self.separator = separator

    def pack(self, item: Any) -> str:
        return self.separator.join(item)

    def unpack(self, item: bytes) -> Any:
        return item.decode().split(self.separator)


class Duck:
    def pack(self, item: Any) -> bytes:
        return b""

    def unpack(self, item: bytes) -> Any:
        return None


def test_an_old_serializer_works_unchanged() -> None:
    words = Words(separator="-")
    assert words.unpack(str(words.pack(["to", "be"])).encode()) == ["to", "be"]


@pytest.mark.parametrize("instance", [Words(), Duck(), JSON()], ids=type)
def test_an_instance_means_itself(instance: Serializer) -> None:
    assert resolve(instance) is instance


def test_a_name_means_what_is_registered(name: str) -> None:
    assert type(resolve(name)).__name__ == name.upper()


def test_nothing_means_the_environment_s_choice_else_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTZERO_SERIALIZER", raising=False)
    assert isinstance(resolve(), JSON)
    monkeypatch.setenv("AGENTZERO_SERIALIZER", "cbor")
    assert type(resolve()).__name__ == "CBOR"
    monkeypatch.setenv("AGENTZERO_SERIALIZER", "")
    assert isinstance(resolve(), JSON)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(PluginError, match=r"no serializer is named 'jsn'.*cbor.*json.*msgpack"):
        resolve("jsn")


@pytest.mark.parametrize("spec", [5, ..., JSON, b"json"], ids=repr)
def test_anything_else_is_a_type_error(spec: Any) -> None:
    with pytest.raises(TypeError, match="pack and unpack"):
        resolve(spec)


def test_the_built_in_ones_are_available_and_usable() -> None:
    mine = {name: entry for name, entry in available().items() if entry.distribution == "agentzero"}
    assert sorted(mine) == ["cbor", "json", "msgpack"]
    assert {entry.problem for entry in mine.values()} == {None}


@pytest.mark.parametrize("name", ["CBOR", "JSON", "MSGPACK"])
def test_each_class_can_be_imported_from_the_package(name: str) -> None:
    assert getattr(agentzero.serializers, name).__name__ == name
    assert name in agentzero.serializers.__all__


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'YAML'"):
        agentzero.serializers.YAML  # noqa: B018


def test_a_missing_library_is_named_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)
    assert available()["cbor"].problem == "cbor2 is not installed: pip install cbor2"
    with pytest.raises(PluginError, match="pip install cbor2"):
        resolve("cbor")


def test_a_serializer_can_be_pickled(serializer: Serializer) -> None:
    assert type(pickle.loads(pickle.dumps(serializer))) is type(serializer)


def test_a_base_serializer_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="pack"):
        BaseSerializer().pack(1)
    with pytest.raises(NotImplementedError, match="unpack"):
        BaseSerializer().unpack(b"")


def test_using_json_imports_no_other_format_and_no_plugin() -> None:
    program = (
        "import sys, importlib.metadata as m\n"
        "m.distributions = None\n"
        "from agentzero.serializers import resolve\n"
        "resolve('json').pack([1])\n"
        "print({'msgpack', 'cbor2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
