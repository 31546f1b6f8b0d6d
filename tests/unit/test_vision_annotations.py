"""Google's annotations as a Page, without loss: lines from breaks, missing coordinates, rotation, languages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud.vision import AnnotateImageResponse
from PIL import Image

from ocrqueue.document import Page
from ocrqueue_worker.engines.output_checks import check_results
from ocrqueue_worker.engines.vision.annotations import Frame, page_of
from ocrqueue_worker.images.page import PageImage
from tests.support.google_vision.answers import SAMPLES, answer

SIZE = (200, 100)


def symbol(text: str, end: str | None = None, **more: Any) -> dict[str, Any]:
    detected = {"property": {"detectedBreak": {"type": end}}} if end else {}
    return {"text": text, **detected, **more}


def word(text: str, end: str | None = None, box: tuple[int, int, int, int] = (10, 10, 30, 20)) -> dict[str, Any]:
    symbols = [symbol(character) for character in text[:-1]] + [symbol(text[-1], end)]
    return {"symbols": symbols, "boundingBox": bounds(*box), "confidence": 0.9}


def bounds(left: int, top: int, right: int, bottom: int) -> dict[str, Any]:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    # as in Google's JSON: a coordinate that is 0 is not there
    return {"vertices": [{name: v for name, v in (("x", x), ("y", y)) if v} for x, y in corners]}


def annotation(*words: dict[str, Any], **page: Any) -> dict[str, Any]:
    paragraph = {"words": list(words), "boundingBox": bounds(0, 0, 200, 100), "confidence": 0.8}
    block = {"paragraphs": [paragraph], "boundingBox": bounds(0, 0, 200, 100), "blockType": "TEXT", "confidence": 0.7}
    return {"fullTextAnnotation": {"pages": [{"width": 200, "height": 100, "blocks": [block], **page}]}}


def read(
    annotation: dict[str, Any], size: tuple[int, int] = SIZE, seen: tuple[int, int] = SIZE, **options: Any
) -> Page:
    response = AnnotateImageResponse.from_json(json.dumps(annotation))
    page = page_of(AnnotateImageResponse.pb(response), Frame(1, size, seen), **options)
    (checked,) = check_results([page], [PageImage(1, Image.new("L", size))], "vision")
    assert isinstance(checked, Page), checked
    return checked


@pytest.mark.parametrize(
    "name",
    ["english-page.png", "rotated-page.png", "korean-page.png", "two-columns.png", "receipt.jpg", "street-sign.jpg"],
)
def test_the_samples_come_out_as_they_are(name: str) -> None:
    truth = json.loads((SAMPLES / name).with_suffix(".json").read_text())
    with Image.open(SAMPLES / name) as image:
        response = answer(image)
        page = page_of(AnnotateImageResponse.pb(response), Frame(1, image.size, image.size))
        (checked,) = check_results([page], [PageImage(1, image)], "vision")
    assert isinstance(checked, Page), checked
    assert page.text == (SAMPLES / name).with_suffix(".txt").read_text().strip()
    assert page.rotation == (90 if name == "rotated-page.png" else 0)
    assert page.languages == (("kor" if name == "korean-page.png" else "eng"),)
    assert page.layout == "engine"
    # a word that Google does not part from its punctuation has the polygon that it has on the page
    whole = [word for word in truth["words"] if word["text"].isalnum()]
    true = {(word["text"], tuple((round(x), round(y)) for x, y in word["polygon"])) for word in whole}
    assert true <= {(w.text, w.polygon) for w in page.words()}
    assert all(0.9 <= (w.confidence or 0) <= 1 for w in page.words())


def test_breaks_make_spaces_and_lines() -> None:
    page = read(
        annotation(
            word("Dear", "SPACE"),
            word("Sir"),
            word(",", "EOL_SURE_SPACE"),
            word("far", "SURE_SPACE"),
            word("exam", "HYPHEN"),
            word("ple", "LINE_BREAK"),
            word("漢"),
            word("字"),
        )
    )
    assert page.text == "Dear Sir,\nfar exam-\nple\n漢字"
    assert [w.space_after for w in page.words()] == [True, False, True, True, False, True, False, True]
    assert len(page.blocks) == 1
    assert [w.id for w in page.words()][:2] == ["p001-w0001", "p001-w0002"]


def test_a_break_before_a_word_and_one_of_the_whole_word_count_too() -> None:
    prefixed = word("two")
    prefixed["symbols"][0]["property"] = {"detectedBreak": {"type": "SPACE", "isPrefix": True}}
    whole = word("three")
    whole["property"] = {"detectedBreak": {"type": "LINE_BREAK"}}
    assert read(annotation(word("one"), prefixed, whole, word("four"))).text == "one twothree\nfour"


def test_a_word_that_goes_over_a_line_becomes_two_each_in_its_place() -> None:
    parted = word("exple")
    for number, each in enumerate(parted["symbols"]):
        line = number // 2 if number < 4 else 1
        each["boundingBox"] = bounds(150 + number, 10 + 20 * line, 152 + number, 20 + 20 * line)
    parted["symbols"][1]["property"] = {"detectedBreak": {"type": "HYPHEN"}}
    page = read(annotation(parted))
    first, second = page.words()
    assert page.text == "ex-\nple"
    assert first.bbox == (150, 10, 153, 20)
    assert second.bbox == (152, 30, 156, 40)


def test_coordinates_that_are_not_there_are_zero() -> None:
    page = read(annotation(word("edge", box=(0, 0, 30, 20))))
    (found,) = page.words()
    assert found.polygon == ((0, 0), (30, 0), (30, 20), (0, 20))


def test_normalized_vertices_and_scaled_pages_are_in_the_pages_own_pixels() -> None:
    scaled = read(annotation(word("half", box=(10, 20, 30, 40))), size=(400, 300), seen=(200, 100))
    assert next(scaled.words()).bbox == (20, 60, 60, 120)
    part = word("part")
    part["boundingBox"] = {
        "normalizedVertices": [
            {"x": 0.25, "y": 0.5},
            {"x": 0.5, "y": 0.5},
            {"x": 0.5, "y": 0.75},
            {"x": 0.25, "y": 0.75},
        ]
    }
    assert next(read(annotation(part)).words()).bbox == (50, 50, 100, 75)


def test_what_hangs_over_the_edge_ends_there() -> None:
    over = word("over")
    over["boundingBox"] = {"vertices": [{"x": -50, "y": -1}, {"x": 250}, {"x": 250, "y": 140}, {"x": -50, "y": 140}]}
    assert next(read(annotation(over)).words()).bbox == (0, 0, 200, 100)


@pytest.mark.parametrize("without", ["word", "word and symbols", "all"])
def test_a_word_without_vertices_is_where_its_parts_or_its_paragraph_are(without: str) -> None:
    lost = word("lost", "SPACE")
    del lost["boundingBox"]
    if without == "word":
        for number, each in enumerate(lost["symbols"]):
            each["boundingBox"] = bounds(10 * number, 10, 10 * number + 10, 20)
    found = annotation(lost, word("here"))
    if without == "all":
        block = found["fullTextAnnotation"]["pages"][0]["blocks"][0]
        del block["boundingBox"], block["paragraphs"][0]["boundingBox"]
    page = read(found)
    assert page.text == "lost here"
    assert next(page.words()).bbox == ((0, 10, 40, 20) if without == "word" else (0, 0, 200, 100))


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_the_page_is_turned_as_most_of_its_text_is(turned: int) -> None:
    corners = [(10, 10), (60, 10), (60, 20), (10, 20)]
    order = {0: corners, 180: corners[2:] + corners[:2]}
    upright = [(10, 10), (20, 10), (20, 60), (10, 60)]
    order |= {90: upright[1:] + upright[:1], 270: upright[3:] + upright[:3]}
    long, short = word("sideways"), word("up")
    long["boundingBox"] = {"vertices": [{"x": x, "y": y} for x, y in order[turned]]}
    page = read(annotation(long, short))
    assert page.rotation == turned
    assert next(page.words()).polygon == tuple(order[turned])


def test_languages_are_the_likeliest_first_by_their_names_here() -> None:
    detected = [
        {"languageCode": "en", "confidence": 0.2},
        {"languageCode": "ko", "confidence": 0.7},
        {"languageCode": "zh-Hant-HK", "confidence": 0.1},
        {"languageCode": "und", "confidence": 0.9},
        {"languageCode": "tlh", "confidence": 0.01},
    ]
    page = read(annotation(word("a"), property={"detectedLanguages": detected}))
    assert page.languages == ("kor", "eng", "chi_tra", "tlh")
    of_block = annotation(word("a"))
    block = of_block["fullTextAnnotation"]["pages"][0]["blocks"][0]
    block["property"] = {"detectedLanguages": [{"languageCode": "fr-CA", "confidence": 0.4}]}
    assert read(of_block).languages == ("fra",)


def test_a_confidence_that_google_does_not_give_is_null() -> None:
    unsure = word("unsure")
    del unsure["confidence"]
    page = read(annotation(word("sure", "SPACE"), unsure))
    assert [w.confidence for w in page.words()] == [0.9, None]
    (block,) = page.blocks
    assert (block.confidence, block.paragraphs[0].confidence) == (0.7, 0.8)


def test_symbols_are_kept_where_they_are_asked_for() -> None:
    spelled = word("no")
    spelled["symbols"] = [
        symbol("n", boundingBox=bounds(10, 10, 20, 20), confidence=0.5),
        symbol("o", boundingBox=bounds(20, 10, 30, 20)),
    ]
    assert next(read(annotation(spelled)).words()).symbols is None
    symbols = next(read(annotation(spelled), symbols=True).words()).symbols
    assert symbols is not None
    assert [(s.text, s.bbox, s.confidence) for s in symbols] == [
        ("n", (10, 10, 20, 20), 0.5),
        ("o", (20, 10, 30, 20), None),
    ]


def test_blocks_of_every_kind_keep_their_text_and_those_without_are_left_out() -> None:
    found = annotation(word("cell"))
    blocks = found["fullTextAnnotation"]["pages"][0]["blocks"]
    blocks[0]["blockType"] = "TABLE"
    blocks += [
        {"blockType": "RULER", "boundingBox": bounds(0, 50, 200, 52)},
        {"blockType": "PICTURE", "paragraphs": [{}]},
    ]
    page = read(found)
    assert page.text == "cell"
    assert len(page.blocks) == 1


def test_words_without_structure_are_laid_out_by_where_they_stand() -> None:
    entities = [{"locale": "en", "description": "HELLO WORLD\nBYE"}]
    for text, box in (("HELLO", (10, 10, 60, 20)), ("WORLD", (70, 10, 120, 20)), ("BYE", (10, 30, 40, 40))):
        entities.append({"description": text, "boundingPoly": bounds(*box)})
    page = read({"textAnnotations": entities})
    assert page.layout == "inferred"
    assert page.text == "HELLO WORLD\nBYE"
    assert page.languages == ("eng",)
    assert {w.confidence for w in page.words()} == {None}


def test_an_image_without_text_is_an_empty_page() -> None:
    page = read({})
    assert (page.text, page.blocks, page.rotation, page.languages) == ("", (), 0, ())


def test_hostile_text_and_numbers_do_not_make_a_page_that_is_none() -> None:
    odd = word("a\0b", "SPACE")
    odd["confidence"] = 97.0
    blank = word(" ", "LINE_BREAK")
    weird = word("weird")
    weird["boundingBox"] = {"normalizedVertices": [{"x": "NaN", "y": "Infinity"}] * 4}
    page = read(annotation(odd, blank, weird))
    assert page.text == "ab\nweird"
    assert next(page.words()).confidence == 1.0
