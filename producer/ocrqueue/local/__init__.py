"""The whole system on one machine: a private Redis, workers, storage in a folder."""

from ocrqueue.local.system import LocalSystem

__all__ = ["LocalSystem"]
