"""The Document: text, means, crops, and its way through JSON."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from PIL import Image

from ocrqueue.document import (
    Block,
    Crop,
    Document,
    EngineInfo,
    InputInfo,
    Line,
    Output,
    Page,
    Paragraph,
    Word,
    box_of,
    mean_confidence,
    polygon_of,
)
from ocrqueue.errors import CropMissing, OutputMissing, StorageDenied
from tests.support.pictures import png


def word(number: int, text: str, confidence: float | None, crop: Crop | None = None) -> Word:
    box = (number * 10.0, 0.0, number * 10.0 + 8, 10.0)
    return Word(
        id=f"p001-w{number:04d}", text=text, polygon=polygon_of(box), bbox=box, confidence=confidence, crop=crop
    )


def document(*lines: list[Word]) -> Document:
    box = (0.0, 0.0, 100.0, 100.0)
    region = {"polygon": polygon_of(box), "bbox": box}
    made = tuple(Line(words=tuple(words), confidence=mean_confidence(words), **region) for words in lines)
    page = Page(
        number=1,
        width=100,
        height=100,
        blocks=(Block(paragraphs=(Paragraph(lines=made, **region),), **region),) if made else (),
    )
    return Document(
        job_id="j",
        status="succeeded",
        input=InputInfo(uri="s3://b/k", sha256="0" * 64, format="PNG", bytes=1),
        engine=EngineInfo(name="e", version="1", model="m"),
        languages=("eng",),
        finished_at=datetime.now(UTC),
        pages=(page,),
    )


def test_text_joins_words_and_lines() -> None:
    read = document([word(1, "Hello", 0.5), word(2, "there", 1.0)], [word(3, "you", None)])
    assert read.text == "Hello there\nyou"
    assert [found.text for found in read.words()] == ["Hello", "there", "you"]


def test_unknown_confidences_are_left_out_of_the_mean_and_never_made_up() -> None:
    assert document([word(1, "a", 0.5), word(2, "b", None)]).mean_confidence == 0.5
    assert document([word(1, "a", None)]).mean_confidence is None
    assert document().mean_confidence is None
    assert json.loads(document([word(1, "a", None)]).model_dump_json())["pages"][0]["blocks"][0]["paragraphs"][0][
        "lines"
    ][0]["words"][0] == {
        "polygon": [[10.0, 0.0], [18.0, 0.0], [18.0, 10.0], [10.0, 10.0]],
        "bbox": [10.0, 0.0, 18.0, 10.0],
        "confidence": None,
        "id": "p001-w0001",
        "text": "a",
        "detection_confidence": None,
        "crop": None,
        "space_after": True,
        "reading": "page",
    }


def test_json_carries_the_text_and_reads_back_equal() -> None:
    read = document([word(1, "안녕", 0.5)])
    stored = read.model_dump_json()
    assert json.loads(stored)["pages"][0]["text"] == "안녕"
    assert Document.model_validate_json(stored) == read


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    newer = json.loads(document([word(1, "a", 1.0)]).model_dump_json()) | {"mood": "sunny"}
    assert Document.model_validate(newer).text == "a"


class Slices:
    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        return f"{uri} {offset} {length}".encode()


def test_a_crop_opens_through_the_storage_it_is_bound_to() -> None:
    read = document([word(1, "a", 1.0, Crop(uri="s3://b/c.zip", offset=40, length=7)), word(2, "b", 1.0)])
    crop = next(read.bind(Slices()).words()).crop
    assert crop is not None
    assert crop.open().read() == b"s3://b/c.zip 40 7"


def test_a_crop_without_storage_says_what_to_do() -> None:
    with pytest.raises(CropMissing, match=r"job\.result"):
        Crop(uri="s3://b/c.png").open()


def test_an_output_is_read_a_piece_at_a_time_through_the_storage_it_is_bound_to(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000

    class Stored:
        asked: ClassVar[list[int]] = []

        def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
            assert offset is not None
            assert length is not None
            self.asked.append(length)
            return content[offset : offset + length]

    output = Output(format="pdf", name="document.pdf", uri="s3://b/document.pdf", size_bytes=len(content))
    bound = document([]).model_copy(update={"outputs": (output,)}).bind(Stored()).output("pdf")
    bound.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == bound.open().read() == content
    assert max(Stored.asked) < len(content) / 2
    for copied in (pickle.loads(pickle.dumps(bound)), copy.deepcopy(bound)):
        assert copied == output
    assert "_storage" not in pickle.loads(pickle.dumps(bound)).__dict__
    assert bound.model_dump() == output.model_dump()


def test_an_output_that_is_not_there_says_which_are() -> None:
    outputs = tuple(
        Output(format="page", name=f"document-p00{number}.page.xml", uri="s3://b/x", size_bytes=1, page=number)
        for number in (1, 2)
    )
    read = document([]).model_copy(update={"outputs": outputs})
    assert read.output("page") is outputs[0]
    assert read.output("page", 2) is outputs[1]
    with pytest.raises(OutputMissing, match=r"'pdf' is stored; there are: page\."):
        read.output("pdf")
    with pytest.raises(OutputMissing, match="there are: none"):
        document([]).output("pdf")
    with pytest.raises(OutputMissing, match=r"job\.result"):
        outputs[0].open()


def test_box_of_encloses() -> None:
    assert box_of([polygon_of((1, 2, 3, 4)), polygon_of((0, 3, 2, 9))]) == (0, 2, 3, 9)


class WithPassword:
    password = "s3cret-of-storage"

    def __init__(self) -> None:
        self.kept = self.password

    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
        return b"PNG"


def with_a_crop() -> Document:
    return document([word(1, "a", 1.0, Crop(uri="s3://b/c.png"))])


def first_crop(read: Document) -> Crop:
    crop = next(read.words()).crop
    assert crop is not None
    return crop


def test_a_pickled_document_has_nothing_of_storage() -> None:
    bound = with_a_crop().bind(WithPassword())
    assert first_crop(bound).open().read() == b"PNG"
    pickled = pickle.dumps(bound)
    assert WithPassword.password.encode() not in pickled
    again = pickle.loads(pickled)
    assert again == bound
    with pytest.raises(CropMissing, match=r"document\.bind"):
        first_crop(again).open()


def test_a_bound_document_equals_the_same_one_unbound() -> None:
    free = with_a_crop()
    bound = free.model_copy(deep=True).bind(WithPassword())
    assert bound == free
    assert hash(first_crop(bound)) == hash(first_crop(free))
    assert bound.model_dump_json() == free.model_dump_json()
    assert "WithPassword" not in repr(bound)


def test_a_copy_reads_from_the_same_storage() -> None:
    storage = WithPassword()
    bound = with_a_crop().bind(storage)
    for made in (copy.deepcopy(bound), bound.model_copy(deep=True), bound.model_copy()):
        assert first_crop(made)._storage is storage


def test_its_repr_is_short() -> None:
    read = document(*[[word(number, "word", 0.5) for number in range(50)] for _ in range(50)])
    assert repr(read) == "Document(job_id='j', status='succeeded', engine='e', pages=1, words=2500)"
    assert repr(read.pages[0]) == "Page(number=1, width=100, height=100, words=2500)"
    for part in (read.pages[0].blocks[0], next(read.pages[0].lines())):
        assert len(repr(part)) < 200
        assert "word word" in repr(part)


def test_what_could_not_be_made_can_be_shown_in_a_traceback() -> None:
    """Which shows the object that __init__ was given, before it has any field."""
    for model in (Document, Page, Block, Line):
        assert repr(model.__new__(model)) == f"{model.__name__}()"


def test_a_notebook_shows_the_words_where_they_stand() -> None:
    shown = document([word(1, "<b>&", 0.5)])._repr_html_()
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>&" not in shown
    assert 'viewBox="0 0 100 100"' in shown
    assert "<image" not in shown
    assert '<text fill="#000"' in shown


def test_a_notebook_shows_the_picture_where_storage_has_it() -> None:
    data = png(Image.new("L", (100, 100), 255))

    class Stored:
        def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes:
            if uri != "s3://bucket/page.png":
                raise StorageDenied
            return data

    plain = document([word(1, "a", 0.5)])
    known = plain.input.model_copy(update={"uri": "s3://bucket/page.png", "sha256": sha256(data).hexdigest()})
    bound = plain.model_copy(update={"input": known}).bind(Stored())
    shown = bound._repr_html_()
    assert 'href="data:image/jpeg;base64,' in shown
    assert '<text fill="transparent"' in shown
    assert copy.deepcopy(bound) == pickle.loads(pickle.dumps(bound)) == bound
    assert "<image" not in copy.deepcopy(bound)._repr_html_()
    for changed in ({"uri": "https://elsewhere/page.png"}, {"sha256": "0" * 64}):
        other = bound.model_copy(update={"input": known.model_copy(update=changed)})
        assert "<image" not in other._repr_html_()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_data_frame_has_a_row_for_each_word(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = document([word(1, "a", 0.5), word(2, "b", None)])
    other = {"pandas": "polars", "polars": "pandas"}[library]
    monkeypatch.setitem(sys.modules, other, None)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match="pip install"):
        read.to_dataframe()
    monkeypatch.setitem(sys.modules, library, SimpleNamespace(DataFrame=dict))
    for columns in (read.to_dataframe(), read.to_dataframe(library)):
        assert columns["text"] == ["a", "b"]
        assert columns["confidence"] == [0.5, None]
        assert columns["space_after"] == [True, True]
        assert columns["left"] == [10, 20]
