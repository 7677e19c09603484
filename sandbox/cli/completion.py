"""``egress completion``: scripts that make a shell complete commands and options."""

from __future__ import annotations

import click

HOW = {
    "bash": 'eval "$(egress completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(egress completion zsh)"   in ~/.zshrc',
    "fish": "egress completion fish > ~/.config/fish/completions/egress.fish",
}


@click.command(epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in HOW.values()))
@click.argument("shell", type=click.Choice(list(HOW)))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    # Imported here: no other command needs it.
    from click.shell_completion import get_completion_class

    from sandbox.cli.main import egress

    completer = get_completion_class(shell)
    assert completer is not None, "click knows the shells of the choice"
    click.echo(completer(egress, {}, "egress", "_EGRESS_COMPLETE").source())
