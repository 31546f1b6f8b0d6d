"""Documents as Azure's AnalyzeResult: content, spans in each unit, places, and the shape that its own client knows."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, get_args

import pytest
from azure.ai.documentintelligence.models import AnalyzeResult
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrqueue.document import Document, DocumentWarning, InputInfo, Preparation
from ocrqueue.errors import ErrorInfo
from ocrqueue.job import new_job_id
from ocrqueue_gateway.clouds.azure_read.analyze_result import result_pieces
from ocrqueue_gateway.clouds.azure_read.languages import language_of, locale_of
from ocrqueue_gateway.clouds.azure_read.models import ContentFormat, StringIndexType
from ocrqueue_gateway.clouds.azure_read.presentation import Presentation, job_of, result_id
from tests.support.azure_models import complaints
from tests.support.documents import document_of, page_of

PDF = InputInfo(uri="s3://bucket/a.pdf", sha256="0" * 64, format="PDF", bytes=1)
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
INDEXES = get_args(StringIndexType)
texts = st.lists(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4), min_size=1, max_size=4)


def shown(document: Document, **how: Any) -> dict[str, Any]:
    """The JSON, which is what the client's models say."""
    result: dict[str, Any] = json.loads("".join(result_pieces(document, Presentation(**how))))
    assert complaints(result, AnalyzeResult) == []
    return result


def cut(content: str, span: dict[str, int], kind: str) -> str:
    """What a client has of a span, whose language counts so."""
    start, end = span["offset"], span["offset"] + span["length"]
    if kind == "utf16CodeUnit":
        return content.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")
    return content[start:end]


def test_content_is_lines_in_reading_order_and_every_element_has_its_span() -> None:
    read = document_of(
        page_of(1, [[[["Hello", "world"], ["again"]]], [[["Bye"]]]]),
        page_of(2, []),
        page_of(3, [[[["Last", "page"]]]]),
    )
    result = shown(read)
    assert result["content"] == "Hello world\nagain\nBye\n\nLast page"
    assert [page["spans"] for page in result["pages"]] == [
        [{"offset": 0, "length": 21}],
        [{"offset": 22, "length": 0}],
        [{"offset": 23, "length": 9}],
    ]
    for page in result["pages"]:
        for line in page["lines"]:
            assert cut(result["content"], line["spans"][0], "unicodeCodePoint") == line["content"]
        for word in page["words"]:
            assert cut(result["content"], word["span"], "unicodeCodePoint") == word["content"]
    assert [paragraph["content"] for paragraph in result["paragraphs"]] == ["Hello world again", "Bye", "Last page"]
    assert [each["boundingRegions"][0]["pageNumber"] for each in result["paragraphs"]] == [1, 1, 3]
    assert (result["contentFormat"], result["stringIndexType"], result["styles"]) == ("text", "textElements", [])


def test_markdown_parts_paragraphs_and_escapes_and_spans_cover_what_is_written() -> None:
    read = document_of(page_of(1, [[[["1.", "a*b"], ["#", "x"]]], [[["y"]]]]), page_of(2, [[[["z"]]]]))
    result = shown(read, content_format="markdown", string_index_type="unicodeCodePoint")
    assert result["content"] == "1\\. a\\*b\n\\# x\n\ny\n\n<!-- PageBreak -->\n\nz"
    words = [word for page in result["pages"] for word in page["words"]]
    assert [word["content"] for word in words] == ["1.", "a*b", "#", "x", "y", "z"]
    spans = [cut(result["content"], word["span"], "unicodeCodePoint") for word in words]
    assert spans == ["1\\.", "a\\*b", "\\#", "x", "y", "z"]


@pytest.mark.parametrize(
    ("kind", "spans"),
    [
        ("textElements", [(0, 1), (2, 1), (4, 4)]),
        ("unicodeCodePoint", [(0, 5), (6, 2), (9, 4)]),
        ("utf16CodeUnit", [(0, 8), (9, 2), (12, 4)]),
    ],
)
def test_spans_count_as_the_client_counts(kind: StringIndexType, spans: list[tuple[int, int]]) -> None:
    read = document_of(page_of(1, [[[[FAMILY, "e\u0301", "last"]]]]), page_of(2, [[[["next"]]]]))
    result = shown(read, string_index_type=kind)
    found = [word["span"] for word in result["pages"][0]["words"]]
    assert [(span["offset"], span["length"]) for span in found] == spans
    # the next page goes on where this one ends, behind a newline
    (after,) = result["pages"][1]["spans"]
    assert after["offset"] == sum(spans[-1]) + 1
    if kind != "textElements":
        assert cut(result["content"], after, kind) == "next"


@settings(deadline=None)
@given(texts, st.sampled_from(INDEXES), st.sampled_from(get_args(ContentFormat)))
def test_spans_of_any_text_lie_in_their_lines_and_pages(
    lines: list[list[str]], kind: StringIndexType, content_format: ContentFormat
) -> None:
    result = shown(
        document_of(page_of(1, [[lines]]), page_of(2, [[lines]])), string_index_type=kind, content_format=content_format
    )
    end = 0
    for page in result["pages"]:
        (outer,) = page["spans"]
        assert outer["offset"] >= end
        end = outer["offset"] + outer["length"]
        for span in [each["span"] for each in page["words"]] + [each["spans"][0] for each in page["lines"]]:
            assert outer["offset"] <= span["offset"]
            assert span["offset"] + span["length"] <= end
    if kind != "textElements" and content_format == "text":
        for word in (word for page in result["pages"] for word in page["words"]):
            assert cut(result["content"], word["span"], kind) == word["content"]
    assert not any(unicodedata.category(letter) == "Cc" for letter in result["content"].replace("\n", ""))


