"""The Vision engine in this process against a server that speaks Google's protocol, over both transports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.vision import AnnotateImageRequest, Feature
from PIL import Image, ImageDraw

from ocrqueue.core import Registry
from ocrqueue.core.billing import billed_pages
from ocrqueue.document import Page
from ocrqueue.errors import OcrQueueError, SourceAccessDenied
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import open_storage
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.vision import VisionEngine, VisionOptions, request_batching
from ocrqueue_worker.engines.vision.rate_limit import Pace
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.sources import fetch, gs
from tests.support.google_vision.answers import SAMPLES, fingerprint
from tests.support.google_vision.server import THROTTLED, GoogleVision, Refused, Transport, google_vision
from tests.support.servers import Exchange, answer, http_server, silent

both_transports = pytest.mark.parametrize("vision", get_args(Transport), indirect=True)


@pytest.fixture
def vision(request: pytest.FixtureRequest) -> Iterator[GoogleVision]:
    """Over gRPC, or as a test's parameter says."""
    with google_vision(getattr(request, "param", "grpc")) as server:
        yield server


@pytest.fixture
def engine_of(settings: WorkerSettings, vision: GoogleVision) -> Iterator[Callable[..., VisionEngine]]:
    """Engines of one installation, each as in a worker of its own."""
    with ExitStack() as stack:

        def make(**changes: Any) -> VisionEngine:
            own = settings.model_copy(
                update={"vision_endpoint": vision.endpoint, "vision_transport": vision.transport, **changes}
            )
            engine = VisionEngine(own)
            engine.check()
            engine.load()
            stack.callback(engine.close)
            return engine

        yield make


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_batching, "_FIRST_PAUSE_S", 0.1)


