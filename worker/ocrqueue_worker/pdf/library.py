"""PDFium's C interface."""

from __future__ import annotations

from typing import Any

Handle = Any
"""A pointer of PDFium's."""


class Refusal(Exception):
    """Why a document or page is not read: the code of an error of ocrqueue's."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code, self.message = code, message
