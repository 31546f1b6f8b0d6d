"""What decoding costs a process and what it writes: each is seen in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

_MEMORY_PROBE = """
import json, resource, sys, time
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.images.decoding import open_image
from tests.support.hostile_images import HOSTILE, encoded, gif_with_frames
from PIL import Image

def grown(data):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with open_image(data, load_worker_settings()) as image:
            for number in range(1, image.page_count + 1):
                image.page(number)
    except OcrQueueError:
        pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [(after - before) / 1024, time.process_time() - start]

bombs = {name: make() for name, (make, _) in HOSTILE.items() if "bomb" in name or "large" in name}
bombs["million_frames"] = gif_with_frames(1_000_000)
blank = Image.new("L", (2000, 2000), 255)
pages = encoded(blank, "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=[blank] * 99)
print(json.dumps({name: grown(data) for name, data in (bombs | {"pages": pages}).items()}))
"""


def test_bombs_and_long_files_cost_neither_memory_nor_time() -> None:
    """In a process of its own, as peak memory is measured: MiB and CPU seconds for each file, all its pages read."""
    run = subprocess.run([sys.executable, "-c", _MEMORY_PROBE], capture_output=True, text=True, check=True)
    costs = json.loads(run.stdout)
    # 100 pages of 4 MB each would be 400 MB, were they held at once.
    assert costs.pop("pages")[0] < 60
    assert {"png_bomb_60000", "tiff_bomb", "webp_bomb", "gif_bomb", "million_frames"} <= costs.keys()
    assert {name: cost for name, cost in costs.items() if cost[0] > 20 or cost[1] > 2} == {}


def test_decoders_say_nothing_on_standard_error() -> None:
    program = """
from tests.faults.corpus import image_case
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.images.decoding import open_image
for case in (image_case(1, number) for number in range(900)):
    if case.kind.startswith("tiff"):
        try:
            with open_image(case.data, load_worker_settings()) as image:
                for number in range(1, image.page_count + 1):
                    image.page(number)
        except OcrQueueError:
            pass
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    said = [
        line for line in ended.stderr.splitlines() if "More samples per pixel" not in line
    ]  # Pillow's own, by logging
    assert said == []
