"""The peer: Tesseract in a bare Celery task with default settings, as tutorials have it. One job at a time, no extras.

CELERY_BROKER_URL=redis://... celery -A tests.benchmarks.bare_app worker -c 2
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import boto3
import pytesseract
from celery import Celery
from PIL import Image

app = Celery("bare")


@app.task
def boxes(bucket: str, key: str, folder: str) -> int:
    """Find the words, store the crop of each; returns how many words there are."""
    _, words = _find_words(bucket, key, folder)
    _store(bucket, folder, {"words": words})
    return len(words)


@app.task
def boxes_and_text(bucket: str, key: str, folder: str) -> int:
    """The same, and a second function that reads the page's text."""
    image, words = _find_words(bucket, key, folder)
    _store(bucket, folder, {"words": words, "text": pytesseract.image_to_string(image)})
    return len(words)


@app.task
def boxes_and_words(bucket: str, key: str, folder: str) -> int:
    """The same, and a second function that reads the crop of each word."""
    image, words = _find_words(bucket, key, folder)
    for word in words:
        word["text"] = pytesseract.image_to_string(_cut(image, word))
    _store(bucket, folder, {"words": words})
    return len(words)


@app.task
def nothing() -> None:
    pass


def _find_words(bucket: str, key: str, folder: str) -> tuple[Image.Image, list[dict[str, Any]]]:
    s3 = _s3()
    image = Image.open(BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    found = pytesseract.image_to_data(image, output_type=pytesseract.Output.DICT)
    names = ("text", "left", "top", "width", "height", "conf")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*(found[name] for name in names), strict=True)]
    words = [row for row in rows if row["text"].strip()]
    for number, word in enumerate(words):
        png = BytesIO()
        _cut(image, word).save(png, "PNG")
        s3.put_object(Bucket=bucket, Key=f"{folder}/{number}.png", Body=png.getvalue())
    return image, words


def _cut(image: Image.Image, word: dict[str, Any]) -> Image.Image:
    left, top = word["left"], word["top"]
    return image.crop((left, top, left + word["width"], top + word["height"]))


def _store(bucket: str, folder: str, result: dict[str, Any]) -> None:
    _s3().put_object(Bucket=bucket, Key=f"{folder}/result.json", Body=json.dumps(result).encode())


_clients: list[Any] = []


def _s3() -> Any:
    """One client a process."""
    if not _clients:
        _clients.append(boto3.client("s3"))
    return _clients[0]
