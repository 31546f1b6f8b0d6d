"""Whether a result is what the job asked for, with every crop in place: looked at in storage, word by word."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from PIL import Image

from ocrqueue.document import Document, Page, Word
from ocrqueue.errors import OcrQueueError
from ocrqueue.storage import Storage
from tests.faults.jobs import TESSERACT_TEXT, Plan, page_image


def result_hash(storage: Storage, job_id: str) -> str:
    """sha256 of result.json. Raises StorageNotFound."""
    return hashlib.sha256(storage.get(f"results/{job_id}/result.json")).hexdigest()


def result_faults(plan: Plan, job_id: str, state: str, storage: Storage) -> Iterator[str]:
    """What is wrong with the stored result of a job that has ended with one; nothing, if all is right."""
    try:
        document = Document.model_validate_json(storage.get(f"results/{job_id}/result.json")).bind(storage)
    except (OcrQueueError, ValueError) as error:
        yield f"ended as {state} and its result cannot be read: {error}"
        return
    if document.job_id != job_id or document.status != state or document.tag != plan.kind.name:
        yield f"its result says job {document.job_id}, {document.status}, tag {document.tag}"
    if [page.number for page in document.pages] != list(range(1, plan.pages + 1)):
        yield f"its result has pages {[page.number for page in document.pages]} of {plan.pages}"
        return
    for page in document.pages:
        if page.error is None:
            yield from _text_faults(plan, page)
            if not _stands_for_a_lost_turn(document):
                yield from _crop_faults(plan, page)
    yield from _output_faults(plan, document)
    failed = [page.number for page in document.pages if page.error is not None]
    if failed != ([2] if plan.kind.name == "partial" else []):
        yield f"its result has failed pages {failed}"


def _output_faults(plan: Plan, document: Document) -> Iterator[str]:
    """Each file that was asked for is there, or is said to be missing."""
    missing = {name for name in plan.outputs if any(f" {name} " in warning.message for warning in document.warnings)}
    if set(plan.outputs) - missing != {output.format for output in document.outputs}:
        yield f"its result names the outputs {[output.name for output in document.outputs]}, not {plan.outputs}"
    for output in document.outputs:
        try:
            size_bytes = len(output.open().read())
        except OcrQueueError as error:
            yield f"the output {output.name} cannot be opened: {error}"
            continue
        if size_bytes != output.size_bytes or not size_bytes:
            yield f"the output {output.name} has {size_bytes} bytes, not {output.size_bytes}"


def _stands_for_a_lost_turn(document: Document) -> bool:
    """Its image may not be touched again: words that were to be read by the next engine have no crops."""
    return bool(document.trail) and document.trail[-1].error in ("job.poison", "engine.timeout")


def _text_faults(plan: Plan, page: Page) -> Iterator[str]:
    texts = [word.text for word in page.words()]
    # an engine that is lost at its turn leaves what stood before
    if (page.engine or plan.kind.engine) == "tesseract":
        expected = TESSERACT_TEXT.split()
    else:
        expected = [f"null{number}" for number in range(1, plan.words + 1)]
    if texts != expected:
        yield f"page {page.number} has the words {texts}, not {expected}"


def _crop_faults(plan: Plan, page: Page) -> Iterator[str]:
    picture = page_image(plan.picture, page.number)
    for word in page.words():
        if plan.crops == "none":
            if word.crop is not None:
                yield f"{word.id} has a crop that nobody asked for"
            continue
        if word.crop is None:
            yield f"{word.id} has no crop"
            continue
        try:
            crop = word.crop.image().convert("L")
        except (OcrQueueError, OSError) as error:
            yield f"the crop of {word.id} cannot be opened: {error}"
            continue
        expected = _cut(picture, word, plan.crop_padding)
        if crop.size != expected.size:
            yield f"the crop of {word.id} is {crop.size}, not {expected.size}"
        elif crop.tobytes() != expected.tobytes():
            yield f"the crop of {word.id} does not show its place on the page"


def _cut(picture: Image.Image, word: Word, padding: int) -> Image.Image:
    """The pixels that the word's box touches, and `padding` more, as far as the page goes."""
    left, top, right, bottom = word.bbox
    return picture.crop(
        (
            max(math.floor(left) - padding, 0),
            max(math.floor(top) - padding, 0),
            min(math.ceil(right) + padding, picture.width),
            min(math.ceil(bottom) + padding, picture.height),
        )
    )
