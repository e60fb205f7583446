"""`agentzero completion`: have a shell complete what is typed."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

PROGRAM = "agentzero"
VARIABLE = "_AGENTZERO_COMPLETE"  # by which click knows that a shell asks


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Have a shell complete what you type.

    To switch it on, add the line below to ~/.bashrc, or to ~/.zshrc with zsh in the place of bash.
    For fish, write what is printed to ~/.config/fish/completions/agentzero.fish.

    \b
    Example:
      eval "$(agentzero completion bash)"
    """
    made = get_completion_class(shell)
    assert made is not None  # click has all three
    click.echo(made(context.find_root().command, {}, PROGRAM, VARIABLE).source())
