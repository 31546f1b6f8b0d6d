"""Throughput of 1 to 64 worker processes against the ideal line, what becomes the limit beyond it, and Redis's memory.

The engine is null with a fixed delay: a process that waits as long as reading a page would take uses no CPU, so that
two cores serve many.
"""

from tests.benchmarks.scale.command import scale

__all__ = ["scale"]
