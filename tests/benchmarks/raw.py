"""The limit: Tesseract in-process and nothing else. Each process reads all images, so that no core ever waits."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from tests.benchmarks.stage import CORES

_state: dict[str, Any] = {}


def _load(files: Sequence[Path], tessdata: str) -> None:
    import tesserocr

    _state["images"] = [path.read_bytes() for path in files]
    _state["api"] = tesserocr.PyTessBaseAPI(path=tessdata, lang="eng")
    _read(_state["images"][0], as_bytes=False)


def _read(data: bytes, as_bytes: bool) -> str:
    api = _state["api"]
    with Image.open(BytesIO(data)) as image:
        image.load()
        if as_bytes:
            depth = len(image.getbands())
            api.SetImageBytes(image.tobytes(), image.width, image.height, depth, image.width * depth)
        else:
            api.SetImage(image)
    api.Recognize()
    return str(api.GetTSVText(0))


def _read_all(as_bytes: bool) -> int:
    return sum(len(_read(data, as_bytes)) > 0 for data in _state["images"])


@contextmanager
def raw_tesseract(files: Sequence[Path], tessdata: Path) -> Iterator[Callable[[bool], float]]:
    """A function that reads all images in each of two warm processes, and returns images a second.

    Its argument: whether to hand the pixels over with SetImageBytes rather than SetImage, which encodes a BMP first
    and so states 96 dpi.
    """
    os.environ["OMP_THREAD_LIMIT"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(CORES, context, _load, (list(files), f"{tessdata}/")) as pool:

        def rate(as_bytes: bool) -> float:
            begin = time.perf_counter()
            read = sum(pool.map(_read_all, [as_bytes] * CORES))
            return read / (time.perf_counter() - begin)

        rate(False)  # both processes are up after it, and take one call each from then on
        yield rate
