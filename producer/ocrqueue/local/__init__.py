"""The whole system on one machine: a private Redis, workers, storage in a folder.

`ocrqueue local` and the demo run it; no process of it outlives the one that started it.
"""

from ocrqueue.local.system import LocalSystem

__all__ = ["LocalSystem"]
