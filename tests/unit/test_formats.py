"""A Document as text, JSON, TSV and hOCR, whatever its words hold."""

from __future__ import annotations

import json
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrqueue.document import Document, EngineInfo, Page
from ocrqueue.document.formats import FORMATS, render
from ocrqueue.document.formats.tsv import COLUMNS
from ocrqueue.errors import ErrorInfo
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word

XHTML = "{http://www.w3.org/1999/xhtml}"
NASTY = "<&\"\x00\x0b'>"
KOREAN = "도서관의"
HEBREW = "שלום"


@pytest.fixture
def document() -> Document:
    first = page_of(1, [[[["Hello", "world"], ["again"]], [["Second", NASTY]]], [[[KOREAN, HEBREW]]]], dpi=150.0)
    second = page_of(2, [[[["last"]]]], confidence=None, rotation=90, languages=("kor",))
    return document_of(first, second)


# --- text and JSON ---------------------------------------------------------------------------------------------


def test_text_keeps_lines_paragraphs_and_pages(document: Document) -> None:
    assert document.to_text() == (f"Hello world\nagain\n\nSecond <&\"\ufffd '>\n\n{KOREAN} {HEBREW}\n\flast\n")


def test_text_of_a_plain_document_is_its_text_property() -> None:
    plain = document_of(
        page_of(1, [[[["a", "b"], ["c"]], [["d"]]], [[["e"]]]]), page_of(2, []), page_of(3, [[[["f"]]]])
    )
    assert plain.to_text() == plain.text + "\n"


def test_words_without_a_space_between_them_stay_together() -> None:
    """As in Chinese and Japanese; hOCR readers take white space between the words' elements for a space."""
    words = [word(text, (10.0 * n, 0.0, 10.0 * n + 9, 9.0)) for n, text in enumerate(("東", "京", "駅", "a"))]
    glued = [item.model_copy(update={"space_after": n > 1}) for n, item in enumerate(words)]
    block = block_of([paragraph_of([line_of(glued)])])
    document = document_of(Page(number=1, width=400, height=300, blocks=(block,)))
    assert document.to_text() == "東京駅 a\n"
    (line,) = of_class(hocr_root(document), "ocr_line")
    assert "".join(line.itertext()).split() == ["東京駅", "a"]


def test_text_cannot_steer_a_terminal() -> None:
    assert (
        document_of(page_of(1, [[[["\x1b[2Jgone\x9b", "a\r\nb\u2028c"]]]])).to_text() == "\ufffd[2Jgone\ufffd a b c\n"
    )


def test_json_is_the_whole_document(document: Document) -> None:
    assert Document.model_validate_json(document.to_json()) == document
    assert json.loads(render(document, "json"))["pages"][0]["blocks"][0]["paragraphs"][1]["lines"][0]["words"][1][
        "text"
    ] == (NASTY)


def test_formats_by_name(document: Document) -> None:
    one = document.model_copy(update={"pages": document.pages[:1]})
    for name, function in FORMATS.items():
        assert render(one, name) == "".join(function(one))
        assert render(one, name).endswith("\n")
    with pytest.raises(ValueError, match="choose one of: text, text-layout, json, jsonl, tsv, csv"):
        render(document, "docx")


# --- TSV -------------------------------------------------------------------------------------------------------


def tsv_rows(tsv: str) -> list[dict[str, str]]:
    """As pandas and pytesseract read it: lines at newlines, fields at tabs, no quoting."""
    header, *lines = tsv.removesuffix("\n").split("\n")
    assert tuple(header.split("\t")) == COLUMNS
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]


