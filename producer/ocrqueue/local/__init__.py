"""The whole system on one machine: a private Redis, workers, storage in a folder, the gateway.

`ocrqueue local` and the demo run it; no process of it outlives the one that started it.
"""

from ocrqueue.local.system import LocalSystem, has_gateway

__all__ = ["LocalSystem", "has_gateway"]
