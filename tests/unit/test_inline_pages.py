"""A large Document in one JSON: its pages are made as they are looked at, and it is as one read at once."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ocrqueue.document import Crop, Document, Page, document_from_json, stored_document
from ocrqueue.document.formats import FORMATS
from ocrqueue.document.inline_pages import InlinePages
from ocrqueue.document.json_items import array_items
from ocrqueue.document.stored_pages import LazyPages
from ocrqueue.errors import CropMissing, ErrorInfo, PageNotFound, ResultUnreadable
from tests.unit.test_document import document, word

FAILED = 3
WORDS = 1400
"""Of each page of four: as JSON some 400 bytes each."""
PNG = b"\x89PNG"


class Shelf:
    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        return PNG


@pytest.fixture(scope="module")
def made() -> Document:
    texts = ["a", '"pages":[{"', "작은", "\\", "}],", "\U0001f600"]
    words = [word(number, texts[number % len(texts)], number / WORDS) for number in range(1, WORDS + 1)]
    words[0] = words[0].model_copy(update={"crop": Crop(uri="s3://b/c.png")})
    one = document(words).pages[0]
    error = ErrorInfo(code="pdf.page_damaged", message="깨진 페이지", details={"pages": [1]})
    failed = Page(number=FAILED, width=0, height=0, error=error)
    pages = [one.model_copy(update={"number": number, "unread": (0.25,)}) for number in range(1, 6)]
    pages[FAILED - 1] = failed
    options = {"nested": {"pages": [{"number": 9}], "text": '"pages": ['}}
    return document().with_pages(pages).model_copy(update={"options": options, "tag": "꼬리표"})


@pytest.fixture(scope="module")
def data(made: Document) -> bytes:
    return made.model_dump_json().encode()


@pytest.fixture
def lazy(data: bytes) -> Document:
    read = document_from_json(data)
    assert isinstance(read.pages, InlinePages)
    return read


def changed(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    tree = json.loads(data)
    change(tree)
    return json.dumps(tree).encode()


def first_word(page: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = page["blocks"][0]["paragraphs"][0]["lines"][0]["words"][0]
    return found


def test_it_equals_what_is_read_at_once(made: Document, data: bytes, lazy: Document) -> None:
    eager = stored_document(data)
    assert isinstance(eager.pages, tuple)
    assert lazy == eager == lazy
    assert lazy == made
    assert lazy == document_from_json(made.to_json())
    assert lazy != document_from_json(changed(data, lambda tree: tree["pages"].pop()))
    assert lazy != eager.with_pages(eager.pages[:-1])
    assert document_from_json(data.decode()) == made
    assert document_from_json(json.dumps(json.loads(data), indent="\t").encode()) == made


def test_it_is_written_as_what_is_read_at_once(made: Document, data: bytes, lazy: Document) -> None:
    assert lazy.model_dump_json().encode() == data
    assert lazy.model_dump() == made.model_dump()
    for name in sorted(set(FORMATS) - {"page"}):
        assert lazy._rendered(name) == made._rendered(name)
    assert lazy.to_page(2) == made.to_page(2)
    assert lazy._repr_html_() == made._repr_html_()
    assert repr(lazy) == repr(made)
    assert repr(lazy.pages) == "<5 pages>"


def test_its_pages_are_there_as_those_of_any_document(made: Document, lazy: Document) -> None:
    assert tuple(lazy.pages) == made.pages
    assert (len(lazy.pages), lazy.pages[-1], lazy.pages[1:3]) == (5, made.pages[4], made.pages[1:3])
    assert lazy.pages[1] is not lazy.pages[1]
    assert (lazy.page_numbers, lazy.page(4)) == (made.page_numbers, made.page(4))
    assert (lazy.failed_pages, lazy.text) == (made.failed_pages, made.text)
    assert (lazy.word_count, lazy.mean_confidence) == (made.word_count, made.mean_confidence)
    assert lazy.mean_agreement is None
    with pytest.raises(PageNotFound):
        lazy.page(6)
    with pytest.raises(IndexError):
        lazy.pages[5]


def test_crops_are_read_from_the_storage_that_it_is_bound_to(lazy: Document) -> None:
    def crop(of: Document) -> Crop:
        found = next(of.words()).crop
        assert found is not None
        return found

    with pytest.raises(CropMissing):
        crop(lazy).open()
    lazy.bind(Shelf())
    assert crop(lazy).open().read() == PNG
    assert crop(lazy.with_pages([lazy.page(1)])).open().read() == PNG
    for other in (copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):  # our own
        assert isinstance(other.pages, InlinePages)
        assert other == lazy
        with pytest.raises(CropMissing):
            crop(other).open()
        assert crop(other.bind(Shelf())).open().read() == PNG
    assert crop(lazy).open().read() == PNG


@pytest.mark.parametrize(
    "damage",
    [
        lambda page: page.update(width="secret text"),
        lambda page: page.update(blocks=[1]),
        lambda page: first_word(page).update(confidence=2),
        lambda page: first_word(page).update(text="\ud800"),
    ],
    ids=["width", "blocks", "confidence", "surrogate"],
)
def test_a_damaged_page_is_an_error_when_it_is_looked_at(data: bytes, damage: Callable[[Any], object]) -> None:
    damaged = changed(data, lambda tree: damage(tree["pages"][1]))
    read = document_from_json(damaged)
    assert read.page(1).text == read.page(4).text
    for look in (lambda: read.page(2), lambda: read.pages[1:2], lambda: read.text, read.to_json):
        with pytest.raises(ResultUnreadable) as refused:
            look()
        assert "secret" not in str(refused.value)
        assert refused.value.__suppress_context__
    with pytest.raises(ResultUnreadable):
        stored_document(damaged)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"x",
        lambda data: data.replace(b'"text":', b'"text"', 1),
        lambda data: data.replace("작은".encode(), b"\xff", 1),
        lambda data: data.replace(b'"number":2,', b"", 1),
        lambda data: data.replace(b'"number":2,', b'"number":0,', 1),
        lambda data: data.replace(b'"job_id":"j",', b"", 1),
        lambda data: data.replace(b'"schema_version":1', b'"schema_version":2', 1),
        lambda data: b"[" + data + b"]",
        lambda data: data.replace(b'"options":{', b'"options":{"a":' + 100_000 * b"[" + 100_000 * b"]" + b",", 1),
    ],
)
def test_damaged_syntax_or_a_damaged_envelope_is_an_error_at_once(
    data: bytes, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(data)
    assert damaged != data
    with pytest.raises(ResultUnreadable):
        document_from_json(damaged)


def test_new_values_of_a_newer_version_are_read_as_unknown(data: bytes) -> None:
    def newer(tree: dict[str, Any]) -> None:
        tree["status"] = "doubtful"
        tree["pages"][1].update(text_case="small capitals", rotation=45)
        first_word(tree["pages"][1])["reading"] = "line"

    read = document_from_json(changed(data, newer))
    assert isinstance(read.pages, LazyPages)
    page = read.page(2)
    assert (read.status, page.text_case, page.rotation) == ("unknown", "unknown", 0)
    assert [found.reading for found in page.words()][:2] == ["unknown", "page"]
    with pytest.raises(ResultUnreadable):
        stored_document(changed(data, newer))


def test_a_page_alone_is_read_at_once(made: Document) -> None:
    words = 4 * tuple(made.page(1).words())
    data = document([*words]).model_dump_json().encode()
    assert len(data) > 1_000_000
    assert isinstance(document_from_json(data).pages, tuple)
    assert document_from_json(data).word_count == 4 * WORDS
    assert isinstance(document_from_json(document(list(words[:3])).model_dump_json()).pages, tuple)


def test_a_document_that_names_its_pages_twice_is_read_as_json_has_it(made: Document, data: bytes) -> None:
    again = json.dumps([json.loads(page.model_dump_json()) for page in made.pages[:2]])
    assert document_from_json(data[:-1] + f',"pages":{again}}}'.encode()).page_numbers == (1, 2)


def test_threads_look_at_its_pages_at_once(made: Document, lazy: Document) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lazy.page, 4 * made.page_numbers)) == 4 * list(made.pages)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a":[1,"b]"]}', ["1", '"b]"']),
        (' { "x" : {"a":[0]} , "a" :\n[ [1, 2] ,\t{"a": []}\r] , and nothing', ["[1, 2]", '{"a": []}']),
        ('{"é":"é]\\"","a":["é\\\\"]}', ['"é\\\\"']),
    ],
)
def test_items_are_found_where_they_stand(text: str, found: list[str]) -> None:
    data = text.encode()
    assert [data[place].decode() for place, _ in array_items(data, "a")] == found


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a"', '{"a":[]}', '{"a":1}', '{"a":[1', '{"a":[1 2]}', '{"b":1}', '{"b":[1,],"a":[1]}']
)
def test_what_has_no_such_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        list(array_items(text.encode(), "a"))