def test_tsv_numbers_every_level_as_tesseract_does(document: Document) -> None:
    rows = tsv_rows(document.to_tsv())
    numbers = [tuple(int(row[column]) for column in COLUMNS[:6]) for row in rows]
    assert numbers == [
        (1, 1, 0, 0, 0, 0),
        (2, 1, 1, 0, 0, 0),
        (3, 1, 1, 1, 0, 0),
        (4, 1, 1, 1, 1, 0),
        (5, 1, 1, 1, 1, 1),
        (5, 1, 1, 1, 1, 2),
        (4, 1, 1, 1, 2, 0),
        (5, 1, 1, 1, 2, 1),
        (3, 1, 1, 2, 0, 0),
        (4, 1, 1, 2, 1, 0),
        (5, 1, 1, 2, 1, 1),
        (5, 1, 1, 2, 1, 2),
        (2, 1, 2, 0, 0, 0),
        (3, 1, 2, 1, 0, 0),
        (4, 1, 2, 1, 1, 0),
        (5, 1, 2, 1, 1, 1),
        (5, 1, 2, 1, 1, 2),
        (1, 2, 0, 0, 0, 0),
        (2, 2, 1, 0, 0, 0),
        (3, 2, 1, 1, 0, 0),
        (4, 2, 1, 1, 1, 0),
        (5, 2, 1, 1, 1, 1),
    ]


def test_tsv_boxes_confidences_and_text(document: Document) -> None:
    rows = tsv_rows(document.to_tsv())
    page, world, last = rows[0], rows[5], rows[-1]
    assert [page[column] for column in COLUMNS[6:]] == ["0", "0", "400", "300", "-1", ""]
    assert [world[column] for column in COLUMNS[6:]] == ["70", "10", "50", "20", "50.00", "world"]
    assert [last["conf"], last["text"]] == ["-1", "last"]
    assert rows[11]["text"] == "<&\"\ufffd '>"


def test_tsv_is_what_pytesseract_reads(document: Document) -> None:
    pytesseract = pytest.importorskip("pytesseract.pytesseract")
    parsed = pytesseract.file_to_dict(document.to_tsv(), "\t", -1)
    assert parsed["text"][4:6] == ["Hello", "world"]
    assert parsed["left"][5] == 70
    assert [float(conf) for conf in parsed["conf"]][4:6] == [50.0, 50.0]


