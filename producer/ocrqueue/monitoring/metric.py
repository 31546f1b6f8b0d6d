"""A metric as it is declared: what Prometheus is told of it, and what docs/monitoring.md says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """Named by Prometheus's conventions: https://prometheus.io/docs/practices/naming/."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Of a histogram, the upper bounds."""
