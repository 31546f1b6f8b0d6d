"""The keras engine against keras-ocr's own Pipeline with the same weights, in one process, page by page in turn."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

import click

from tests.benchmarks.accuracy import labelled_images
from tests.benchmarks.keras_photos import photos
from tests.benchmarks.keras_programs import keras_ocr_pipeline, make_engine, read_by_pipeline, read_pages
from tests.benchmarks.memory import print_resident
from tests.benchmarks.stage import images_option
from tests.support.accuracy import score_words

SIZES: Final = ((320, 240), (640, 480), (800, 600), (1024, 768), (1240, 1754), (480, 1600))
"""Width and height of the pages in pixels, before keras-ocr's Pipeline doubles them."""
RUNTIMES: Final = click.Choice(["auto", "tensorflow", "onnx"])
TRADES: Final = ((2.0, 2048), (1.5, 2048), (1.0, 2048), (2.0, 1280), (1.0, 1024), (1.0, 800))

_TOGETHER: Final = 100


@click.group()
def keras() -> None:
    """Speed and accuracy of the keras engine."""


keras.add_command(photos)


@keras.command()
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--model", default="small", show_default=True)
@click.option("--first", type=click.IntRange(1), default=len(SIZES), help="Sizes of pages.  [default: all]")
def speed(rounds: int, model: str, first: int) -> None:
    """Seconds a page against keras-ocr's Pipeline, by page size, runtime and threads: medians of ratios of pairs."""
    for threads in (1, 2):
        arguments = (str(threads), model, str(rounds), str(first))
        command = [sys.executable, "-m", "tests.benchmarks", "keras", "speed-of", *arguments]
        subprocess.run(command, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})


@keras.command("speed-of", hidden=True)
@click.argument("threads", type=int)
@click.argument("model")
@click.argument("rounds", type=int)
@click.argument("first", type=int)
def speed_of(threads: int, model: str, rounds: int, first: int) -> None:
    from tests.support.page_makers import made_page

    engines = {runtime: make_engine(runtime, threads, model) for runtime in ("tensorflow", "onnx")}
    stock = keras_ocr_pipeline(engines["tensorflow"])
    print(f"\nthreads: {threads}\n\n| page | stock, s | words | TensorFlow is | ONNX Runtime is |")
    print("| --- | --- | --- | --- | --- |")
    for size in SIZES[:first]:
        image, words = made_page(Random(1), size, text_px=24)
        calls: dict[str, Callable[[], object]] = {"stock": lambda image=image: read_by_pipeline(stock, image)}  # type: ignore[misc]  # bound now
        for name, engine in engines.items():
            calls[name] = lambda engine=engine, image=image: read_pages(engine, [image])  # type: ignore[misc]  # bound now
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(rounds + 1):
            for name, call in calls.items():
                begin = time.perf_counter()
                call()
                if turn:
                    seconds[name].append(time.perf_counter() - begin)
        ratios = [
            median(one / other for one, other in zip(seconds["stock"], seconds[name], strict=True)) for name in engines
        ]
        print(
            f"| {size[0]} x {size[1]} | {median(seconds['stock']):.2f} | {len(words)} | {ratios[0]:.2f} x "
            f"| {ratios[1]:.2f} x |",
            flush=True,
        )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process, stock and both runtimes together: {peak_mib:.0f} MiB")


@keras.command()
@click.option("--model", default="small", show_default=True)
@click.option("--first", type=click.IntRange(1), help="Samples to read, by name.  [default: all]")
def trade(model: str, first: int | None) -> None:
    """Words found and read, and seconds a page, by the options scale and max_size, over the samples."""
    from PIL import Image

    from ocrqueue_worker.geometry import polygon_iou

    engine = make_engine("tensorflow", 2, model)
    samples = Path(__file__).parents[2] / "samples"
    pages = [(path, json.loads(path.read_text())) for path in sorted(samples.glob("*.json"))]
    pages = [(path, sample) for path, sample in pages if sample["languages"] == ["eng"]]
    pages = [(path, sample) for path, sample in pages if "rotated" not in path.name and "pdf" not in sample["image"]]
    pages = pages[:first]
    print("| scale | max_size | s a page | found | read right |\n| --- | --- | --- | --- | --- |")
    for scale, max_size in TRADES:
        found = right = total = 0
        seconds = []
        for path, sample in pages:
            with Image.open(path.parent / sample["image"]) as opened:
                image = opened.convert("RGB")
            begin = time.perf_counter()
            (page,) = read_pages(engine, [image], scale=scale, max_size=max_size)
            seconds.append(time.perf_counter() - begin)
            read = list(page.words())
            for word in (word for word in sample["words"] if word["page"] == 1):
                total += 1
                best = max(read, key=lambda one: polygon_iou(one.polygon, word["polygon"]), default=None)
                if best is not None and polygon_iou(best.polygon, word["polygon"]) >= 0.5:
                    found += 1
                    right += best.text.casefold() == word["text"].casefold()
        mean_s = sum(seconds) / len(seconds)
        print(
            f"| {scale:g} | {max_size} | {mean_s:.2f} | {found / total:.1%} | {right / max(found, 1):.1%} |", flush=True
        )


