"""Google's protocol: a page as annotations, errors as statuses, languages by their tags."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from google.cloud import vision

from ocrqueue.document import Block, Document, EngineInfo, InputInfo, Line, Page, Paragraph, Symbol, Word, polygon_of
from ocrqueue.errors import (
    EngineFailed,
    EngineTimeout,
    ImageNotRecognised,
    JobWaitTimeout,
    KeyInvalid,
    KeyRateExceeded,
    OcrQueueError,
    ProtocolExtraMissing,
    QueueFull,
    RequestInvalid,
    RequestUnsupported,
    SourceNotFound,
    StorageUnavailable,
    error_classes,
)
from ocrqueue.job.language_tags import TAGS, asked_name_of, name_of, tag_of
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.clouds import google_vision
from ocrqueue_gateway.clouds.google_vision.annotations import image_annotations, page_annotations
from ocrqueue_gateway.clouds.google_vision.asking import check_features, pages_asked
from ocrqueue_gateway.clouds.google_vision.messages import ImagesRequest, ImagesResponse, as_json, as_message, parsed
from ocrqueue_gateway.clouds.google_vision.statuses import HTTP, Code, code_of, code_of_image, details_of, rest_error
from ocrqueue_gateway.settings import GatewaySettings


def word(text: str, box: tuple[float, float, float, float], **more: Any) -> Word:
    return Word(id="p001-w0001", text=text, polygon=polygon_of(box), bbox=box, **more)


def document_of(page: Page) -> Document:
    return Document(
        job_id="a",
        status="succeeded",
        input=InputInfo(uri="file:///a.png", sha256=None, format="PNG", bytes=1),
        engine=EngineInfo(name="null", version="1", model="none"),
        languages=("eng",),
        finished_at=datetime.now(UTC),
        pages=(page,),
    )


def page_of(*lines: tuple[Word, ...], **more: Any) -> Page:
    box = (0.0, 0.0, 100.0, 50.0)
    placed = {"polygon": polygon_of(box), "bbox": box}
    made = tuple(Line(words=words, **placed) for words in lines)
    block = Block(paragraphs=(Paragraph(lines=made, **placed),), **placed)
    return Page(number=1, width=100, height=50, blocks=(block,), **more)


PAGE = page_of(
    (word("Héllo", (0, 0, 50, 10), confidence=0.5), word("a", (60, 0, 70, 10), confidence=1.0)),
    (word("日", (0, 20, 10, 30), space_after=False), word("本", (10.4, 20.6, 20, 30))),
)


def test_words_have_breaks_and_letters() -> None:
    found = image_annotations(PAGE, document_of(PAGE))
    assert found["text_annotations"][0]["description"] == found["full_text_annotation"]["text"] == "Héllo a\n日本"
    assert [each["description"] for each in found["text_annotations"][1:]] == ["Héllo", "a", "日", "本"]
    (paragraph,) = found["full_text_annotation"]["pages"][0]["blocks"][0]["paragraphs"]
    symbols = [[symbol["text"] for symbol in each["symbols"]] for each in paragraph["words"]]
    assert symbols == [["H", "é", "l", "l", "o"], ["a"], ["日"], ["本"]]
    breaks = [each["symbols"][-1].get("property", {}).get("detected_break") for each in paragraph["words"]]
    assert breaks == [{"type_": 1}, {"type_": 3}, None, {"type_": 5}]
    second = paragraph["words"][0]["symbols"][1]
    assert second["bounding_box"]["vertices"][0] == {"x": 10, "y": 0}
    assert second["confidence"] == 0.5
    assert "confidence" not in paragraph["words"][3]
    assert paragraph["words"][3]["bounding_box"]["vertices"][0] == {"x": 10, "y": 21}


def test_letters_of_the_engine_s_own_are_kept() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    own = (Symbol(text="x", polygon=polygon_of((1, 1, 4, 9)), bbox=(1, 1, 4, 9), confidence=0.25),)
    page = page_of((word("x", box, symbols=own),))
    found = image_annotations(page, document_of(page))
    (symbol,) = found["full_text_annotation"]["pages"][0]["blocks"][0]["paragraphs"][0]["words"][0]["symbols"]
    assert symbol["confidence"] == 0.25
    assert symbol["bounding_box"]["vertices"][0] == {"x": 1, "y": 1}
    # what is not the word's text is not told as its letters
    page = page_of((word("xy", box, symbols=own),))
    found = image_annotations(page, document_of(page))
    (made,) = found["full_text_annotation"]["pages"][0]["blocks"][0]["paragraphs"][0]["words"]
    assert [symbol["text"] for symbol in made["symbols"]] == ["x", "y"]


def test_places_in_a_file_are_fractions_of_its_page() -> None:
    page = PAGE.model_copy(update={"size_pt": (612.4, 792.0)})
    (found,) = page_annotations(page, document_of(page))["full_text_annotation"]["pages"]
    assert (found["width"], found["height"]) == (612, 792)
    corner = found["blocks"][0]["paragraphs"][0]["words"][1]["bounding_box"]["normalized_vertices"][2]
    assert corner == {"x": 0.7, "y": 0.2}


@pytest.mark.parametrize("far", [1e12, -1e12, float("inf"), float("nan")])
def test_what_lies_beyond_the_page_lies_on_its_edge(far: float) -> None:
    page = page_of((word("a", (far, far, far, far)),), size_pt=(far, 50.0))
    for made in (image_annotations(page, document_of(page)), page_annotations(page, document_of(page))):
        answer = {"responses": [made]}
        json.loads(as_json(answer, numbers=True), parse_constant=pytest.fail)
        (response,) = as_message(answer, ImagesResponse).responses
        (symbol,) = response.full_text_annotation.pages[0].blocks[0].paragraphs[0].words[0].symbols
        for vertex in symbol.bounding_box.vertices:
            assert (vertex.x, vertex.y) in {(0, 0), (100, 50)}
        for vertex in symbol.bounding_box.normalized_vertices:
            assert (vertex.x, vertex.y) in {(0, 0), (1, 1)}


def test_a_page_without_words_has_no_annotations() -> None:
    empty = Page(number=1, width=10, height=10)
    assert image_annotations(empty, document_of(empty)) == page_annotations(empty, document_of(empty)) == {}


def test_json_and_message_say_the_same() -> None:
    answer = {"responses": [image_annotations(PAGE, document_of(PAGE)), {"error": {"code": 3, "message": "bad"}}]}
    message = as_message(answer, ImagesResponse)
    for numbers in (False, True):
        text = as_json(answer, numbers=numbers).decode()
        read = vision.BatchAnnotateImagesResponse.from_json(text, ignore_unknown_fields=False)
        assert vision.BatchAnnotateImagesResponse.pb(read) == message
    assert json.loads(as_json(answer, numbers=False))["responses"][0]["textAnnotations"][0]["locale"] == "en"


@pytest.mark.parametrize(
    ("error", "of_request", "of_image"),
    [
        (KeyInvalid(), Code.UNAUTHENTICATED, Code.UNAUTHENTICATED),
        (KeyRateExceeded("Often.", retry_after_s=2), Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE),
        (JobWaitTimeout(), Code.UNAVAILABLE, Code.UNAVAILABLE),
        (QueueFull(), Code.UNAVAILABLE, Code.UNAVAILABLE),
        (StorageUnavailable(), Code.UNAVAILABLE, Code.UNAVAILABLE),
        (RequestInvalid(), Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT),
        (RequestUnsupported(), Code.UNIMPLEMENTED, Code.UNIMPLEMENTED),
        (SourceNotFound(), Code.NOT_FOUND, Code.NOT_FOUND),
        (ImageNotRecognised(), Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT),
        (EngineTimeout(), Code.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED),
        (EngineFailed(), Code.INVALID_ARGUMENT, Code.INTERNAL),
        (OcrQueueError(), Code.INTERNAL, Code.INTERNAL),
    ],
)
def test_errors_have_google_s_codes(error: OcrQueueError, of_request: Code, of_image: Code) -> None:
    assert (code_of(error.info), code_of_image(error.info)) == (of_request, of_image)


def test_every_error_has_a_body_of_google_s() -> None:
    for cls in error_classes().values():
        try:
            info = cls().info
        except TypeError:  # of more arguments
            continue
        told = json.loads(bytes(rest_error(info, 422, {"retry-after": "3"}).body))["error"]
        assert told["code"] == HTTP[Code[told["status"]]]
        assert told["message"].startswith(info.code)
        assert told["details"][1]["retryDelay"] == "3s"
        assert details_of(info)["reason"].replace("_", "").isalpha()


@pytest.mark.parametrize("kind", [float("inf"), float("nan"), 10**400, [], {}, "SPACE"])
def test_what_is_not_a_field_s_kind_is_refused(kind: Any) -> None:
    with pytest.raises(OcrQueueError, match=r"^request\.invalid"):
        parsed({"requests": [{"features": [{"type": kind}]}]}, ImagesRequest)


def test_what_google_reads_beside_text_is_refused() -> None:
    check_features([SimpleNamespace(type_=5), SimpleNamespace(type_=11)])
    with pytest.raises(RequestUnsupported, match="FACE_DETECTION"):
        check_features([SimpleNamespace(type_=5), SimpleNamespace(type_=1)])
    with pytest.raises(RequestInvalid):
        check_features([])


def test_pages_are_five_at_most() -> None:
    assert pages_asked(SimpleNamespace(pages=[])) is None
    assert pages_asked(SimpleNamespace(pages=[3, 1, 3])) == "1,3"
    with pytest.raises(RequestInvalid):
        pages_asked(SimpleNamespace(pages=range(1, 7)))
    with pytest.raises(RequestUnsupported):
        pages_asked(SimpleNamespace(pages=[0]))


def test_languages_have_names_here_and_tags_there() -> None:
    assert [asked_name_of(tag) for tag in ("en", "en-US", "zh", "zh-TW", "zh-Hant", "KO", "xx-Latn")] == [
        *("eng", "eng", "chi_sim", "chi_tra", "chi_tra", "kor", "xx_latn")
    ]
    assert (name_of("zh"), name_of("he"), name_of("xx-latn")) == ("zho", "heb", "xx-latn")
    assert all(name_of(tag_of(name)) == name for name in TAGS)
    assert (tag_of("chi_sim"), tag_of("chi_sim_vert"), tag_of("frk"), tag_of("deu_latf")) == (
        "zh-Hans",
        "und",
        "und",
        "de",
    )


async def test_without_the_extra_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("calls", "messages", "operations"):
        monkeypatch.setitem(sys.modules, f"ocrqueue_gateway.clouds.google_vision.{name}", None)
    # a module that was imported before is found at its package
    for name in ("calls", "messages", "operations"):
        monkeypatch.delattr(google_vision, name, raising=False)
    transport = httpx.ASGITransport(create_app(GatewaySettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        answer = await http.post("/v1/images:annotate", json={"requests": []})
    assert (answer.status_code, answer.json()["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "ocrqueue-gateway[google]" in answer.text
    with pytest.raises(ProtocolExtraMissing):
        create_app(GatewaySettings(grpc_port=0))
