"""A Document as it stands in storage."""

from __future__ import annotations

from pydantic import ValidationError

from ocrqueue.document.model import Document
from ocrqueue.errors import ResultUnreadable


def stored_document(data: bytes) -> Document:
    """Raises ResultUnreadable: what a newer version has written, or what is damaged, is not to be taken for nothing."""
    try:
        return Document.model_validate_json(data)
    except ValidationError:
        # whose text would show what was read
        raise ResultUnreadable() from None
