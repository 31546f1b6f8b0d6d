"""The null engine: reads nothing, at a set speed, with set faults. For tests, load and rehearsals of failure.

Its faults kill or block the worker that runs it: run its worker where that is wanted, and nowhere else.
"""

from ocrqueue_worker.engines.null.engine import NullEngine, NullOptions

__all__ = ["NullEngine", "NullOptions"]
