"""`ocrqueue-worker` and its subcommands.

`program` starts a worker; a module for each subcommand that needs more than a few lines.
"""

from ocrqueue_worker.cli.program import main

__all__ = ["main"]