@given(st.lists(st.text(), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_a_row_or_the_markup(texts: list[str]) -> None:
    written = document_of(page_of(1, [[[texts]]]))
    tsv = written.to_tsv()
    assert len(tsv.splitlines()) == 1 + 4 + len(texts)
    assert [row["text"] for row in tsv_rows(tsv)][4:] == [hocr_word.text or "" for hocr_word in hocr_words(written)]


# --- hOCR ------------------------------------------------------------------------------------------------------


def hocr_root(document: Document) -> ElementTree.Element:
    return ElementTree.fromstring(document.to_hocr().encode())


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.get("class") == name]


def hocr_words(document: Document) -> list[ElementTree.Element]:
    return of_class(hocr_root(document), "ocrx_word")


def test_hocr_nests_as_the_document(document: Document) -> None:
    root = hocr_root(document)
    assert root.tag == f"{XHTML}html"
    body = root.find(f"{XHTML}body")
    assert body is not None
    pages = list(body)
    assert [page.get("class") for page in pages] == ["ocr_page", "ocr_page"]
    nesting = {"ocr_page": "ocr_carea", "ocr_carea": "ocr_par", "ocr_par": "ocr_line", "ocr_line": "ocrx_word"}
    for parent in root.iter():
        child_class = nesting.get(parent.get("class", ""))
        assert child_class is None or {child.get("class") for child in parent} == {child_class}
    assert [len(of_class(root, name)) for name in nesting] == [2, 3, 4, 5]
    assert [element.text for element in of_class(root, "ocrx_word")] == [
        "Hello",
        "world",
        "again",
        "Second",
        "<&\"\ufffd '>",
        KOREAN,
        HEBREW,
        "last",
    ]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 2 + 3 + 4 + 5 + 8


def test_lines_from_right_to_left_say_so() -> None:
    """Words and letters stay in the order in which they are read."""
    texts = [[HEBREW, "204", "Room"], ["Room", HEBREW, "204"], ["204", "مرحبا", "٢٠٤"], ["plain"], ["12"]]
    written = document_of(page_of(1, [[texts]]))
    lines = list(written.pages[0].lines())
    assert [line.dir for line in lines] == ["rtl", "ltr", "rtl", "ltr", "ltr"]
    assert lines[0].text == f"{HEBREW} 204 Room"
    assert [line.get("dir") for line in of_class(hocr_root(written), "ocr_line")] == ["rtl", None, "rtl", None, None]
    assert written.to_page().count('readingDirection="right-to-left"') == 2


def test_hocr_properties(document: Document) -> None:
    root = hocr_root(document)
    first, second = of_class(root, "ocr_page")
    assert first.get("title") == (
        'image "s3://bucket/a%20%22b%22%3B%20%3Cc%3E.png"; bbox 0 0 400 300; ppageno 0; scan_res 150 150'
    )
    assert "scan_res" not in second.get("title", "")
    assert (first.get("lang"), second.get("lang")) == (None, "kor")
    words = of_class(root, "ocrx_word")
    assert words[1].get("title") == "bbox 70 10 120 30; x_wconf 50"
    assert words[-1].get("title") == "bbox 10 10 60 30"
    lines = of_class(root, "ocr_line")
    assert lines[0].get("title") == "bbox 10 10 120 30"
    # Text turned clockwise by 90 degrees is text turned counter-clockwise by 270.
    assert lines[-1].get("title") == "bbox 10 10 60 30; textangle 270"


def test_hocr_head(document: Document) -> None:
    hostile = document.model_copy(
        update={"engine": EngineInfo(name='x"><script>', version="{1}\x07", model=""), "job_id": "</title>&"}
    )
    root = hocr_root(hostile)
    metas = {meta.get("name"): meta.get("content") for meta in root.iter(f"{XHTML}meta")}
    assert metas["ocr-system"] == 'x"><script> {1}\ufffd'
    assert metas["ocr-number-of-pages"] == "2"
    assert set((metas["ocr-capabilities"] or "").split()) >= {"ocr_page", "ocr_carea", "ocr_par", "ocr_line"}
    assert root.findtext(f".//{XHTML}title") == "ocrqueue </title>&"


def test_hocr_can_be_served_as_html() -> None:
    """An HTML parser takes <div/> and <span/> for start tags that are never closed."""
    markup = document_of(page_of(1, []), page_of(2, [[[["", "a"]]]])).to_hocr()
    assert not re.search(r"<(div|span|p|title)[^>]*/>", markup)


def test_a_failed_page_is_empty_and_told() -> None:
    failed = Page(number=1, width=400, height=300, error=ErrorInfo(code="engine.failed", message="It broke off."))
    partial = document_of(failed, page_of(2, [[[["read"]]]]), status="partial")
    root = hocr_root(partial)
    assert [len(list(page)) for page in of_class(root, "ocr_page")] == [0, 1]
    assert 'name="ocrqueue-status" content="partial"' in partial.to_hocr()
    assert partial.to_text() == "\n\fread\n"
    assert [row["level"] for row in tsv_rows(partial.to_tsv())] == ["1", "1", "2", "3", "4", "5"]


def test_fractions_are_rounded_outwards_and_boxes_kept_on_the_page() -> None:
    boxes = [
        (10.6, 10.2, 59.1, 29.9),
        (-3.0, -0.5, 9999.0, 301.0),
        (math.nan, 5.0, math.inf, 9.0),
        (50.0, 20.0, 9.0, 3.0),
    ]
    page = Page(
        number=1,
        width=400,
        height=300,
        blocks=(block_of([paragraph_of([line_of([word("x", box) for box in boxes])])]),),
    )
    expected = [(10, 10, 60, 30), (0, 0, 400, 300), (0, 5, 400, 9), (50, 20, 50, 20)]
    titles = [(element.get("title") or "").split(";")[0] for element in hocr_words(document_of(page))]
    assert titles == ["bbox {} {} {} {}".format(*box) for box in expected]
    rows = [row for row in tsv_rows(document_of(page).to_tsv()) if row["level"] == "5"]
    assert [tuple(int(row[name]) for name in ("left", "top", "width", "height")) for row in rows] == [
        (left, top, right - left, bottom - top) for left, top, right, bottom in expected
    ]
