"""What a user has who installed it: wheels in a clean environment, and plugins of others."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.environments import Environment
from tests.processes import ROOT

# The first test builds and installs everything.
pytestmark = pytest.mark.timeout(300)

# What a program asks for, one after another, and what it is told.
ASK = """
import json, sys, warnings
from agentzero import backends, serializers

def ask(question):
    try:
        return eval(question)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    answers = [ask(question) for question in sys.argv[1:]]
warned = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
print(json.dumps([answers, warned], default=str))
"""

EXCHANGE = """
import zmq
from agentzero import SocketManager
with SocketManager({manager}) as sockets:
    for name, kind in (("in", zmq.PULL), ("out", zmq.PUSH)):
        sockets.create(name, kind{create})
    sockets.bind("in", "inproc://jobs")
    sockets.connect("out", "inproc://jobs")
    sockets.send("out", {{"due": "2020-02-29", "tags": {{"new"}}}})
    print(sockets.recv_multipart("in") if {raw} else sockets.recv("in"))
"""

TRIO = """
import trio
import zmq
from agentzero import AsyncSocketManager

async def main():
    async with AsyncSocketManager({manager}) as sockets:
        sockets.ensure_and_bind("in", zmq.PULL, "inproc://jobs")
        sockets.ensure_and_connect("out", zmq.PUSH, "inproc://jobs")
        await sockets.send("out", 1)
        print(sockets.backend.name, await sockets.recv("in"))

