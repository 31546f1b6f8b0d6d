"""Reading bodies: so much of them, of the kinds that a route takes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from starlette.requests import ClientDisconnect, Request

from ocrqueue.errors import ImageEmpty, RequestCutOff, RequestMediaType, UploadNoRoom
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.hardening.body_limits import too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES: Final = 1024 * 1024
"""Of a file in memory at a time; what is smaller never goes to disk."""


def media_type(request: Request) -> str:
    """Of the body, without parameters, in lower case; empty where the request does not say."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


def check_media_type(request: Request, *known: str) -> None:
    """Raises RequestMediaType."""
    if media_type(request) not in known:
        raise RequestMediaType(f"The body is to be {' or '.join(known)}.")


async def read_json(request: Request) -> bytes:
    """All of a body that is held in memory. Raises RequestMediaType, RequestTooLarge, RequestCutOff."""
    check_media_type(request, "application/json")
    most: int = request.app.state.settings.max_json_bytes
    return b"".join([piece async for piece in read_pieces(request, most)])


async def read_pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """A body as it comes. Raises RequestTooLarge, RequestCutOff."""
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise too_large(most)
            yield piece
    except ClientDisconnect:
        raise RequestCutOff() from None


@asynccontextmanager
async def spooled(request: Request, most: int, name: str | None = None) -> AsyncIterator[HashedFile]:
    """A body as a file without a name, which is gone when it is closed, or with this process.

    Raises RequestTooLarge, RequestCutOff, UploadNoRoom, ImageEmpty.
    """
    with SpooledTemporaryFile(_PIECE_BYTES) as file:
        digest = hashlib.sha256()
        held = bytearray()
        with room_errors():
            async for piece in read_pieces(request, most):
                held += piece
                if len(held) >= _PIECE_BYTES:
                    taken, held = held, bytearray()
                    await asyncio.to_thread(_take_in, file, digest, taken)
            _take_in(file, digest, held)
        if not file.tell():
            raise ImageEmpty("The body is empty.")
        yield HashedFile(cast("BinaryIO", file), digest.hexdigest(), name)


def hashed(file: IO[bytes], name: str | None) -> HashedFile:
    """A file that is there already. It is read to its end. Raises ImageEmpty."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    if not file.tell():
        raise ImageEmpty("The file has no bytes.")
    return HashedFile(cast("BinaryIO", file), digest.hexdigest(), name)


@contextmanager
def room_errors() -> Iterator[None]:
    """Raises UploadNoRoom where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UploadNoRoom() from None
        raise


def _take_in(file: IO[bytes], digest: hashlib._Hash, piece: bytearray) -> None:
    digest.update(piece)
    file.write(piece)
