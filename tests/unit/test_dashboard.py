"""The Grafana dashboard asks for metrics that exist, in expressions that Prometheus understands."""

from __future__ import annotations

import re

from ocrqueue.monitoring.installation_metrics import METRICS as INSTALLATION_METRICS
from ocrqueue.monitoring.installation_metrics import UP
from ocrqueue_worker.lifecycle.metrics_server import GAUGES
from ocrqueue_worker.telemetry import metrics
from tests.support.dashboard import expressions, panels

KNOWN = (UP, *INSTALLATION_METRICS, *metrics.METRICS, *GAUGES)


def test_every_metric_is_on_the_dashboard_and_no_other() -> None:
    served = {
        f"{metric.name}{ending}"
        for metric in KNOWN
        for ending in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))
    }
    asked = {name for expression in expressions() for name in re.findall(r"\bocrqueue_\w+", expression)}
    assert asked <= served
    shown = {metric.name for metric in KNOWN if any(metric.name in name for name in asked)}
    assert shown == {metric.name for metric in KNOWN}


def test_labels_exist() -> None:
    labels = {metric.name: {*metric.labels, "le"} for metric in KNOWN}
    for expression in expressions():
        for name, selector in re.findall(r"\b(ocrqueue_\w+)\{([^}]*)\}", expression):
            metric = name if name in labels else re.sub(r"_(bucket|sum|count)$", "", name)
            assert set(re.findall(r"(\w+)\s*=~?", selector)) <= labels[metric], expression


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