def test_a_pdf_is_measured_in_inches_and_an_image_in_pixels() -> None:
    page = page_of(1, [[[["word"]]]], width=850, height=1100, dpi=100.0, size_pt=(612.0, 792.0))
    inches, pixels = (shown(document_of(page, **more))["pages"][0] for more in ({"input": PDF}, {}))
    assert (inches["unit"], inches["width"], inches["height"]) == ("inch", 8.5, 11.0)
    assert inches["words"][0]["polygon"] == [0.1, 0.1, 0.6, 0.1, 0.6, 0.3, 0.1, 0.3]
    assert (pixels["unit"], pixels["width"], pixels["height"]) == ("pixel", 850, 1100)
    assert pixels["words"][0]["polygon"] == [10, 10, 60, 10, 60, 30, 10, 30]


@pytest.mark.parametrize("size", [(float("inf"), 792.0), (612.0, float("nan")), (-612.0, 792.0), (0.0, 0.0)])
def test_a_size_in_points_that_is_none_is_not_measured_by(size: tuple[float, float]) -> None:
    page = page_of(1, [[[["word"]]]], width=850, height=1100, dpi=100.0, size_pt=size)
    inches = shown(document_of(page, input=PDF))["pages"][0]
    assert (inches["unit"], inches["width"], inches["height"]) == ("inch", 8.5, 11.0)
    assert inches["words"][0]["polygon"] == [0.1, 0.1, 0.6, 0.1, 0.6, 0.3, 0.1, 0.3]


@pytest.mark.parametrize(("rotation", "tilt", "angle"), [(0, 0, 0), (180, 0, 180), (270, 0, -90), (0, -2.5, -2.5)])
def test_the_angle_is_of_the_text(rotation: int, tilt: float, angle: float) -> None:
    page = page_of(1, [[[["word"]]]], rotation=rotation, preparation=Preparation(steps=(), angle=tilt))
    assert shown(document_of(page))["pages"][0]["angle"] == angle


def test_a_confidence_is_always_a_number() -> None:
    pages = (
        page_of(1, [[[["a"]]]], 0.75),
        page_of(2, [[[["b"]]]], None),
        page_of(3, [[[["c"]]]], None, source="pdf"),
    )
    result = shown(document_of(*pages))
    assert [page["words"][0]["confidence"] for page in result["pages"]] == [0.75, 0, 1]


def test_languages_are_told_of_whoever_asks_for_them() -> None:
    read = document_of(
        page_of(1, [[[["a"]]]], languages=("eng",)), page_of(2, [[[["b"]]]], languages=("eng", "chi_tra"))
    )
    assert "languages" not in shown(read)
    assert shown(read, with_languages=True)["languages"] == [
        {"locale": "en", "confidence": 1, "spans": [{"offset": 0, "length": 1}, {"offset": 2, "length": 1}]},
        {"locale": "zh-Hant", "confidence": 1, "spans": [{"offset": 2, "length": 1}]},
    ]


def test_what_went_wrong_with_a_page_or_the_file_is_a_warning() -> None:
    error = ErrorInfo(code="pdf.page_damaged", message="It is damaged.", remedy="Repair it.", retryable=False)
    cut_off = ErrorInfo(code="image.truncated", message="It is cut off.")
    read = document_of(
        page_of(1, [[[["a"]]]]),
        page_of(2, [], error=error),
        errors=(error, cut_off),
        warnings=(DocumentWarning(code="image.end_missing", message="The end is missing."),),
    )
    assert shown(read)["warnings"] == [
        {"code": "pdf.page_damaged", "message": "It is damaged. Repair it.", "target": "2"},
        {"code": "image.truncated", "message": "It is cut off."},
        {"code": "image.end_missing", "message": "The end is missing."},
    ]


def test_the_id_of_a_result_says_how_it_is_shown() -> None:
    job_id = new_job_id()
    assert result_id(job_id, Presentation()) == job_id
    ids = set()
    for kind in INDEXES:
        for content_format in get_args(ContentFormat):
            for languages in (False, True):
                how = Presentation(kind, content_format, languages)
                made = result_id(job_id, how)
                ids.add(made)
                assert job_of(made.upper()) == (job_id, how)
    assert len(ids) == 12
    for other in ("", "job-1", "../etc", job_id + "0", f"{job_id[:14]}3{job_id[15:]}"):
        assert job_of(other) is None


def test_locales_lead_to_languages_and_back() -> None:
    assert [language_of(locale) for locale in ("en", "en-US", "ko-KR", "zh-Hant-TW", "zh_TW", "nb-NO", "he", "xx")] == [
        *("eng", "eng", "kor", "chi_tra", "chi_tra", "nor", "heb"),
        None,
    ]
    assert [locale_of(name) for name in ("eng", "jpn_vert", "chi_sim", "heb", "xyz")] == [
        *("en", "ja", "zh-Hans", "he", "und"),
    ]
