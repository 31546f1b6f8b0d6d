"""The engine: pages become bytes, share a request with those of other jobs, and come back as Pages."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ocrqueue.core.connection import connect
from ocrqueue.core.keys import Keys
from ocrqueue.document import EngineInfo, Page
from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.vision.annotations import Frame, page_of
from ocrqueue_worker.engines.vision.api_client import annotate, check_service, make_client
from ocrqueue_worker.engines.vision.encoding import LIMITS, EncodedPage, encode
from ocrqueue_worker.engines.vision.languages import HINTS, check_languages, hints_for
from ocrqueue_worker.engines.vision.options import VisionOptions
from ocrqueue_worker.engines.vision.rate_limit import Pace, RateLimit
from ocrqueue_worker.engines.vision.request_batching import Gather, Gathering
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.sources.gs import check_gs

if TYPE_CHECKING:
    import redis
    from google.cloud.vision import AnnotateImageRequest, AnnotateImageResponse, Image, ImageAnnotatorClient

_API_VERSION: Final = "v1"
_LEAST_GATHER_S: Final = 0.05
_LONGEST_GATHER_S: Final = 5.0
"""How long a page waits for others to share a request with, whatever the limit."""
_CLOSING_S: Final = 1.0
"""Requests that are broken off have so long to be counted."""


class VisionEngine(Engine[VisionOptions]):
    """Used from several threads at once, whose pages share requests.

    Each request has a thread of its own while it is gathered and under way: it waits, for others, for the limit that
    all workers share, and for the network.
    """

    name = "vision"
    options_model = VisionOptions
    pool = "threads"
    # a lone job of many pages fills a quarter of a request; more would have to be held in memory in every thread
    pages_per_call = 4
    fixed_languages = True
    reference_schemes = ("gs",)

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__(settings)
        self._loading = threading.Lock()
        self._limits = LIMITS[settings.vision_transport]
        self._client: ImageAnnotatorClient | None = None
        self._redis: redis.Redis | None = None
        self._gathering: Gathering | None = None

    def check(self) -> None:
        """Raises EngineUnavailable, SettingsInvalid, EngineAccessDenied."""
        check_service(self.settings)

    def load(self) -> None:
        """Raises as check()."""
        self._loaded()

    def _loaded(self) -> Gathering:
        with self._loading:
            if self._gathering is None:
                settings, client = self.settings, make_client(self.settings)
                pace = Pace.of(settings.vision_requests_per_minute)
                self._client, self._redis = client, connect(settings)
                self._gathering = Gathering(
                    lambda requests, timeout_s: annotate(client, requests, timeout_s),
                    RateLimit(
                        self._redis,
                        Keys(settings.key_prefix),
                        self.name,
                        pace,
                        settings.vision_images_per_month,
                    ),
                    Gather(
                        images=settings.vision_batch_size,
                        request_bytes=self._limits.request_bytes,
                        wait_s=_gather_s(settings, pace),
                        timeout_s=settings.vision_timeout_s,
                    ),
                )
            return self._gathering

    def concurrency(self) -> int:
        """Two requests' worth: while one is under way, the next one gathers."""
        return 2 * self.settings.vision_batch_size

    def info(self, languages: Sequence[str]) -> EngineInfo:
        """The model is Google's, and changes when they say; which release it is, is an option of the job."""
        return EngineInfo(name=self.name, version=_API_VERSION, model="builtin")

    def languages(self) -> tuple[str, ...]:
        return tuple(HINTS)

    def check_languages(self, languages: Sequence[str]) -> None:
        check_languages(languages)

    def may_prepare(self, options: VisionOptions) -> bool:
        return False

    def recognize(self, pages: Sequence[PageImage], reading: Reading[VisionOptions]) -> list[Page | OcrQueueError]:
        from google.cloud.vision import Image

        encoded = [self._encoded(page) for page in pages]
        requests = [_request(Image(content=each.content), reading) for each in encoded if isinstance(each, EncodedPage)]
        answers = iter(self._loaded().read(requests, reading.deadline))
        return [
            self._page(page, each, next(answers), reading) if isinstance(each, EncodedPage) else each
            for page, each in zip(pages, encoded, strict=True)
        ]

    def recognize_reference(self, uri: str, reading: Reading[VisionOptions]) -> Page:
        """Google fetches the image itself. Of a file with several pages it reads the first only.

        Width and height are 0 of an image without text: Google does not tell its size then. Raises what it costs to
        fetch() it, besides the engine's own errors.
        """
        from google.cloud.vision import Image, ImageSource

        check_gs(uri, self.settings)
        request = _request(Image(source=ImageSource(image_uri=uri)), reading)
        (answer,) = self._loaded().read([request], reading.deadline)
        if isinstance(answer, OcrQueueError):
            raise answer
        message = _message(answer)
        pages = message.full_text_annotation.pages
        size = (pages[0].width, pages[0].height) if pages else _extent(message.text_annotations)
        return page_of(message, Frame(1, size, size), reading.options.symbols)

    def close(self) -> None:
        with self._loading:
            if self._gathering is not None:
                self._gathering.close()
            if self._client is not None:
                self._client.transport.close()  # type: ignore[no-untyped-call]  # google's own types are partial
            if self._gathering is not None:
                self._gathering.join(_CLOSING_S)
            if self._redis is not None:
                self._redis.close()
            self._client = self._redis = self._gathering = None

    def _encoded(self, page: PageImage) -> EncodedPage | OcrQueueError:
        try:
            return encode(page.image, self._limits)
        except OcrQueueError as error:
            return error

    def _page(
        self,
        page: PageImage,
        encoded: EncodedPage,
        answer: AnnotateImageResponse | OcrQueueError,
        reading: Reading[VisionOptions],
    ) -> Page | OcrQueueError:
        if isinstance(answer, OcrQueueError):
            return answer
        frame = Frame(page.number, page.image.size, encoded.size, page.dpi)
        return page_of(_message(answer), frame, reading.options.symbols)


def _gather_s(settings: WorkerSettings, pace: Pace) -> float:
    """Where requests are scarce, one that is not full costs more than a moment's wait."""
    if settings.vision_gather_s is not None:
        return settings.vision_gather_s
    return min(_LONGEST_GATHER_S, max(_LEAST_GATHER_S, 1 / pace.tokens_per_s))


def _request(image: Image, reading: Reading[VisionOptions]) -> AnnotateImageRequest:
    from google.cloud.vision import AnnotateImageRequest, Feature, ImageContext, TextDetectionParams

    options = reading.options
    return AnnotateImageRequest(
        image=image,
        features=[Feature(type_=getattr(Feature.Type, options.feature.upper()), model=options.model)],
        image_context=ImageContext(
            language_hints=hints_for(reading.languages) if options.language_hints else [],
            text_detection_params=TextDetectionParams(
                # without it, only document_text_detection tells them
                enable_text_detection_confidence_score=True,
                advanced_ocr_options=["legacy_layout"] if options.legacy_layout else [],
            ),
        ),
    )


def _message(answer: AnnotateImageResponse) -> Any:
    """The protobuf message under the client library's wrapper."""
    return type(answer).pb(answer)


def _extent(annotations: Sequence[Any]) -> tuple[int, int]:
    """Pixels that words of an image of unknown size need."""
    vertices = [vertex for each in annotations for vertex in each.bounding_poly.vertices]
    return (max((vertex.x for vertex in vertices), default=0), max((vertex.y for vertex in vertices), default=0))
