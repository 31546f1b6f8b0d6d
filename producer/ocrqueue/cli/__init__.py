"""`ocrqueue`: submit images, follow jobs, fetch results, look at the installation, run it all on one machine.

`program` lists the subcommands; most have a module of their own, which is imported when it is asked for.
"""

from ocrqueue.cli.program import main

__all__ = ["main"]
