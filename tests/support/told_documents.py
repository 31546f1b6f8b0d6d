"""Documents that say what a test wants to see in a browser: a job of the null engine, whose result is then replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from ocrqueue import OcrQueue

ROW_PX: Final = 22
COLUMN_PX: Final = 60
WITHIN_S: Final = 120


@dataclass(frozen=True)
class Told:
    """A word, as an engine would have read it."""

    text: str
    confidence: float | None = 0.95
    others: Mapping[str, str | None] = field(default_factory=dict)
    """What other engines have read."""


Lines = Sequence[Sequence[Told]]


def picture_of(lines: Lines, size: tuple[int, int]) -> bytes:
    """A PNG on which the words stand where the Document says, as far as they can be drawn."""
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(14)
    for row, line in enumerate(lines):
        for column, word in enumerate(line):
            shown = word.text[:10].encode("ascii", "ignore").decode()
            draw.text((10 + column * COLUMN_PX, 10 + row * ROW_PX), shown, font=font, fill=0)
    written = BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def size_of(lines: Lines) -> tuple[int, int]:
    """Of a page with room for them."""
    columns = max((len(line) for line in lines), default=1)
    return (20 + max(5, columns) * COLUMN_PX, 20 + max(5, len(lines)) * ROW_PX)


def told_document(queue: OcrQueue, lines: Lines, *, tenant: str = "readers", name: str | None = None) -> str:
    """The id of a job of one page, which has ended."""
    size = size_of(lines)
    job = queue.submit(
        picture_of(lines, size), engine="null", options={"words": 1}, crops="none", tenant=tenant, name=name
    )
    job.wait(WITHIN_S)
    key = f"results/{job.id}/result.json"
    result = json.loads(queue.storage.get(key))
    result["pages"] = [page_of(1, lines, size)]
    queue.storage.put(key, json.dumps(result).encode(), "application/json")
    return job.id


def page_of(number: int, lines: Lines, size: tuple[int, int]) -> dict[str, Any]:
    """As a Document's JSON has it: a block, and a paragraph for five lines each."""
    made, count = [], 0
    for row, line in enumerate(lines):
        words = []
        for column, word in enumerate(line):
            count += 1
            left, top = 10 + column * COLUMN_PX, 10 + row * ROW_PX
            words.append(
                {
                    **_region((left, top, left + COLUMN_PX - 6, top + ROW_PX - 5)),
                    "id": f"p{number:03d}-w{count:04d}",
                    "text": word.text,
                    "confidence": word.confidence,
                    **({"readings": dict(word.others)} if word.others else {}),
                }
            )
        box = (10, 10 + row * ROW_PX, 10 + max(1, len(line)) * COLUMN_PX, 10 + row * ROW_PX + ROW_PX - 5)
        made.append({**_region(box), "words": words})
    whole = _region((0, 0, *size))
    paragraphs = [{**whole, "lines": made[at : at + 5]} for at in range(0, len(made), 5)]
    blocks = [{**whole, "paragraphs": paragraphs}] if made else []
    return {"number": number, "width": size[0], "height": size[1], "blocks": blocks}


def _region(box: tuple[int, int, int, int]) -> dict[str, Any]:
    left, top, right, bottom = box
    polygon = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"polygon": polygon, "bbox": list(box), "confidence": None}
