"""A model against keras-ocr's Pipeline with the same two networks on photographed pages, page by page in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from tests.benchmarks.accuracy import labelled_images
from tests.benchmarks.keras_programs import keras_ocr_pipeline, make_engine, read_by_pipeline, read_pages
from tests.benchmarks.stage import images_option
from tests.support.accuracy import score_words

STOCK: Final = "keras-ocr"


@click.command()
@images_option
@click.option("--truth", type=click.Choice(["txt", "csv"]), default="csv", show_default=True)
@click.option("--first", type=click.IntRange(1), default=8, show_default=True, help="Images to read, by name.")
@click.option("--model", default="english", show_default=True)
@click.option("--onnx", "exported", help="A folder of the model with ONNX files, if it has none itself.")
@click.option("--threads", type=click.IntRange(1), help="Of each program.  [default: 1, then 2]")
@click.option("--scale", default=2.0, show_default=True)
def photos(
    folder: Path, truth: str, first: int, model: str, exported: str | None, threads: int | None, scale: float
) -> None:
    """Seconds and processor seconds a page, and F1 of words, against keras-ocr's Pipeline with the same networks."""
    if threads is None:
        for number in (1, 2):
            command = [sys.executable, "-m", "tests.benchmarks", *sys.argv[1:], "--threads", str(number)]
            subprocess.run(command, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
        return
    from PIL import Image

    files, true = zip(*labelled_images(folder, truth)[:first], strict=True)
    programs = _programs(model, exported, threads, scale)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    texts: dict[str, list[str]] = {name: [] for name in programs}
    for number, path in enumerate((files[0], *files)):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        for name, read in programs.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            text = read(image)
            spent = time.perf_counter() - begin, time.process_time() - cpu_begin
            if number:  # the first reading of all is to get warm
                seconds[name].append(spent)
                texts[name].append(text)
    print(f"\n{len(files)} images, threads: {threads}, scale {scale:g}\n")
    print("| | s a page | CPU s a page | s, of keras-ocr's | CPU s, of keras-ocr's | F1 | precision | recall |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, pairs in seconds.items():
        score = score_words(zip(true, texts[name], strict=True), fold_case=True)
        wall, cpu = (median(pair[which] for pair in pairs) for which in (0, 1))
        ratios = [
            median(one[which] / other[which] for one, other in zip(pairs, seconds[STOCK], strict=True))
            for which in (0, 1)
        ]
        shares = f"{score.f1:.4f} | {score.precision:.4f} | {score.recall:.4f}"
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {shares} |", flush=True)


def _programs(model: str, exported: str | None, threads: int, scale: float) -> dict[str, Callable[[Any], str]]:
    from ocrqueue_worker.engines.bfloat16 import multiplies_bfloat16
    from ocrqueue_worker.engines.keras.devices import CPU
    from ocrqueue_worker.engines.keras.tensorflow_networks import TensorFlowNetworks

    engine = make_engine("tensorflow", threads, model)
    pipeline = keras_ocr_pipeline(engine)
    pipeline.scale = scale
    programs: dict[str, Callable[[Any], str]] = {
        STOCK: lambda image: "\n".join(word for word, _ in read_by_pipeline(pipeline, image)[0]),
        "TensorFlow": lambda image: str(read_pages(engine, [image], scale=scale)[0].text),
    }
    if engine.model.manifest.detector.bfloat16 and multiplies_bfloat16():
        plain = make_engine("tensorflow", threads, model)
        plain._networks = TensorFlowNetworks(plain.model, CPU, threads)
        programs["TensorFlow, float32"] = lambda image: str(read_pages(plain, [image], scale=scale)[0].text)
    if exported or engine.model.manifest.has_onnx:
        onnx = make_engine("onnx", threads, exported or model)
        programs["ONNX Runtime"] = lambda image: str(read_pages(onnx, [image], scale=scale)[0].text)
    return programs
