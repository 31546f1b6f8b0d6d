"""Google's own client for Python, unmodified, over gRPC and REST."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Literal, get_args

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.api_core.operation import from_gapic
from google.api_core.retry import Retry, if_exception_type
from google.auth.api_key import Credentials
from google.auth.credentials import AnonymousCredentials
from google.cloud import vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport
from PIL import Image

from ocrqueue.client import registry_of
from ocrqueue.document import Document, Page
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.vision import VisionEngine, VisionOptions
from ocrqueue_worker.images.page import PageImage
from tests.integration.gateway.clouds.conftest import Clouds
from tests.support.documentation import ROOT, block_after
from tests.support.pictures import png, text_picture
from tests.support.servers import answer, http_server

pytest_plugins = ["tests.support.server_fixtures"]

Transport = Literal["grpc", "rest"]
SIGN = ROOT / "samples/street-sign.jpg"
LETTER = ROOT / "samples/letter.pdf"
TEXT = {"type_": vision.Feature.Type.TEXT_DETECTION}
both = pytest.mark.parametrize("transport", get_args(Transport))


@pytest.fixture
def client_of(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., vision.ImageAnnotatorClient]]:
    """Clients with a key, over either transport."""
    assert clouds.certificate is not None
    authority = clouds.certificate.authority
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:

        def make(transport: Transport, key: str | None = None, at: Clouds = clouds) -> vision.ImageAnnotatorClient:
            key = clouds.key() if key is None else key
            if transport == "rest":
                options = ClientOptions(api_endpoint=at.rest, api_key=key)
                return stack.enter_context(vision.ImageAnnotatorClient(client_options=options, transport="rest"))
            # the authority of default credentials is read once in a process, by whoever comes first
            trusted = grpc.ssl_channel_credentials(authority.read_bytes())
            chosen = ImageAnnotatorGrpcTransport(
                host=at.grpc, credentials=Credentials(key), ssl_channel_credentials=trusted
            )
            return stack.enter_context(vision.ImageAnnotatorClient(transport=chosen))

        yield make


def picture(text: str) -> bytes:
    return png(text_picture(text))


def documents(clouds: Clouds, tenant: str) -> list[Document]:
    """What the tenant's jobs have read, the newest first."""
    page = clouds.queue.jobs(tenant=tenant, tag="google", limit=100)
    return [clouds.queue.job(status.id).result(timeout=60) for status in page.jobs]


@both
def test_the_course_page_s_function_prints_what_is_on_a_picture(
    clouds: Clouds, scratch: Path, transport: Transport
) -> None:
    """As docs/clouds.md shows it."""
    assert clouds.certificate is not None
    code = block_after(ROOT / "docs/clouds.md", "### As the course's page has it", "python")
    at = clouds.grpc if transport == "grpc" else clouds.rest
    code = code.replace("ocr.example.org:8788", at)
    if transport == "rest":
        code = code.replace("client_options=", 'transport="rest", client_options=')
    script = scratch / f"detect_text_{transport}.py"
    script.write_text(code + f"\ndetect_text({str(SIGN)!r})\n", encoding="utf-8")
    trusted = str(clouds.certificate.authority)
    variables = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": trusted, "REQUESTS_CA_BUNDLE": trusted, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, **variables, "OCR_KEY": clouds.key()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    words = SIGN.with_suffix(".txt").read_text().split()
    assert [line.strip('"') for line in done.stdout.splitlines() if line.strip('"') in words] == words
    assert done.stdout.count("bounds: (") == len(words) + 1


