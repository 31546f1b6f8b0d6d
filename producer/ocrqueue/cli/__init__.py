"""`ocrqueue`: submit images, follow jobs, fetch results, look at the installation, run it all on one machine."""

from ocrqueue.cli.program import main

__all__ = ["main"]
