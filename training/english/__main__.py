"""`python -m training.english` writes both graphs beside the manifest of `english`, and their sums into it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ocrqueue_worker.engines.keras.models import MANIFEST, SHIPPED
from training.english.detector import write_detector
from training.english.recognizer import write_recognizer


def write(folder: Path) -> None:
    """`folder` has the manifest."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text("utf-8"))
    for part, write_graph in (("detector", write_detector), ("recognizer", write_recognizer)):
        graph = folder / f"{part}.onnx"
        write_graph(graph)
        sha256 = hashlib.sha256(graph.read_bytes()).hexdigest()
        manifest[part]["onnx"] = {"file": graph.name, "sha256": sha256, "takes_weights": True}
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write(SHIPPED / "english")
