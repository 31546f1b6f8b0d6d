"""The files that a job asks for beside its result: the Document in other formats.

They are written page by page into a file without a name, and stored from there. One that cannot be written costs the
job nothing else: the Document has a warning in its place.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Final

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from PIL.Image import Image

from ocrqueue.document import Document, DocumentWarning, Output
from ocrqueue.document.formats.files import KINDS, file_name, page_numbers, write_file
from ocrqueue.document.formats.isolated_pdf import PdfLimits
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.errors import EngineFailed, ImageUnsupported, OcrQueueError, SourceChanged
from ocrqueue_worker.images.heif import prepare_heif
from ocrqueue_worker.limits.resource_errors import exhaustion
from ocrqueue_worker.limits.time_limits import time_limits
from ocrqueue_worker.pipeline.attempt import Attempt
from ocrqueue_worker.pipeline.fetching import Fetched
from ocrqueue_worker.pipeline.opening import open_source
from ocrqueue_worker.sources import fetch
from ocrqueue_worker.telemetry.native_stderr import silence_libtiff

_log = structlog.get_logger(__name__)

FAILED: Final = "output.failed"
_STEM: Final = "document"
_SLACK_S: Final = 2.0
"""The job's time is up before that of the process: it is the job that is told of it."""


class _TimeIsUp(Exception):
    """The rest of the job's time is for its result."""


def with_outputs(attempt: Attempt, document: Document, data: bytes | None, *, may_read_image: bool = True) -> Document:
    """`document` with the job's outputs, which are stored now. It is whole: only result.json is to come.

    `data`: the image, where it is at hand; else it is fetched again if a format shows it. Not where it may not be
    touched (`may_read_image`): those formats fail then. Raises JobCancelled, JobElsewhere.
    """
    if not attempt.job.outputs:
        return document
    writer = _Writer(attempt, document, data, may_read_image)
    outputs: list[Output] = []
    warnings: list[DocumentWarning] = []
    with attempt.watch.measure("upload_s"):
        for name in attempt.job.outputs:
            attempt.check_cancelled(len(document.pages), len(document.pages))
            stored, failure = writer.store(name)
            outputs += stored
            if failure is not None:
                _log.warning("an output is not there", format=name, reason=failure)
                warnings.append(DocumentWarning(code=FAILED, message=f"The output {name} is not there: {failure}"))
    update = {"outputs": tuple(outputs), "warnings": (*document.warnings, *warnings)}
    return document.model_copy(update=update)


def without_outputs(document: Document) -> Document:
    """The reading alone, of a Document whose files belong to another job."""
    warnings = tuple(warning for warning in document.warnings if warning.code != FAILED)
    return document.model_copy(update={"outputs": (), "warnings": warnings})


class _Writer:
    def __init__(self, attempt: Attempt, document: Document, data: bytes | None, may_read_image: bool) -> None:
        self._attempt = attempt
        self._document = document
        self._data = data
        self._may_read_image = may_read_image
        self._settings = attempt.workplace.settings
        limits = time_limits(self._settings, attempt.job)
        self._deadline = attempt.watch.started + limits.outputs_s

    def store(self, name: str) -> tuple[Sequence[Output], str | None]:
        """The files of one format; or none, and why."""
        stored: list[Output] = []
        try:
            for number in page_numbers(self._document, name):
                stored.append(self._store_file(name, number))
            return stored, None
        except (SoftTimeLimitExceeded, _TimeIsUp):
            # it may be that of a batch, which is told once
            self._deadline = 0.0
            reason = "the job's time is up; raise its time limit."
        except OcrQueueError as error:
            reason = f"{error.code}: {error.message} {error.info.remedy}"
        except Exception as error:
            ran_out = exhaustion(error)
            if ran_out is None:
                _log.exception("an output cannot be written", format=name)
            reason = f"{ran_out.code}: {ran_out.message}" if ran_out else f"{type(error).__name__}."
        with suppress(OcrQueueError):
            self._attempt.storage.delete([self._key(output.name) for output in stored])
        return (), reason

    def _store_file(self, name: str, number: int | None) -> Output:
        self._check_time()
        stored_as = file_name(_STEM, name, number)
        with TemporaryFile(prefix="ocrqueue-output-") as file:
            write_file(
                self._document,
                name,
                file,
                self._image,
                number=number,
                on_page=self._check_time,
                isolated=self._pdf_limits(),
            )
            size_bytes = file.tell()
            uri = self._attempt.storage.put_file(self._key(stored_as), file, KINDS[name].content_type)
        return Output(format=name, name=stored_as, uri=uri, size_bytes=size_bytes, page=number)

    def _pdf_limits(self) -> PdfLimits:
        """Of the process that takes over a PDF's pages: those of the one that draws them, and the job's time."""
        memory_mib = self._settings.job_memory_limit_mib.of(self._attempt.job.engine)
        return PdfLimits(memory_mib, max(0.0, self._deadline - time.monotonic()) + _SLACK_S)

    def _key(self, name: str) -> str:
        """Each attempt has a place of its own, as for crops: neither touches what the other's result names."""
        attempt = self._attempt.name
        folder = f"outputs-{attempt}" if attempt else "outputs"
        return f"results/{self._attempt.job.id}/{folder}/{name}"

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise _TimeIsUp

    def _image(self) -> ImageFile:
        data = self._source()
        silence_libtiff()
        if self._document.input.format == "HEIF":
            with suppress(ImageUnsupported):
                prepare_heif()

        def decoded(number: int) -> Image:
            # what Pillow alone does not read of files that are damaged or coded in a rare way
            with open_source(Fetched(self._document.input, None, data), self._attempt) as pages:
                return pages.page(number).image

        def password() -> str | None:
            return self._attempt.workplace.registry.password(self._attempt.job.id)

        max_pixels = self._settings.image_max_pixels
        return ImageFile(data, max_pixels=max_pixels, otherwise=decoded, password=password)

    def _source(self) -> bytes:
        if self._data is None:
            if not self._may_read_image:
                raise EngineFailed("The image may have crashed the engine. It was not opened again.")
            data = fetch(self._attempt.job.image, self._settings, self._attempt.storage)
            if hashlib.sha256(data).hexdigest() != self._document.input.sha256:
                raise SourceChanged()
            self._data = data
        return self._data
