"""A Document as it stands in storage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json

from ocrqueue.document.model import Document
from ocrqueue.document.page_objects import PageObjects
from ocrqueue.document.regions import Line
from ocrqueue.document.stored_pages import PageObject
from ocrqueue.document.values import UNKNOWN, ObjectReader
from ocrqueue.errors import ResultUnreadable


def stored_document(data: bytes, storage: ObjectReader | None = None) -> Document:
    """Raises ResultUnreadable: what a newer version has written, or what is damaged, is not to be taken for nothing.

    `storage`: from which the pages of a large Document are to be read.
    """
    try:
        return _parsed(data, stored_document, storage)
    except (ValidationError, ValueError):
        # whose text would show what was read
        raise ResultUnreadable() from None


def document_from_json(data: bytes | str) -> Document:
    """A Document as Document.to_json() writes it, and as it stands in storage.

    A value that a newer version has added, such as a new kind of reading, becomes "unknown", or the field's default if
    it is a number. So what was read is not to be stored as that Document again. Raises ResultUnreadable.
    """
    try:
        return _parsed(data, document_from_json)
    except (ValidationError, ValueError):
        pass
    try:
        known = from_json(data)
        _take_page_objects(known, document_from_json)
        _replace_new_values(known)
        return Document.model_validate(known)
    except (ValidationError, ValueError):
        raise ResultUnreadable() from None


def _parsed(
    data: bytes | str, parse_page: Callable[[bytes], Document], storage: ObjectReader | None = None
) -> Document:
    """Line by line: other threads have their turn, such as that of an event loop."""
    with _uncollected():
        parsed = from_json(data)
        _take_page_objects(parsed, parse_page, storage)
        for paragraph in _paragraphs(parsed):
            paragraph["lines"] = [Line.model_validate(line) for line in paragraph["lines"]]
        return Document.model_validate(parsed)


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


def _replace_new_values(known: Any) -> None:
    """Put "unknown" for every value that is not among those of its field, if that is; else the default."""
    try:
        Document.model_validate(known)
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
