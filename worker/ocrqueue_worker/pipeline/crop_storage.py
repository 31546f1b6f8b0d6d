"""Word crops on their way to storage: as objects, in one archive, or not at all."""

from __future__ import annotations

from typing import Protocol

from PIL.Image import Image

from ocrqueue.document import Crop, Page
from ocrqueue.job import Job
from ocrqueue.storage import Storage
from ocrqueue_worker.images.cropping import archive_key, build_archive, crop_key, crop_word
from ocrqueue_worker.images.png import encode_png


class CropWriter(Protocol):
    """Takes the pages of one job as they are read; says at the end where each word's crop is."""

    def crop(self, image: Image, page: Page) -> None:
        """Cut and encode the words of `page`; `image` is the page as it was decoded."""

    def upload(self) -> None:
        """Store what was cut since, if it can be stored yet."""

    def finish(self) -> dict[str, Crop]:
        """Store the rest; returns the Crop of each word id."""


class NoCrops:
    """crops="none"."""

    def crop(self, image: Image, page: Page) -> None:
        pass

    def upload(self) -> None:
        pass

    def finish(self) -> dict[str, Crop]:
        return {}


class _Cropping:
    def __init__(self, job: Job, attempt: str, storage: Storage) -> None:
        self.job = job
        self.attempt = attempt
        self.storage = storage
        self.cut: list[tuple[str, bytes]] = []

    def crop(self, image: Image, page: Page) -> None:
        for word in page.words():
            picture = crop_word(image, word, page.rotation, self.job.crop_padding)
            self.cut.append((word.id, encode_png(picture)))


class ObjectCrops(_Cropping):
    """crops="objects": one PNG a word, uploaded in parallel after each page."""

    def __init__(self, job: Job, attempt: str, storage: Storage, threads: int) -> None:
        super().__init__(job, attempt, storage)
        self.threads = threads
        self.stored: dict[str, Crop] = {}

    def upload(self) -> None:
        items = ((crop_key(self.job.id, self.attempt, word_id), png, "image/png") for word_id, png in self.cut)
        uris = self.storage.put_many(items, self.threads)
        self.stored |= {word_id: Crop(uri=uri) for (word_id, _), uri in zip(self.cut, uris, strict=True)}
        self.cut = []

    def finish(self) -> dict[str, Crop]:
        self.upload()
        return self.stored


class ArchiveCrops(_Cropping):
    """crops="archive": one stored ZIP for all pages of a part, uploaded at the end."""

    def __init__(self, job: Job, attempt: str, storage: Storage, page: int | None) -> None:
        super().__init__(job, attempt, storage)
        self.page = page

    def upload(self) -> None:
        pass

    def finish(self) -> dict[str, Crop]:
        if not self.cut:
            return {}
        archive, places = build_archive([(f"{word_id}.png", png) for word_id, png in self.cut])
        uri = self.storage.put(archive_key(self.job.id, self.attempt, self.page), archive, "application/zip")
        return {
            word_id: Crop(uri=uri, offset=offset, length=length)
            for (word_id, _), (offset, length) in zip(self.cut, places, strict=True)
        }


def crop_writer(job: Job, attempt: str, storage: Storage, threads: int, page: int | None = None) -> CropWriter:
    """The writer for the job's crop mode, of the attempt of that name at it, or at one page of it."""
    match job.crops:
        case "objects":
            return ObjectCrops(job, attempt, storage, threads)
        case "archive":
            return ArchiveCrops(job, attempt, storage, page)
        case "none":
            return NoCrops()


def with_crops(page: Page, crops: dict[str, Crop]) -> Page:
    """`page` with each word's crop filled in."""
    if not crops:
        return page
    blocks = tuple(
        block.model_copy(
            update={
                "paragraphs": tuple(
                    paragraph.model_copy(
                        update={
                            "lines": tuple(
                                line.model_copy(
                                    update={
                                        "words": tuple(
                                            word.model_copy(update={"crop": crops.get(word.id)}) for word in line.words
                                        )
                                    }
                                )
                                for line in paragraph.lines
                            )
                        }
                    )
                    for paragraph in block.paragraphs
                )
            }
        )
        for block in page.blocks
    )
    return page.model_copy(update={"blocks": blocks})
