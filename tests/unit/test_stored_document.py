"""A Document out of storage: read in pieces, and as an older client reads what a newer version has written."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ocrqueue.document import Document, document_from_json, stored_document
from ocrqueue.errors import ResultUnreadable
from tests.unit.test_document import document, word


def written(**changes: Any) -> bytes:
    """A Document, with some values of its first page, and the first word in it, as a newer version might have them."""
    made = json.loads(document([word(1, "a", 0.5), word(2, "b", None)]).model_dump_json())
    page = made["pages"][0]
    for name, value in changes.items():
        place = page["blocks"][0]["paragraphs"][0]["lines"][0]["words"][0] if name == "reading" else page
        (made if name in {"schema_version", "status"} else place)[name] = value
    return json.dumps(made).encode()


@pytest.mark.parametrize("read", [stored_document, document_from_json])
def test_what_was_written_is_read(read: Any) -> None:
    made = document([word(1, "a", 0.5)], [word(2, "b", None)])
    assert read(made.model_dump_json().encode()) == made
    assert read(document().model_dump_json().encode()).text == ""
    assert document_from_json(made.to_json()) == made


def test_an_older_client_reads_a_newer_word_as_unknown() -> None:
    trail = [{"engine": "e", "words": 2, "verdict": "blocks sent on"}]
    read = document_from_json(written(reading="line", text_case="small capitals", layout="learned", trail=trail))
    assert read.text == "a b"
    assert [found.reading for found in read.words()] == ["unknown", "page"]
    page = read.pages[0]
    assert (page.text_case, page.layout, page.trail[0].verdict) == ("unknown", "unknown", "unknown")


def test_every_value_that_a_newer_version_may_add_is_read() -> None:
    steps = {"steps": ["deskew", "sharpen"]}
    read = document_from_json(written(status="doubtful", source="epub", rotation=45, preparation=steps))
    page = read.pages[0]
    assert (read.text, read.status, page.source, page.rotation) == ("a b", "unknown", "unknown", 0)
    assert page.preparation is not None
    assert page.preparation.steps == ("deskew", "unknown")


def test_a_field_of_few_values_has_a_word_for_another() -> None:
    """Else one that is added would make older clients fail."""

    def values(part: Any, name: str = "") -> Iterator[tuple[str, list[Any]]]:
        if isinstance(part, list):
            for each in part:
                yield from values(each, name)
        elif isinstance(part, dict):
            if "enum" in part or "const" in part:
                yield name, part.get("enum", [part.get("const")])
            for key, each in part.items():
                yield from values(each, name if key in {"items", "anyOf"} else key)

    found = dict(values(Document.model_json_schema()))
    assert {name for name, known in found.items() if "unknown" not in known} == {"rotation", "schema_version"}
    assert {"status", "verdict"} <= set(found)


@pytest.mark.parametrize(
    "changes", [{"reading": "line"}, {"rotation": 45}, {"status": "doubtful"}], ids=lambda changes: next(iter(changes))
)
def test_a_worker_does_not_take_it_for_its_own(changes: dict[str, Any]) -> None:
    with pytest.raises(ResultUnreadable):
        stored_document(written(**changes))


@pytest.mark.parametrize("read", [stored_document, document_from_json])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"[]",
        b'{"pages": 1}',
        b'{"pages": [{"blocks": [1, {"paragraphs": [null]}]}]}',
        written(schema_version=2),
        written(width="secret text"),
        b"\xff",
    ],
)
def test_what_cannot_be_read_is_one_error_that_shows_nothing(read: Any, data: bytes) -> None:
    with pytest.raises(ResultUnreadable) as refused:
        read(data)
    assert "secret" not in str(refused.value)


def test_the_collector_goes_on_after_it() -> None:
    assert gc.isenabled()
    document_from_json(written())
    with pytest.raises(ResultUnreadable):
        document_from_json(b"[")
    assert gc.isenabled()


def test_other_threads_have_their_turn_while_a_large_one_is_read() -> None:
    large = document(*[[word(number, "word", 0.5) for number in range(10)] for _ in range(2000)])
    data = large.model_dump_json().encode()
    reader = threading.Thread(target=document_from_json, args=(data,))
    begun = last = time.perf_counter()
    longest = 0.0
    reader.start()
    while reader.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    # the JSON is parsed in one go, which is the smaller part; it was all of it
    assert longest < 0.7 * (time.perf_counter() - begun)
    assert isinstance(large, Document)