@keras.command("accuracy")
@images_option
@click.option("--truth", type=click.Choice(["txt", "csv"]), default="csv", show_default=True)
@click.option("--model", default="english", show_default=True)
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--scale", default=1.0, show_default=True)
@click.option("--easyocr", help="A Python that has EasyOCR, to read the same images with it and the model's weights.")
def accuracy_of_keras(folder: Path, truth: str, model: str, runtime: str, scale: float, easyocr: str | None) -> None:
    """Micro-F1 of words, case folded, and CPU seconds a page on one thread."""
    from PIL import Image

    files, true = zip(*labelled_images(folder, truth), strict=True)
    engine = make_engine(runtime, 1, model)
    texts = []
    begin = time.process_time()
    for path in files:
        with Image.open(path) as opened:
            texts.append(read_pages(engine, [opened.convert("RGB")], scale=scale)[0].text)
    cpu_s = {"ocrqueue": time.process_time() - begin}
    read = {"ocrqueue": texts}
    if easyocr:
        weights = str((engine.model.tensors[1] or engine.model.recognizer).parent)
        command = [easyocr, "-c", _EASYOCR, weights, *map(str, files)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        read["EasyOCR"], cpu_s["EasyOCR"] = told["texts"], told["cpu_s"]
    title = f"{len(files)} images, {engine.info(('eng',)).version}"
    print(f"{title}\n\n| | F1 | precision | recall | CPU s a page |\n| --- | --- | --- | --- | --- |")
    for name, found in read.items():
        score = score_words(zip(true, found, strict=True), fold_case=True)
        shares = f"{score.f1:.4f} | {score.precision:.4f} | {score.recall:.4f}"
        print(f"| {name} | {shares} | {cpu_s[name] / len(files):.1f} |")


_EASYOCR: Final = """
import json, sys, time
import easyocr, torch
torch.set_num_threads(1)
reader = easyocr.Reader(["en"], False, sys.argv[1], download_enabled=False, verbose=False, quantize=False)
begin = time.process_time()
texts = ["\\n".join(reader.readtext(path, detail=0)) for path in sys.argv[2:]]
print(json.dumps({"texts": texts, "cpu_s": time.process_time() - begin}))
"""


@keras.command()
@click.option("--model", default="small", show_default=True)
@click.option("--runtime", type=RUNTIMES, default="auto", show_default=True)
@click.option("--images", type=click.IntRange(1), default=500, show_default=True)
@click.option("--sizes", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--longest", type=click.IntRange(100), default=900, show_default=True, help="Of a page's sides, in pixels."
)
def memory(model: str, runtime: str, images: int, sizes: int, longest: int) -> None:
    """Resident memory while pages of many sizes are read one after the other."""
    from tests.support.page_makers import made_page

    engine, random = make_engine(runtime, 2, model), Random(1)
    print(engine.info(("eng",)).version)
    shapes = [(random.randint(100, longest), random.randint(100, longest)) for _ in range(sizes)]

    def read(number: int) -> None:
        shape = shapes[number] if number < sizes else random.choice(shapes)
        read_pages(engine, [made_page(random, shape)[0]])

    print_resident(images, _TOGETHER, read)


@keras.command()
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), default=Path("docs/keras-confidence.png"))
def confidence(picture: Path) -> None:
    """Mean confidence and share of words read right over rising blur, drawn to a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from scipy.stats import spearmanr

    from tests.support.page_makers import blurred_words

    words = blurred_words(200, most_px=4)
    pages = read_pages(make_engine("tensorflow", 2, "small"), [image for _, _, image in words])
    blur, confidences, right = [], [], []
    for start in range(0, 200, 10):
        step = list(zip(words[start : start + 10], pages[start : start + 10], strict=True))
        known = [word.confidence or 0.0 for _, page in step for word in page.words()]
        blur.append(sum(radius for (_, radius, _), _ in step) / 10)
        confidences.append(sum(known) / len(known) if known else 0.0)
        right.append(sum(page.text.casefold() == true.casefold() for (true, _, _), page in step) / 10)
    rank = float(spearmanr(confidences, right).statistic)
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=110)
    axes.plot(blur, right, marker="o", label="share of words read right")
    axes.plot(blur, confidences, marker="s", label="mean confidence")
    axes.set(xlabel="radius of the Gaussian blur, pixels (letters 28 px)", ylim=(-0.03, 1.03))
    axes.set_title(f"200 words, ten a point; rank correlation {rank:.2f}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture)
    print(f"{picture}: rank correlation {rank:.3f}")
