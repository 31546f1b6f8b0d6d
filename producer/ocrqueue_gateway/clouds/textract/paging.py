"""Blocks by so many, and the token by which a client asks for those that follow.

A token is a place in what one job of one tenant has read, and is good for that only. It needs no secret: whoever makes
one up has asked for a place in what is its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from ocrqueue.document import Document
from ocrqueue.errors import RequestInvalid
from ocrqueue_gateway.clouds.textract.blocks import Block, blocks_of

_LAYOUT: Final = struct.Struct(">12sII")


@dataclass(frozen=True, slots=True)
class Place:
    """The next block: its page, of those that were read, and its place on it; both from 0."""

    page: int = 0
    block: int = 0


def some_blocks(document: Document, at: Place, most: int) -> tuple[list[Block], Place | None]:
    """Blocks from this place on, and where those begin that follow; None: nowhere.

    Reads no more pages than it needs. It blocks, and raises what storage raises.
    """
    failed = document.failed_pages
    numbers = [number for number in document.page_numbers if number not in failed]
    taken: list[Block] = []
    for index in range(at.page, len(numbers)):
        of_page = blocks_of(document.page(numbers[index]), document.job_id)
        start = at.block if index == at.page else 0
        end = start + most - len(taken)
        taken += of_page[start:end]
        if end < len(of_page):
            return taken, Place(index, end)
        if len(taken) == most:
            return taken, Place(index + 1) if index + 1 < len(numbers) else None
    return taken, None


def token_of(place: Place, tenant: str, job_id: str) -> str:
    """NextToken."""
    return base64.urlsafe_b64encode(_LAYOUT.pack(_bound(tenant, job_id), place.page, place.block)).decode()


def place_of(token: str, tenant: str, job_id: str) -> Place:
    """Raises RequestInvalid where it is not a token of this job and tenant."""
    try:
        bound, page, block = _LAYOUT.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, struct.error):
        bound, page, block = b"", 0, 0
    if bound != _bound(tenant, job_id):
        raise RequestInvalid("The NextToken is not one of this job.", remedy="Take it from the answer before.")
    return Place(page, block)


def _bound(tenant: str, job_id: str) -> bytes:
    return hashlib.sha256(f"textract {tenant} {job_id}".encode()).digest()[:12]
