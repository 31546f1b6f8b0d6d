"""The gateway: submissions beside a bare route, many who wait, large uploads."""

from tests.benchmarks.gateway.command import gateway

__all__ = ["gateway"]
