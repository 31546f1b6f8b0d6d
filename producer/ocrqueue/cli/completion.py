"""`ocrqueue completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for completion by TAB.

    \b
    bash: eval "$(ocrqueue completion bash)"      in ~/.bashrc
    zsh:  eval "$(ocrqueue completion zsh)"       in ~/.zshrc
    fish: ocrqueue completion fish > ~/.config/fish/completions/ocrqueue.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"No completion for {shell}.")
    root = context.find_root()
    click.echo(found(root.command, {}, "ocrqueue", "_OCRQUEUE_COMPLETE").source())