def picture(number: int, size: tuple[int, int] = (120, 40)) -> PageImage:
    """One like no other."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((10, 10), f"picture {number}", fill=number % 200)
    return PageImage(1, image)


def read(
    engine: VisionEngine,
    pages: Sequence[PageImage],
    seconds: float = 60,
    languages: tuple[str, ...] = ("eng",),
    **options: Any,
) -> list[Page | OcrQueueError]:
    numbered = [replace(page, number=number) for number, page in enumerate(pages, 1)]
    reading = Reading(languages, VisionOptions(**options), time.monotonic() + seconds)
    return engine.recognize(numbered, reading)


def read_one(engine: VisionEngine, page: PageImage, **more: Any) -> Page | OcrQueueError:
    return read(engine, [page], **more)[0]


def names(results: Sequence[Page | OcrQueueError]) -> list[str]:
    """The first word of each page, or the code of the error."""
    return [next(each.words()).text if isinstance(each, Page) else each.code for each in results]


def expected(pages: Sequence[PageImage]) -> list[str]:
    return [f"x{fingerprint(page.image)}" for page in pages]


@both_transports
def test_a_sample_comes_back_as_google_says_it_is(engine_of: Callable[..., VisionEngine], vision: GoogleVision) -> None:
    with Image.open(SAMPLES / "rotated-page.png") as image:
        page = read_one(engine_of(), PageImage(3, image.convert("L"), 150.0), languages=("eng", "kor"), symbols=True)
    assert isinstance(page, Page)
    assert page.text == (SAMPLES / "rotated-page.txt").read_text().strip()
    assert (page.width, page.height, page.dpi, page.rotation) == (*image.size, 150.0, 90)
    assert all(len(word.symbols or ()) == len(word.text) for word in page.words())
    (asked,) = vision.asked
    (request,) = asked.requests
    assert list(request.image_context.language_hints) == ["en", "ko"]
    assert request.features[0].type_ == Feature.Type.DOCUMENT_TEXT_DETECTION
    assert request.features[0].model == "builtin/stable"


def test_options_reach_google(engine_of: Callable[..., VisionEngine], vision: GoogleVision) -> None:
    options = {"feature": "text_detection", "model": "builtin/latest", "language_hints": False, "legacy_layout": True}
    read_one(engine_of(), picture(1), **options)
    request = vision.asked[0].requests[0]
    assert request.features[0].type_ == Feature.Type.TEXT_DETECTION
    assert request.features[0].model == "builtin/latest"
    assert list(request.image_context.language_hints) == []
    assert request.image_context.text_detection_params.enable_text_detection_confidence_score
    assert list(request.image_context.text_detection_params.advanced_ocr_options) == ["legacy_layout"]


@both_transports
def test_one_image_of_sixteen_that_google_refuses_fails_by_itself(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision, settings: WorkerSettings
) -> None:
    pages = [picture(number, size=(100 + number, 40)) for number in range(16)]

    def refuse(request: AnnotateImageRequest) -> tuple[int, str] | None:
        return (3, "Bad image data.") if b"\x00\x00\x00\x6b" in request.image.content[:24] else None  # 107 wide

    vision.refuses_image = refuse
    # the request is sent as soon as it is full
    engine = engine_of(vision_gather_s=5.0)
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda page: read_one(engine, page), pages))
    wanted = expected(pages)
    wanted[7] = "engine.image_refused"
    assert names(results) == wanted
    assert [asked.images for asked in vision.asked] == [16]
    registry = Registry(settings)
    assert billed_pages(registry, "vision") == 15
    registry.close()


@both_transports
def test_throttling_and_outages_are_got_over(engine_of: Callable[..., VisionEngine], vision: GoogleVision) -> None:
    trouble = {1: THROTTLED, 2: Refused("UNAVAILABLE", "The service is currently unavailable.")}
    vision.refuses = trouble.get
    pages = [picture(1), picture(2)]
    assert names(read(engine_of(vision_requests_per_minute=120), pages)) == expected(pages)
    first, second, third = (asked.at for asked in vision.asked)
    # each retry asks the limit, which Google's library would not if it retried by itself
    assert min(second - first, third - second) >= 0.9 / Pace.of(120).tokens_per_s


@both_transports
@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (Refused("PERMISSION_DENIED", "This API method requires billing.", "BILLING_DISABLED"), "Enable billing"),
        (Refused("PERMISSION_DENIED", "Cloud Vision API has not been used.", "SERVICE_DISABLED"), "gcloud services"),
        (Refused("UNAUTHENTICATED", "Request had invalid credentials."), "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
    ids=lambda value: value.reason or value.status if isinstance(value, Refused) else "",
)
def test_a_denial_is_permanent_and_says_what_to_do(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision, refused: Refused, says: str
) -> None:
    vision.refuses = lambda number: refused
    error = read_one(engine_of(), picture(1))
    assert isinstance(error, OcrQueueError)
    assert (error.code, error.retryable) == ("engine.access_denied", False)
    assert says in str(error)
    assert len(vision.asked) == 1
    if refused.reason:
        assert "projects/123456" in error.message


def test_a_stalled_server_holds_nobody_beyond_their_time(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision
) -> None:
    vision.stall_s = 30
    begun = time.monotonic()
    error = read_one(engine_of(), picture(1), seconds=1)
    assert isinstance(error, OcrQueueError)
    assert (error.code, error.retryable) == ("engine.unreachable", True)
    assert time.monotonic() - begun < 15


@both_transports
def test_a_request_that_google_does_not_answer_is_sent_again(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision
) -> None:
    vision.stall_s = 30
    vision.stalls = lambda number: number == 1
    engine = engine_of(vision_timeout_s=1.5, vision_requests_per_minute=60_000)
    assert names([read_one(engine, picture(1))]) == expected([picture(1)])
    assert len(vision.asked) == 2


def test_a_server_that_is_not_there_is_unreachable(settings: WorkerSettings) -> None:
    engine = VisionEngine(settings.model_copy(update={"vision_endpoint": "http://127.0.0.1:9"}))
    error = read_one(engine, picture(1), seconds=1.5)
    engine.close()
    assert isinstance(error, OcrQueueError)
    assert (error.code, error.retryable) == ("engine.unreachable", True)


def test_the_month_ends_with_its_budget(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision, settings: WorkerSettings
) -> None:
    engine = engine_of(vision_images_per_month=3, vision_requests_per_minute=60_000)
    pages = [picture(number) for number in range(5)]
    outcomes = names(read(engine, pages))
    assert outcomes == [*expected(pages[:3]), "engine.budget_exhausted", "engine.budget_exhausted"]
    assert sum(asked.images for asked in vision.asked) == 3
    registry = Registry(settings)
    assert billed_pages(registry, "vision") == 3
    registry.close()


@both_transports
def test_large_pages_go_in_requests_that_google_takes(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision
) -> None:
    """Over REST, where 10 MB of JSON is the limit, two such pages do not fit into one request."""
    noise = Image.effect_noise((2400, 1800), 60)
    pages = [PageImage(1, noise), PageImage(1, noise.transpose(Image.Transpose.ROTATE_180))]
    results = read(engine_of(vision_requests_per_minute=60_000), pages)
    assert names(results) == expected(pages)
    assert len(vision.asked) == (1 if vision.transport == "grpc" else 2)


def test_a_reference_is_read_by_google_itself(engine_of: Callable[..., VisionEngine], vision: GoogleVision) -> None:
    vision.objects["gs://scans/a/page.png"] = (SAMPLES / "english-page.png").read_bytes()
    engine, reading = engine_of(vision_requests_per_minute=60_000), Reading(("eng",), VisionOptions())
    page = engine.recognize_reference("gs://scans/a/page.png", replace(reading, deadline=time.monotonic() + 10))
    assert page.text == (SAMPLES / "english-page.txt").read_text().strip()
    with Image.open(SAMPLES / "english-page.png") as image:
        assert (page.width, page.height) == image.size
    assert vision.asked[0].requests[0].image.content == b""
    with pytest.raises(OcrQueueError) as missing:
        engine.recognize_reference("gs://scans/none.png", replace(reading, deadline=time.monotonic() + 10))
    assert missing.value.code == "source.not_found"


def test_a_reference_that_workers_may_not_fetch_is_not_given_to_google(
    engine_of: Callable[..., VisionEngine], vision: GoogleVision
) -> None:
    engine, reading = engine_of(source_buckets=("scans",)), Reading(("eng",), VisionOptions())
    for uri, code in (
        ("gs://others/a.png", "source.bucket_not_allowed"),
        ("gs://scans/../others/a.png", "source.invalid"),
        ("gs://scans", "source.invalid"),
    ):
        with pytest.raises(OcrQueueError) as refused:
            engine.recognize_reference(uri, reading)
        assert refused.value.code == code
    assert vision.asked == []


def test_what_a_fork_or_thread_leaves_behind_is_closed(engine_of: Callable[..., VisionEngine]) -> None:
    engine = engine_of(vision_requests_per_minute=60_000)
    assert names([read_one(engine, picture(1))]) == expected([picture(1)])
    engine.close()
    assert names([read_one(engine, picture(2))]) == expected([picture(2)])


# --- gs:// references whose bytes are wanted -------------------------------------------------------------------------


def storage(exchange: Exchange) -> None:
    answers = {
        "/storage/v1/b/scans/o/a%2Fpage%2Bone.png?alt=media": answer(200, b"bytes"),
        "/storage/v1/b/scans/o/large?alt=media": answer(200, b"x" * 3000),
        "/storage/v1/b/scans/o/denied?alt=media": answer(403),
        "/storage/v1/b/scans/o/busy?alt=media": answer(503),
        "/storage/v1/b/scans/o/moved?alt=media": answer(302, location="http://127.0.0.1:9/"),
        "/storage/v1/b/scans/o/packed?alt=media": answer(200, b"x", content_encoding="br"),
        "/storage/v1/b/scans/o/silent?alt=media": silent,
        "/storage/v1/b/nobody/o/a?alt=media": answer(404, b"The specified bucket does not exist."),
    }
    answers.get(exchange.target, answer(404, b"No such object"))(exchange)


def test_objects_are_fetched_within_the_same_limits_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "storage").mkdir()
    settings = load_worker_settings(
        storage=f"file://{tmp_path}/storage",
        source_max_bytes=2000,
        source_connect_timeout_s=0.5,
        source_buckets=("scans", "nobody"),
    )

    def code(uri: str) -> str:
        with pytest.raises(OcrQueueError) as error:
            fetch(uri, settings, open_storage(settings))
        return error.value.code

    with http_server(storage) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server.port}")
        assert fetch("gs://scans/a/page+one.png", settings, open_storage(settings)) == b"bytes"
        assert code("gs://scans/large") == "source.too_large"
        assert code("gs://scans/denied") == "source.access_denied"
        assert code("gs://scans/busy") == "source.unavailable"
        assert code("gs://scans/moved") == "source.http_error"
        assert code("gs://scans/packed") == "source.http_error"
        assert code("gs://scans/silent") == "source.timeout"
        assert code("gs://scans/missing") == "source.not_found"
        assert code("gs://nobody/a") == "source.bucket_not_found"
        assert code("gs://others/a") == "source.bucket_not_allowed"
        assert code("gs://scans/") == "source.invalid"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert code("gs://scans/a") == "source.unavailable"


def test_who_was_denied_by_google_reads_the_credentials_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "storage").mkdir()
    settings = load_worker_settings(storage=f"file://{tmp_path}/storage")
    read: list[AnonymousCredentials] = []

    def default(**_: object) -> tuple[AnonymousCredentials, str]:
        read.append(AnonymousCredentials())  # type: ignore[no-untyped-call]  # google's own types are partial
        return read[-1], "project"

    monkeypatch.setattr("google.auth.default", default)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    gs.forget_gs_credentials()
    with http_server(storage) as server:
        monkeypatch.setattr(gs, "_HOST", server.url(""))
        for name, times in (("a/page+one.png", 1), ("a/page+one.png", 1), ("denied", 1), ("a/page+one.png", 2)):
            with suppress(SourceAccessDenied):
                fetch(f"gs://scans/{name}", settings, open_storage(settings))
            assert len(read) == times
    gs.forget_gs_credentials()
