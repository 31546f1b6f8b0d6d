"""The clouds' own clients, all protocols at once: how fast, which errors, and whether the gateway's memory is flat."""

from tests.benchmarks.clouds.command import clouds

__all__ = ["clouds"]
