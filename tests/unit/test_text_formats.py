"""JSON Lines, CSV, Markdown, text with its layout, and words read back from hOCR."""

from __future__ import annotations

import csv
import json
import re
import sys
from io import StringIO
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocrqueue.document import Document, Page
from ocrqueue.document.formats import FORMATS, written_pieces
from ocrqueue.document.formats.sanitise import inline_text, pixel_box
from ocrqueue.errors import PdfExtraMissing
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word
from tests.support.pictures import png


@pytest.fixture
def document() -> Document:
    first = page_of(1, [[[["Total:", "1,50"], ["=1+1", '"x"']]], [[["도서관"]]]])
    return document_of(first, page_of(2, [[[["last"]]]], confidence=None))


def test_json_lines_are_the_pages(document: Document) -> None:
    lines = document.to_jsonl().splitlines()
    read = [json.loads(line) for line in lines]
    assert [page.pop("job_id") for page in read] == [document.job_id] * 2
    assert tuple(Page.model_validate(page) for page in read) == document.pages


def test_json_is_written_as_pydantic_does(document: Document) -> None:
    tagged = document.model_copy(update={"tag": '\n  "pages": []'})
    for written in (document, tagged, document_of()):
        assert written.to_json() == written.model_dump_json(indent=2) + "\n"


def test_csv_has_a_row_for_each_word(document: Document) -> None:
    rows = list(csv.DictReader(StringIO(document.to_csv(), newline="")))
    assert [row["text"] for row in rows] == [item.text for item in document.words()]
    assert [rows[3][name] for name in ("page", "block", "paragraph", "line", "word")] == ["1", "1", "1", "2", "2"]
    boxes = [tuple(int(row[side]) for side in ("left", "top", "right", "bottom")) for row in rows]
    assert boxes == [pixel_box(item.bbox, page) for page in document.pages for item in page.words()]
    assert [rows[0]["confidence"], rows[-1]["confidence"], rows[0]["engine"]] == ["0.5", "", "tesseract"]


def test_markdown_is_text_and_no_markup() -> None:
    page = page_of(1, [[[["#", "*a*"], ["1.", "b|c"]], [["-", "<i>"]]], [[["```"]]]])
    written = document_of(page, page_of(2, [[[["end"]]]])).to_markdown()
    assert written == "\\# \\*a\\*\n1\\. b\\|c\n\n\\- \\<i\\>\n\n\\`\\`\\`\n\n---\n\nend\n"


def test_layout_keeps_columns_side_by_side() -> None:
    def column(left: float, *texts: str) -> list[tuple[str, tuple[float, float, float, float]]]:
        return [(text, (left, 10 + 30 * row, left + 10 * len(text), 30 + 30 * row)) for row, text in enumerate(texts)]

    blocks = [
        block_of([paragraph_of([line_of([word(text, box)]) for text, box in column(left, *texts)])])
        for left, texts in ((10, ("one", "two")), (210, ("three", "four")))
    ]
    page = Page(number=1, width=400, height=300, blocks=tuple(blocks))
    assert document_of(page).to_text(layout=True) == "one" + 17 * " " + "three\ntwo" + 17 * " " + "four\n"
    assert document_of(page_of(1, [])).to_text(layout=True) == "\n"


def test_every_word_comes_back_from_hocr(document: Document) -> None:
    root = ElementTree.fromstring(document.to_hocr().encode())
    found = []
    for element in root.iter():
        if element.get("class") == "ocrx_word":
            title = element.get("title", "")
            box = re.match(r"bbox (\d+) (\d+) (\d+) (\d+)", title)
            conf = re.search(r"x_wconf (\d+)", title)
            assert box
            found.append((element.text, tuple(map(int, box.groups())), int(conf[1]) / 100 if conf else None))
    assert found == [
        (item.text, pixel_box(item.bbox, page), item.confidence) for page in document.pages for item in page.words()
    ]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"page"}))
def test_formats_are_written_page_by_page(name: str) -> None:
    document = document_of(*(page_of(number, [[[[f"w{number}"]]]]) for number in range(1, 4)))
    holding = [piece for piece in written_pieces(document, name) if re.search(r"w\d", piece)]
    assert len(holding) >= 3


def test_only_a_pdf_that_was_read_needs_pikepdf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pikepdf", None)
    with pytest.raises(PdfExtraMissing, match=r"ocrqueue\[pdf\]"):
        document_of(page_of(1, [])).to_pdf(b"%PDF-1.7")
    assert document_of(page_of(1, [])).to_pdf(png(Image.new("L", (9, 9)))).startswith(b"%PDF-1.7")


@given(st.lists(st.text(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_a_format(texts: list[str]) -> None:
    document = document_of(page_of(1, [[[texts]]]))
    cleaned = [inline_text(text) for text in texts]
    assert [row["text"] for row in csv.DictReader(StringIO(document.to_csv(), newline=""))] == cleaned
    for markup in (document.to_alto(), document.to_page()):
        ElementTree.fromstring(markup.encode())
    assert len(document.to_text(layout=True).splitlines()) <= 1
