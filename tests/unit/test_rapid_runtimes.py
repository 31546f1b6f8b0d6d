"""Which library computes the rapid engine's networks, and what its version says of it."""

from __future__ import annotations

import pytest

from ocrqueue.errors import EngineUnavailable
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.rapid import RapidEngine, runtimes


def test_it_is_onnx_runtime_unless_the_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtimes.chosen_runtime(load_worker_settings()) == "onnxruntime"
    assert runtimes.chosen_runtime(load_worker_settings(rapid_runtime="openvino")) == "openvino"
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert runtimes.chosen_runtime(load_worker_settings()) == "onnxruntime"
    with pytest.raises(EngineUnavailable, match=r"openvino is not installed.*ocrqueue-worker\[rapid-openvino\]"):
        RapidEngine(load_worker_settings(rapid_runtime="openvino"))


def test_the_version_says_in_which_precision_it_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has read stands in the cache for no other."""
    versions = {RapidEngine(load_worker_settings()).info(()).version}
    for has_units in (True, False):
        monkeypatch.setattr(runtimes, "multiplies_bfloat16", lambda has_units=has_units: has_units)
        versions.add(RapidEngine(load_worker_settings(rapid_runtime="openvino")).info(()).version)
    assert len(versions) == 3
    assert sum("openvino 20" in version for version in versions) == 2
    assert sum("bfloat16" in version for version in versions) == 1