@both
def test_annotations_are_what_the_document_says(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    tenant = f"annotations-{transport}"
    client = client_of(transport, clouds.key(tenant))
    response = client.document_text_detection(image=vision.Image(content=SIGN.read_bytes()))
    (document,) = documents(clouds, tenant)
    words = list(document.words())
    assert response.error.code == 0
    whole, *each = response.text_annotations
    assert [entity.description for entity in each] == [word.text for word in words]
    assert whole.description.split() == document.text.split()
    assert whole.locale == "en"
    for entity, word in zip(each, words, strict=True):
        corners = [(vertex.x, vertex.y) for vertex in entity.bounding_poly.vertices]
        assert corners == [(round(x), round(y)) for x, y in word.polygon]
    (page,) = response.full_text_annotation.pages
    assert (page.width, page.height) == (document.pages[0].width, document.pages[0].height)
    assert page.property.detected_languages[0].language_code == "en"
    assert response.full_text_annotation.text == whole.description == written(page)
    found = [word for block in page.blocks for part in block.paragraphs for word in part.words]
    assert ["".join(symbol.text for symbol in word.symbols) for word in found] == [word.text for word in words]
    assert [word.confidence for word in found] == pytest.approx([word.confidence for word in words], abs=1e-6)
    assert all(block.block_type == vision.Block.BlockType.TEXT for block in page.blocks)


def written(page: vision.Page) -> str:
    """The text, by its symbols and breaks."""
    kinds = vision.TextAnnotation.DetectedBreak.BreakType
    after = {kinds.SPACE: " ", kinds.EOL_SURE_SPACE: "\n", kinds.LINE_BREAK: "\n"}
    symbols = [
        symbol
        for block in page.blocks
        for paragraph in block.paragraphs
        for word in paragraph.words
        for symbol in word.symbols
    ]
    return "".join(symbol.text + after.get(symbol.property.detected_break.type_, "") for symbol in symbols).rstrip("\n")


@both
def test_of_a_batch_each_image_has_its_own_answer(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport, http_image: str
) -> None:
    clouds.buckets.put("scans/a/Hello.png", picture("Bucket"), "image/png")
    korean = (ROOT / "samples/korean-page.png").read_bytes()

    def asked(features: Any = TEXT, hints: Any = (), **image: Any) -> vision.AnnotateImageRequest:
        context = {"language_hints": list(hints)}
        return vision.AnnotateImageRequest(image=image, features=[features], image_context=context)

    response = client_of(transport).batch_annotate_images(
        requests=[
            asked(content=picture("Hello")),
            asked(source={"image_uri": "gs://scans/a/Hello.png"}),
            asked(source={"gcs_image_uri": "gs://scans/a/missing.png"}),
            asked(source={"image_uri": http_image}),
            asked(content=b"no image"),
            asked({"type_": vision.Feature.Type.FACE_DETECTION}, content=picture("Hello")),
            asked(content=korean, hints=["ko"]),
            asked(content=picture("Hello"), hints=["xx-Latn"]),
            asked(content=png(Image.new("L", (60, 40), 255))),
            asked(source={"image_uri": "s3://bucket/key.png"}),
            asked(),
        ]
    )
    texts = [each.full_text_annotation.text for each in response.responses]
    assert texts[:2] == ["Hello", "Bucket"]
    assert texts[3] == "Web"
    assert "대한민국" in texts[6] or any("가" <= letter <= "힣" for letter in texts[6])
    assert response.responses[6].text_annotations[0].locale == "ko"
    told = {number: (each.error.code, each.error.message) for number, each in enumerate(response.responses)}
    codes = {number: (code, message.partition(":")[0]) for number, (code, message) in told.items() if code}
    assert codes == {
        2: (5, "source.not_found"),
        4: (3, "image.not_recognised"),
        5: (12, "request.unsupported"),
        7: (3, "language.missing"),
        9: (3, "request.invalid"),
        10: (3, "request.invalid"),
    }
    assert not texts[8]
    assert not response.responses[8].text_annotations


@pytest.fixture
def http_image() -> Iterator[str]:
    with http_server(answer(200, picture("Web"), content_type="image/png")) as server:
        yield server.url("/web.png")


@both
def test_pages_of_a_file(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    def asked(**more: Any) -> vision.AnnotateFileRequest:
        config = {"content": LETTER.read_bytes(), "mime_type": "application/pdf"}
        return vision.AnnotateFileRequest(input_config=config, features=[TEXT], **more)

    client = client_of(transport)
    (response,) = client.batch_annotate_files(requests=[asked()]).responses
    truth = LETTER.with_suffix(".txt").read_text().split("\f")
    assert response.total_pages == len(response.responses) == len(truth)
    assert [each.context.page_number for each in response.responses] == list(range(1, len(truth) + 1))
    for each, text in zip(response.responses, truth, strict=True):
        assert each.full_text_annotation.text.split()[:5] == text.split()[:5]
        (page,) = each.full_text_annotation.pages
        assert 500 < page.width < page.height < 900, "points"
        corners = page.blocks[0].bounding_box.normalized_vertices
        assert len(corners) == 4
        assert all(0 <= corner.x <= 1 and 0 <= corner.y <= 1 for corner in corners)
    (second,) = client.batch_annotate_files(requests=[asked(pages=[2])]).responses
    assert [each.context.page_number for each in second.responses] == [2]
    assert second.total_pages == 0
    with pytest.raises(exceptions.MethodNotImplemented):
        client.batch_annotate_files(requests=[asked(pages=[-1])])
    with pytest.raises(exceptions.BadRequest, match="5 are the most"):
        client.batch_annotate_files(requests=[asked(pages=range(1, 7))])


@both
def test_images_and_files_that_are_asked_for_later(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    client, place = client_of(transport), f"results/{transport}"
    clouds.buckets.put("scans/letter.pdf", LETTER.read_bytes(), "application/pdf")
    output = {"gcs_destination": {"uri": f"gs://{place}/images-"}, "batch_size": 2}
    texts = ["One", "Two", "Three"]
    requests = [{"image": {"content": picture(text)}, "features": [TEXT]} for text in texts]
    requests[1]["features"] = [{"type_": vision.Feature.Type.LOGO_DETECTION}]
    images = client.async_batch_annotate_images(requests=requests, output_config=output)
    files = client.async_batch_annotate_files(
        requests=[
            {
                "input_config": {"gcs_source": {"uri": "gs://scans/letter.pdf"}, "mime_type": "application/pdf"},
                "features": [TEXT],
                "output_config": {"gcs_destination": {"uri": f"gs://{place}/letter/"}, "batch_size": 1},
            }
        ]
    )
    assert images.result(timeout=300).output_config.gcs_destination.uri == output["gcs_destination"]["uri"]
    assert images.metadata.state == vision.OperationMetadata.State.DONE
    assert files.result(timeout=300).responses[0].output_config.batch_size == 1

    def stored(name: str) -> Any:
        return json.loads(clouds.buckets.get(f"{place}/{name}"))

    first, second = stored("images-output-1-to-2.json"), stored("images-output-3-to-3.json")
    read = [vision.BatchAnnotateImagesResponse.from_json(json.dumps(each)).responses for each in (first, second)]
    assert [each.full_text_annotation.text for some in read for each in some] == ["One", "", "Three"]
    assert read[0][1].error.code == 12
    page = vision.AnnotateFileResponse.from_json(json.dumps(stored("letter/output-2-to-2.json")))
    assert page.input_config.gcs_source.uri == "gs://scans/letter.pdf"
    assert [each.context.page_number for each in page.responses] == [2]
    assert "".join(first["responses"][0]["fullTextAnnotation"]["pages"][0]["blocks"][0]["blockType"]) == "TEXT"


@both
def test_an_operation_is_its_tenant_s_and_can_be_cancelled(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    mine, other = client_of(transport, clouds.key("slow")), client_of(transport)
    output = {"gcs_destination": {"uri": f"gs://results/cancelled-{transport}/"}}
    requests = [{"image": {"content": picture(f"{transport} {number}")}, "features": [TEXT]} for number in range(30)]
    begun = mine.async_batch_annotate_images(requests=requests, output_config=output)
    name = begun.operation.name
    assert not begun.done()
    asked = {"name": name}
    with pytest.raises(exceptions.NotFound, match=r"job\.unknown"):
        other.get_operation(asked)
    assert mine.get_operation(asked).name == name
    with clouds.http() as http:
        gone = http.post(f"/v1/{name}:cancel", headers={"x-goog-api-key": clouds.key()})
        assert gone.status_code == 404
        done = http.post(f"/v1/{name}:cancel", headers={"x-goog-api-key": clouds.key("slow")})
        assert (done.status_code, done.json()) == (200, {})
    with pytest.raises(exceptions.Cancelled):
        begun.result(timeout=60)
    with clouds.http() as http:
        assert http.delete(f"/v1/{name}", headers={"x-goog-api-key": clouds.key("slow")}).json() == {}
    with pytest.raises(exceptions.NotFound):
        mine.get_operation(asked)


def test_another_replica_goes_on_with_an_operation(clouds_with: Callable[..., Any]) -> None:
    uri = "gs://results/replicas/"
    requests = [{"image": {"content": picture(word)}, "features": [TEXT]} for word in ("Alpha", "Beta")]
    with clouds_with() as first, plain_client(first, "grpc") as client:
        begun = client.async_batch_annotate_images(
            requests=requests, output_config={"gcs_destination": {"uri": uri}}
        ).operation
    with clouds_with() as second, plain_client(second, "grpc") as client:
        polled = from_gapic(
            begun,
            client.transport.operations_client,
            vision.AsyncBatchAnnotateImagesResponse,
            metadata_type=vision.OperationMetadata,
        )
        assert polled.result(timeout=300).output_config.gcs_destination.uri == uri
        stored = json.loads(second.buckets.get("results/replicas/output-1-to-2.json"))
    assert [each["fullTextAnnotation"]["text"] for each in stored["responses"]] == ["Alpha", "Beta"]


@both
def test_output_goes_only_where_a_rule_says(
    client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    client = client_of(transport)
    for uri, raised, said in (
        ("gs://elsewhere/", exceptions.Forbidden, "source.bucket_not_allowed"),
        ("gs://scans/", exceptions.Forbidden, "source.bucket_not_allowed"),
        ("gs://results/../private/", exceptions.BadRequest, "source.invalid"),
        ("s3://results/", exceptions.BadRequest, "request.invalid"),
    ):
        with pytest.raises(raised, match=said.replace(".", r"\.")):
            client.async_batch_annotate_images(
                requests=[{"image": {"content": b"no image"}, "features": [TEXT]}],
                output_config={"gcs_destination": {"uri": uri}},
            )


@both
def test_refusals_are_google_s_own(
    clouds: Clouds, client_of: Callable[..., vision.ImageAnnotatorClient], transport: Transport
) -> None:
    image = vision.Image(content=picture("Hello"))
    with pytest.raises(exceptions.Unauthorized, match=r"key\.invalid") as wrong:
        client_of(transport, "AIzaSyD-wrong").text_detection(image=image)
    assert wrong.value.reason == "KEY_INVALID"
    assert wrong.value.domain == "ocrqueue"
    reader = clouds.queue.api_keys.create(tenant=clouds.tenant, scopes=["read"]).text
    with pytest.raises(exceptions.Forbidden):
        client_of(transport, reader).text_detection(image=image)
    with pytest.raises(exceptions.BadRequest, match="17 images"):
        client_of(transport).batch_annotate_images(requests=[{"image": image, "features": [TEXT]}] * 17)
    rare = client_of(transport, clouds.key(rate="1/h"))
    rare.text_detection(image=image)
    with pytest.raises(exceptions.TooManyRequests, match=r"key\.rate_exceeded") as often:
        rare.text_detection(image=image)
    assert any("retry_delay" in str(detail) or "retryDelay" in str(detail) for detail in often.value.details)


@both
def test_while_the_queue_is_long_the_client_tries_again_and_finds_its_job(
    clouds_with: Callable[..., Any], transport: Transport
) -> None:
    refused: list[Exception] = []

    def goes_on(error: Exception) -> None:
        refused.append(error)
        impatient.queue.resume(engine="tesseract")

    retry = Retry(initial=0.05, predicate=if_exception_type(exceptions.ServiceUnavailable), on_error=goes_on)
    with clouds_with(cloud_wait_s=0) as impatient, ExitStack() as after:
        with plain_client(impatient, transport) as client:
            image = vision.Image(content=picture(f"Patience {transport}"))
            asked = {"image": image, "features": [TEXT]}
            before = {status.id for status in impatient.queue.jobs(tag="google", limit=500).jobs}
            # The worker is as quick as the gateway's look at the job: nothing is read before the first refusal.
            impatient.queue.pause(engine="tesseract")
            after.callback(impatient.queue.resume, engine="tesseract")
            found = client.batch_annotate_images(requests=[asked], retry=retry)
            default = client.batch_annotate_images(requests=[{**asked, "image_context": {"language_hints": ["en"]}}])
        jobs = [status for status in impatient.queue.jobs(tag="google", limit=500).jobs if status.id not in before]
    assert found.responses[0].full_text_annotation.text == f"Patience {transport}"
    assert default.responses[0].full_text_annotation.text == f"Patience {transport}"
    assert refused, "the first try is not waited for"
    assert "job.wait_timeout" in str(refused[0])
    assert len(jobs) == 2, "one for each request, however often it was sent"


def plain_client(at: Clouds, transport: Transport) -> vision.ImageAnnotatorClient:
    """Without TLS and without a key, which the gateway of one's own machine does without."""
    if transport == "grpc":
        chosen: Any = ImageAnnotatorGrpcTransport(channel=grpc.insecure_channel(at.grpc))
    else:
        from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorRestTransport

        chosen = ImageAnnotatorRestTransport(host=at.rest, credentials=AnonymousCredentials(), url_scheme="http")
    return vision.ImageAnnotatorClient(transport=chosen)


@pytest.mark.parametrize(("transport", "sample"), [("rest", "two-columns.png"), ("grpc", "korean-page.png")])
def test_this_project_s_own_engine_reads_from_its_own_gateway(
    clouds_with: Callable[..., Any], settings: WorkerSettings, transport: Transport, sample: str
) -> None:
    """Document in is Document out: text, boxes within 1 px, confidence to 3 digits."""
    with clouds_with() as own, Image.open(ROOT / "samples" / sample) as image:
        endpoint = f"http://{own.grpc if transport == 'grpc' else own.rest}"
        before = {status.id for status in own.queue.jobs(tag="google", limit=500).jobs}
        engine = VisionEngine(settings.model_copy(update={"vision_endpoint": endpoint, "vision_transport": transport}))
        languages = ("kor", "eng") if sample.startswith("korean") else ("eng",)
        deadline = time.monotonic() + 300
        (read,) = engine.recognize([PageImage(1, image.convert("L"))], Reading(languages, VisionOptions(), deadline))
        engine.close()
        (job,) = [each for each in own.queue.jobs(tag="google", limit=500).jobs if each.id not in before]
        (page,) = own.queue.job(job.id).result(timeout=60).pages
    assert isinstance(read, Page)
    assert read.text == page.text
    assert (read.width, read.height, read.rotation) == (page.width, page.height, page.rotation)
    assert [len(list(block.paragraphs)) for block in read.blocks] == [len(block.paragraphs) for block in page.blocks]
    assert len(list(page.words())) > 20
    for ours, theirs in zip(read.words(), page.words(), strict=True):
        assert ours.text == theirs.text
        assert ours.space_after == theirs.space_after
        assert ours.confidence == pytest.approx(theirs.confidence, abs=5e-4)
        for one, other in zip(ours.polygon, theirs.polygon, strict=True):
            assert one == pytest.approx(other, abs=1)
    for ours_line, theirs_line in zip(read.lines(), page.lines(), strict=True):
        assert ours_line.text == theirs_line.text
    for block, other_block in zip(read.blocks, page.blocks, strict=True):
        assert block.bbox == pytest.approx(other_block.bbox, abs=1)


def error_of(response: httpx.Response, status: int, name: str, code: str) -> dict[str, Any]:
    told: dict[str, Any] = response.json()["error"]
    assert (response.status_code, told["code"], told["status"]) == (status, status, name), response.text
    assert told["message"].startswith(f"{code}: ")
    assert told["details"][0]["metadata"]["code"] == code
    assert told["details"][0]["metadata"]["remedy"]
    return told


def test_whatever_fails_is_told_as_google_does(clouds: Clouds, clouds_with: Callable[..., Any]) -> None:
    key = {"x-goog-api-key": clouds.key()}
    at = "/v1/images:annotate"
    with clouds.http() as http:
        error_of(http.post(at, json={}), 401, "UNAUTHENTICATED", "key.missing")
        error_of(http.post(f"{at}?key={clouds.key()}", json={}), 401, "UNAUTHENTICATED", "key.missing")
        error_of(http.post(at, json={}, headers=key), 400, "INVALID_ARGUMENT", "request.invalid")
        error_of(http.post(at, content=b"{", headers=key), 400, "INVALID_ARGUMENT", "request.media_type")
        of_json = {**key, "content-type": "application/json"}
        error_of(http.post(at, content=b"{", headers=of_json), 400, "INVALID_ARGUMENT", "request.invalid")
        error_of(http.post(at, json=[], headers=key), 400, "INVALID_ARGUMENT", "request.invalid")
        error_of(http.post(at, json={"requets": []}, headers=key), 400, "INVALID_ARGUMENT", "request.invalid")
        error_of(http.post("/v1/images:else", json={}, headers=key), 404, "NOT_FOUND", "request.not_found")
        error_of(http.get(at, headers=key), 404, "NOT_FOUND", "request.method_not_allowed")
        error_of(http.get("/v1/operations/none", headers=key), 404, "NOT_FOUND", "job.unknown")
        error_of(http.get("/v1/projects/a/operations/none", headers=key), 404, "NOT_FOUND", "job.unknown")
        # and the native API as ever
        assert http.get("/v1/jobs", headers={"x-api-key": "wrong"}).headers["content-type"].endswith("problem+json")
    with (
        clouds_with(max_body_bytes=5000, max_batch_bytes=5000, allowed_hosts="127.0.0.1") as small,
        small.http() as http,
    ):
        image = {"content": base64.b64encode(os.urandom(6000)).decode()}
        asked = {"requests": [{"image": image, "features": [{"type": "TEXT_DETECTION"}]}]}
        error_of(http.post(at, json=asked), 400, "INVALID_ARGUMENT", "request.too_large")
        error_of(http.post(at, content=bytes(3_000_000)), 400, "INVALID_ARGUMENT", "request.too_large")
        error_of(http.post(at, json=asked, headers={"host": "other"}), 400, "INVALID_ARGUMENT", "request.host")


def test_json_is_as_google_writes_it(clouds: Clouds) -> None:
    image = {"content": base64.b64encode(picture("Hello")).decode()}
    asked = {"requests": [{"image": image, "features": [{"type": "TEXT_DETECTION", "maxResults": 5}]}]}
    with clouds.http() as http:
        http.headers["authorization"] = f"Bearer {clouds.key()}"
        named = http.post("/v1/projects/p/locations/eu/images:annotate", json=asked)
        numbered = http.post("/v1/images:annotate", json=asked, params={"$alt": "json;enum-encoding=int"})
    assert named.headers["content-type"] == "application/json; charset=UTF-8"
    (found,) = named.json()["responses"]
    block = found["fullTextAnnotation"]["pages"][0]["blocks"][0]
    symbol = block["paragraphs"][0]["words"][0]["symbols"][-1]
    assert block["blockType"] == "TEXT"
    assert symbol["property"]["detectedBreak"] == {"type": "LINE_BREAK"}
    assert symbol["text"] == "o"
    (other,) = numbered.json()["responses"]
    assert other["fullTextAnnotation"]["pages"][0]["blocks"][0]["blockType"] == 1
    # the client's own types take it without a field that they do not know
    vision.BatchAnnotateImagesResponse.from_json(named.text, ignore_unknown_fields=False)
    vision.BatchAnnotateImagesResponse.from_json(numbered.text, ignore_unknown_fields=False)


BATCH = "/google.cloud.vision.v1.ImageAnnotator/BatchAnnotateImages"


def test_what_is_no_message_is_refused_as_that(clouds_with: Callable[..., AbstractContextManager[Clouds]]) -> None:
    with clouds_with() as own, grpc.insecure_channel(own.grpc) as channel:
        for data in (b"\xff\xff\xff", b"\x0a\x7f", b"no message"):
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(BATCH)(data, metadata=[("x-goog-api-key", own.key())])
            assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert raised.value.details().startswith("request.invalid")


def test_a_tenant_that_sends_nothing_holds_up_no_other(
    clouds_with: Callable[..., AbstractContextManager[Clouds]],
) -> None:
    asked = vision.BatchAnnotateImagesRequest(requests=[{"image": {"content": SIGN.read_bytes()}, "features": [TEXT]}])
    message = vision.BatchAnnotateImagesRequest.serialize(asked)
    may_end = threading.Event()

    def silence() -> Iterator[bytes]:
        may_end.wait()
        yield from ()

    # no message is waited for in vain while this goes on
    with clouds_with(body_timeout_s=600) as own, grpc.insecure_channel(own.grpc) as channel:
        silent = [("x-goog-api-key", own.key())]
        calls = [channel.stream_unary(BATCH).future(silence(), metadata=silent) for _ in range(12)]
        try:
            other = [("x-goog-api-key", own.key("another"))]
            answer = channel.unary_unary(BATCH)(message, metadata=other, timeout=60)
            assert b"KINGFISHER" in answer
            assert not any(call.done() for call in calls)
        finally:
            for call in calls:
                call.cancel()
            may_end.set()


def test_a_deleted_operation_stays_deleted_whoever_is_at_work_on_it(clouds: Clouds) -> None:
    key = {"x-goog-api-key": clouds.key()}
    asked = {
        "requests": [
            {
                "image": {"content": base64.b64encode(png(text_picture("Hi"))).decode()},
                "features": [{"type": "TEXT_DETECTION"}],
            }
        ],
        "outputConfig": {"gcsDestination": {"uri": "gs://results/deleted/"}},
    }
    registry = registry_of(clouds.queue)
    with clouds.http() as http:
        name = http.post("/v1/images:asyncBatchAnnotate", json=asked, headers=key).json()["name"]
        kept = registry.keys.operation(clouds.tenant, f"google {name.rpartition('/')[2]}")
        before = registry.client.get(kept)
        assert isinstance(before, bytes)
        assert http.delete(f"/v1/{name}", headers=key).status_code == 200
        # a replica has read it before that, and writes what it has made of it
        registry.client.set(kept, before)
        assert http.get(f"/v1/{name}", headers=key).status_code == 404
        assert http.delete(f"/v1/{name}", headers=key).status_code == 404
