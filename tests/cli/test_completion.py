"""`completion`: what shells are told, and what they complete with it."""

from __future__ import annotations

import pytest

from tests.cli.inside import Agent


@pytest.mark.parametrize(
    ("shell", "switched_on_by"),
    [
        ("bash", b"complete -o nosort -F _agentzero_completion agentzero"),
        ("zsh", b"compdef _agentzero_completion agentzero"),
        ("fish", b"complete --no-files --command agentzero"),
    ],
)
def test_each_shell_is_told_in_its_language(
    shell: str, switched_on_by: bytes, agent: Agent
) -> None:
    ran = agent("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert switched_on_by in ran.out


def test_another_shell_is_wrong_usage(agent: Agent) -> None:
    ran = agent("completion", "tcsh")
    assert (ran.code, ran.out) == (2, b"")
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in ran.err


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("agentzero pl", b"plain,plugins"),
        ("agentzero logs --le", b"plain,--level"),
        ("agentzero pipeline sub", b"plain,submit"),
        ("agentzero bench --pattern re", b"plain,req-rep"),
        ("agentzero bench --backend ge", b"plain,gevent"),
        ("agentzero req --serializer ms", b"plain,msgpack"),
        ("agentzero logs --level w", b"plain,WARN plain,WARNING"),
    ],
)
def test_what_is_typed_is_completed(
    typed: str,
    completed: bytes,
    agent: Agent,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("_AGENTZERO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    with pytest.raises(SystemExit) as ended:
        agent()
    assert ended.value.code == 0
    assert capsysbinary.readouterr().out.splitlines() == completed.split()
