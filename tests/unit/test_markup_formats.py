"""ALTO and PAGE XML: valid by their schemas, and every word read back from them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ocrqueue.document import Document, Page, box_of
from ocrqueue.document.formats.sanitise import pixel_box
from ocrqueue.errors import ErrorInfo, PageNotFound
from tests.support.documents import block_of, document_of, line_of, page_of, paragraph_of, word

ALTO = "{http://www.loc.gov/standards/alto/ns-v4#}"
PAGE = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"
SCHEMAS = Path(__file__).parents[2].parent / "shared/data/schemas"

Read = tuple[str, tuple[int, ...], float | None]


@pytest.fixture
def document() -> Document:
    slanted = ((10.0, 12.0), (58.0, 10.0), (60.0, 28.0), (12.0, 30.0))
    tilted = word("tilted", (10, 10, 60, 30)).model_copy(update={"polygon": slanted, "bbox": box_of([slanted])})
    glued = word("東", (70, 10, 90, 30), None).model_copy(update={"space_after": False})
    line = line_of([tilted, glued, word("京", (90, 10, 110, 30))])
    first = page_of(1, [[[["Hello", "<&\"\x00'>"], ["도서관의"]], [["Second"]]], [[["שלום"]]]], dpi=150.0)
    second = Page(number=2, width=400, height=300, rotation=90, blocks=(block_of([paragraph_of([line])]),))
    failed = Page(number=3, width=400, height=300, error=ErrorInfo(code="engine.failed", message="It broke off."))
    return document_of(first, second, failed, status="partial")


def words_of(document: Document) -> list[Read]:
    return [
        (item.text.replace("\x00", "\ufffd"), pixel_box(item.bbox, page), item.confidence)
        for page in document.pages
        for item in page.words()
    ]


def alto_words(text: str) -> list[Read]:
    found: list[Read] = []
    for string in ElementTree.fromstring(text.encode()).iter(f"{ALTO}String"):
        left, top, width, height = (int(string.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
        conf = string.get("WC")
        box = (left, top, left + width, top + height)
        found.append((string.attrib["CONTENT"], box, None if conf is None else float(conf)))
    return found


def page_words(text: str) -> list[Read]:
    found: list[Read] = []
    for item in ElementTree.fromstring(text.encode()).iter(f"{PAGE}Word"):
        corners = [tuple(map(int, pair.split(","))) for pair in item.find(f"{PAGE}Coords").attrib["points"].split()]  # type: ignore[union-attr]
        xs, ys = zip(*corners, strict=True)
        equiv = item.find(f"{PAGE}TextEquiv")
        assert equiv is not None
        conf = equiv.get("conf")
        box = (min(xs), min(ys), max(xs), max(ys))
        found.append((equiv.findtext(f"{PAGE}Unicode") or "", box, None if conf is None else float(conf)))
    return found


def test_every_word_comes_back_from_alto(document: Document) -> None:
    assert alto_words(document.to_alto()) == words_of(document)


def test_every_word_comes_back_from_page_xml(document: Document) -> None:
    files = [document.to_page(page.number) for page in document.pages]
    assert [item for file in files for item in page_words(file)] == words_of(document)


def test_spaces_and_shapes_in_alto(document: Document) -> None:
    root = ElementTree.fromstring(document.to_alto().encode())
    line = next(line for line in root.iter(f"{ALTO}TextLine") if line.get("ID") == "line_2_1_1_1")
    tags = [child.tag.removeprefix(ALTO) for child in line]
    assert tags == ["String", "SP", "String", "String"]
    assert [polygon.attrib["POINTS"] for polygon in line.iter(f"{ALTO}Polygon")] == ["10,12 58,10 60,28 12,30"]


def test_a_page_file_has_one_page(document: Document) -> None:
    with pytest.raises(PageNotFound, match="has one page, the Document 3"):
        document.to_page()
    with pytest.raises(PageNotFound):
        document.to_page(4)
    one = document.model_copy(update={"pages": document.pages[:1]})
    assert one.to_page() == document.to_page(1)


def lxml_and(schema: str) -> tuple[object, Path]:
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed: pip install lxml")
    if find_spec("ocrd_validators") is None:
        pytest.skip("the schemas page.xsd and xlink.xsd are in the PyPI package ocrd, which is not installed")
    locations = find_spec("ocrd_validators").submodule_search_locations  # type: ignore[union-attr]
    return etree, Path(next(iter(locations or []))) / schema


def assert_valid(etree: object, schema: object, text: str) -> None:
    markup = etree.fromstring(text.encode())  # type: ignore[attr-defined]
    assert schema.validate(markup), schema.error_log  # type: ignore[attr-defined]


def empty_document() -> Document:
    return document_of(page_of(1, []))


def test_alto_is_valid_by_its_schema(document: Document) -> None:
    etree, xlink = lxml_and("xlink.xsd")
    if not (SCHEMAS / "alto-4-4.xsd").is_file():
        pytest.skip(f"no {SCHEMAS.name}/alto-4-4.xsd: ALTO's schema is at loc.gov/standards/alto")
    text = (SCHEMAS / "alto-4-4.xsd").read_text()
    local = text.replace("http://www.loc.gov/standards/xlink/xlink.xsd", xlink.as_uri())
    schema = etree.XMLSchema(etree.fromstring(local.encode()))  # type: ignore[attr-defined]
    for checked in (document, empty_document()):
        assert_valid(etree, schema, checked.to_alto())


def test_page_xml_is_valid_by_its_schema(document: Document) -> None:
    etree, path = lxml_and("page.xsd")
    schema = etree.XMLSchema(etree.parse(str(path)))  # type: ignore[attr-defined]
    for page in document.pages:
        assert_valid(etree, schema, document.to_page(page.number))
    assert_valid(etree, schema, empty_document().to_page())
