"""A Document as it stands in storage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from ocrqueue.document.inline_pages import InlinePages
from ocrqueue.document.json_items import array_items
from ocrqueue.document.model import Document
from ocrqueue.document.page import Page
from ocrqueue.document.page_objects import PageObjects
from ocrqueue.document.regions import Line
from ocrqueue.document.stored_pages import PageObject
from ocrqueue.document.values import UNKNOWN, ObjectReader
from ocrqueue.errors import ResultUnreadable

_LARGE_BYTES: Final = 1_000_000
"""Of a Document's JSON; pages of a larger one are made as they are looked at."""
_Model = TypeVar("_Model", bound=BaseModel)


def stored_document(data: bytes, storage: ObjectReader | None = None) -> Document:
    """Raises ResultUnreadable: what a newer version has written, or what is damaged, is not to be taken for nothing.

    All that is in `data` is read, so that a worker builds on no damaged page. `storage`: from which the pages of a
    large Document are to be read.
    """
    try:
        return _parsed(data, stored_document, storage)
    except (ValidationError, ValueError):
        # whose text would show what was read
        raise ResultUnreadable() from None


def document_from_json(data: bytes | str) -> Document:
    """A Document as Document.to_json() writes it, and as it stands in storage.

    Pages of a large one are read as they are looked at, and not kept. A value that a newer version has added, such as a
    new kind of reading, becomes "unknown", or the field's default if it is a number. So what was read is not to be
    stored as that Document again. Raises ResultUnreadable; so does a page that is looked at and damaged.
    """
    try:
        return _with_lazy_pages(data) or _parsed(data, document_from_json)
    except (ValidationError, ValueError):
        pass
    try:
        known = from_json(data)
        _take_page_objects(known, document_from_json)
        return _with_known_values(Document, known)
    except (ValidationError, ValueError):
        raise ResultUnreadable() from None


def _with_lazy_pages(data: bytes | str) -> Document | None:
    """Of a large JSON with several pages; None for another, and for what is damaged where its pages are found."""
    if len(data) < _LARGE_BYTES:
        return None
    known, places, words = [], [], 0
    try:
        data = data.encode() if isinstance(data, str) else data
        with _uncollected():
            for place, page in array_items(data, "pages"):
                data[place].decode()
                error = page.get("error") and from_json(data[place])["error"]
                known.append(PageObject.model_validate({"number": page["number"], "error": error}))
                places.append(place)
                words += sum(
                    len(_items(line, "words")) for each in _paragraphs({"pages": [page]}) for line in each["lines"]
                )
        envelope = from_json(data[: places[0].start] + data[places[-1].stop :])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    # of a page alone nothing is spared
    if len(places) < 2 or envelope["pages"] != [] or _items(envelope, "page_objects"):
        return None
    envelope["pages"] = InlinePages(known, data, places, _page_from_json, words)
    return _with_known_values(Document, envelope)


def _page_from_json(data: bytes) -> Page:
    """One page of document_from_json(). Raises ResultUnreadable."""
    try:
        with _uncollected():
            parsed = from_json(data)
            _make_lines({"pages": [parsed]})
            return Page.model_validate(parsed)
    except (ValidationError, ValueError):
        pass
    try:
        return _with_known_values(Page, from_json(data))
    except (ValidationError, ValueError):
        raise ResultUnreadable() from None


def _parsed(
    data: bytes | str, parse_page: Callable[[bytes], Document], storage: ObjectReader | None = None
) -> Document:
    with _uncollected():
        parsed = from_json(data)
        _take_page_objects(parsed, parse_page, storage)
        _make_lines(parsed)
        return Document.model_validate(parsed)


def _make_lines(parsed: Any) -> None:
    """Line by line: other threads have their turn, such as that of an event loop."""
    for paragraph in _paragraphs(parsed):
        paragraph["lines"] = [Line.model_validate(line) for line in paragraph["lines"]]


def _take_page_objects(
    parsed: Any, parse_page: Callable[[bytes], Document], storage: ObjectReader | None = None
) -> None:
    """The pages of a large Document are where its envelope says."""
    if objects := _items(parsed, "page_objects"):
        known = tuple(PageObject.model_validate(each) for each in objects)
        parsed["pages"] = PageObjects(known, parse_page, storage)


def _paragraphs(parsed: Any) -> Iterator[dict[str, Any]]:
    """Those of a Document's JSON that have lines, as far as it is one."""
    for page in _items(parsed, "pages"):
        for block in _items(page, "blocks"):
            for paragraph in _items(block, "paragraphs"):
                if isinstance(paragraph, dict) and isinstance(paragraph.get("lines"), list):
                    yield paragraph


def _items(part: object, name: str) -> list[Any]:
    found = part.get(name) if isinstance(part, dict) else None
    return found if isinstance(found, list) else []


def _with_known_values(model: type[_Model], known: Any) -> _Model:
    """With "unknown" for every value that is not among those of its field, if that is; else with the default."""
    try:
        return model.model_validate(known)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            if item["type"] != "literal_error":
                continue
            *path, last = item["loc"]
            part = _at(known, path)
            if repr(UNKNOWN) in item["ctx"]["expected"]:
                part[last] = UNKNOWN
            elif last == "rotation":
                del part[last]
    return model.model_validate(known)


def _at(tree: Any, path: Sequence[int | str]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


_LOCK: Final = Lock()
_at_work = 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare the collector of circles, in which a Document has no part: it would look at all words again and again, and
    take longer than their reading."""
    global _at_work  # noqa: PLW0603  # the collector is one for the process
    with _LOCK:
        stopped = _at_work > 0 or gc.isenabled()
        if stopped:
            _at_work += 1
            gc.disable()
    try:
        yield
    finally:
        if stopped:
            with _LOCK:
                _at_work -= 1
                if not _at_work:
                    gc.enable()