trio.run(main)
"""


@pytest.fixture(scope="module")
def good(environment: Environment) -> Environment:
    """An environment with the plugins of the examples and what their tests need."""
    return environment.plus("agentzero-yaml[test]", "agentzero-trio[test]")


def ask(environment: Environment, *questions: str) -> tuple[list[Any], list[str]]:
    """What those expressions give, and the warnings meanwhile."""
    ended = environment.run("-c", ASK, *questions)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    answers, warned = json.loads(ended.stdout)
    return answers, warned


def test_the_wheel_has_the_kits_and_the_types(environment: Environment) -> None:
    names = ZipFile(environment.wheels["agentzero"]).namelist()
    assert {"agentzero/py.typed", "agentzero/testing/__init__.py"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "examples", "benchmarks"))]


def test_it_comes_without_extras(environment: Environment) -> None:
    program = (
        "import agentzero, sys; print(agentzero.__file__); agentzero.SocketManager().close_all()"
    )
    assert environment.says(program).startswith(str(environment.folder))
    answers, warned = ask(
        environment,
        "backends.resolve('gevent')",
        "{name: entry.problem for name, entry in backends.available().items()}",
        "{name: entry.problem for name, entry in serializers.available().items()}",
        "__import__('agentzero.testing')",
    )
    mends = "gevent is not installed: pip install 'agentzero[gevent]'"
    assert answers[:3] == [
        f"PluginError: backend 'gevent' cannot be used: {mends}",
        {"asyncio": None, "gevent": mends, "threads": None},
        {"cbor": None, "json": None, "msgpack": None},
    ]
    assert answers[3].startswith("ModuleNotFoundError")
    assert "pip install 'agentzero[testing]'" in answers[3]
    assert warned == []


@pytest.mark.parametrize(
    ("manager", "create", "variables"),
    [
        ("serialization_backend='yaml'", "", {}),
        ("", ", serializer='yaml'", {}),
        ("", "", {"AGENTZERO_SERIALIZER": "yaml"}),
    ],
    ids=["argument", "socket", "variable"],
)
def test_a_serializer_is_found_by_its_name(
    good: Environment, manager: str, create: str, variables: dict[str, str]
) -> None:
    program = EXCHANGE.format(manager=manager, create=create, raw=False)
    assert good.says(program, **variables) == "{'due': '2020-02-29', 'tags': {'new'}}"
    raw = EXCHANGE.format(manager=manager, create=create, raw=True)
    assert "!!set" in good.says(raw, **variables)


@pytest.mark.parametrize(
    ("manager", "variables"),
    [("backend='trio'", {}), ("", {"AGENTZERO_ASYNC_BACKEND": "trio"})],
    ids=["argument", "variable"],
)
def test_a_backend_is_found_by_its_name(
    good: Environment, manager: str, variables: dict[str, str]
) -> None:
    assert good.says(TRIO.format(manager=manager), **variables) == "trio 1"


def test_each_name_is_listed_with_who_brings_it(good: Environment) -> None:
    answers, warned = ask(
        good, "vars(serializers.available()['yaml'])", "vars(backends.available()['trio'])"
    )
    rest: dict[str, object] = {"problem": None, "ignored": []}
    yaml = {"factory": "agentzero_yaml.serializer:YAML", "distribution": "agentzero-yaml"}
    trio = {"factory": "agentzero_trio.backend:TrioBackend", "distribution": "agentzero-trio"}
    assert (answers, warned) == ([yaml | rest, trio | rest], [])


@pytest.mark.parametrize("plugin", ["agentzero-yaml", "agentzero-trio"])
def test_the_tests_of_a_plugin_pass_where_it_is_installed(
    good: Environment, plugin: str, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "plugins" / plugin / "tests", tmp_path / "tests")
    ended = good.run("-m", "pytest", "-q", "-x", "-W", "error", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        ("acme-raises", "RuntimeError: this machine has no licence"),
        ("acme-exits", "SystemExit: this machine has no licence"),
        ("acme-misspelt", "unknown hook 'agentzero_register_serialisers'"),
        ("acme-imports", "No module named 'acme_absent'"),
    ],
)
def test_a_broken_plugin_warns_once_by_its_name_and_spoils_nothing(
    environment: Environment, plugin: str, reason: str
) -> None:
    broken = environment.plus("--no-deps", plugin, "acme-first")
    name = plugin.removeprefix("acme-")
    answers, warned = ask(
        broken,
        "serializers.resolve('json')",
        "serializers.resolve('first')",
        "sorted(backends.available())",
        f"serializers.available()['{name}'].problem",
        f"serializers.resolve('{name}')",
        "backends.resolve('thread')",
    )
    assert answers[:2] == ["JSON()", "JSON()"]
    assert {"asyncio", "gevent", "threads", "shared"} <= set(answers[2])
    assert reason in answers[3]
    for error in answers[4:]:
        assert "PluginError: no " in error
        assert f"{plugin} is broken: " in error
        assert reason in error
    (warning,) = warned
    assert warning.startswith(f"RuntimeWarning: the plugin {plugin} is broken and left out: ")
    assert reason in warning


def test_where_warnings_are_errors_a_broken_plugin_spoils_nothing(
    environment: Environment,
) -> None:
    broken = environment.plus("--no-deps", "acme-raises", "acme-first")
    program = "from agentzero.serializers import resolve; print(resolve('first'))"
    ended = broken.run("-W", "error", "-c", program)
    assert (ended.returncode, ended.stdout) == (0, "JSON()\n")
    assert "the plugin acme-raises is broken" in ended.stderr


def test_two_plugins_of_one_name_are_both_told_when_it_is_asked_for(
    environment: Environment,
) -> None:
    answers, warned = ask(
        environment.plus("--no-deps", "acme-first", "acme-second"),
        "serializers.resolve('first')",
        "serializers.resolve('shared')",
        "backends.resolve('shared')",
        "serializers.available()['shared'].problem",
    )
    assert answers[0] == "JSON()"
    for answer in answers[1:]:
        assert "acme-first" in answer
        assert "acme-second" in answer
        assert "uninstall all but one" in answer
    assert warned == []


def test_a_plugin_cannot_take_the_name_of_a_built_in_one(environment: Environment) -> None:
    answers, warned = ask(
        environment.plus("--no-deps", "acme-usurper"),
        "serializers.resolve('json')",
        "backends.resolve('threads').name",
        "[serializers.available()['json'].ignored, backends.available()['threads'].ignored]",
        "serializers.resolve('json')",
    )
    assert answers == ["JSON()", "threads", [["acme-usurper"]] * 2, "JSON()"]
    assert warned == []


@pytest.mark.parametrize("plugin", ["acme-requires", "acme-imports"])
def test_doing_what_a_problem_says_mends_it(environment: Environment, plugin: str) -> None:
    name = plugin.removeprefix("acme-")
    question = f"serializers.available()['{name}'].problem"
    lacking = environment.plus("--no-deps", plugin)
    (problem,), _ = ask(lacking, question)
    mended = lacking.plus(*shlex.split(problem.partition("pip install ")[2]))
    assert ask(mended, question, f"serializers.resolve('{name}')") == ([None, "JSON()"], [])


@pytest.mark.parametrize("kind", ["serializers", "backends"])
def test_what_a_factory_does_wrong_is_told_with_its_plugin(
    environment: Environment, kind: str
) -> None:
    answers, warned = ask(
        environment.plus("--no-deps", "acme-makes-nothing"),
        f"{kind}.resolve('needs')",
        f"{kind}.resolve('none')",
        f"{kind}.available()['none'].problem",
    )
    thing = kind.removesuffix("s")
    assert answers[0].startswith(f"PluginError: the {thing} 'needs' of acme-makes-nothing fails")
    assert answers[1] == (
        f"PluginError: the {thing} 'none' of acme-makes-nothing is none: its factory returns None"
    )
    assert answers[2] is None
    assert warned == []
