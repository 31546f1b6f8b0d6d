"""JSON bodies with files in them, as base64: each file goes to disk as it comes, and the rest is read as JSON.

In the place of a long text the JSON has a token, which leads to its file. So a body of 100 MB takes no more memory than
one of 1 MB.
"""

from __future__ import annotations

import asyncio
import binascii
import codecs
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Final, cast

from pydantic_core import from_json
from starlette.requests import Request

from ocrqueue.errors import ImageEmpty, RequestInvalid
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.hardening.bodies import check_media_type, read_pieces, room_errors
from ocrqueue_gateway.hardening.body_limits import too_large

LONG: Final = 4096
"""Letters of a text from which on it is a file."""
MOST_FILES: Final = 64
_PIECE_BYTES: Final = 1024 * 1024
_IN_MEMORY: Final = 4 * _PIECE_BYTES
"""Of all files of a body together; what is more goes to disk."""
_MARK: Final = re.compile(rb'["\\]')
_RUN: Final = re.compile(rb'(?:[^"\\]++|\\u[0-9A-Fa-f]{4}|\\[^u])*+', re.DOTALL)
"""Letters and whole escapes: all at once, since some texts are nothing but escapes."""
_NO_BASE64: Final = "A file in the body is not base64."


@dataclass(frozen=True, slots=True)
class JsonWithFiles:
    """A body: its value, and the files in it."""

    value: Any
    files: dict[str, HashedFile]
    """By the token that stands in its place."""

    def file(self, text: str, name: str | None = None) -> HashedFile:
        """Of a text that the value has: of a long one the file in its place, else what it is in base64.

        Raises RequestInvalid, ImageEmpty.
        """
        if (found := self.files.get(text)) is not None:
            return found
        decoder = _Base64(file := BytesIO())
        decoder.feed(text.encode("ascii", "replace"))
        return decoder.ended(file, name)


@asynccontextmanager
async def json_with_files(
    request: Request, *media_types: str, most_file: int | None = None
) -> AsyncIterator[JsonWithFiles]:
    """Read a body, of these types or `application/json`; its files are kept until the end of the block.

    `most_file`: bytes of all files together, where that is less than what any body may have.

    Raises RequestMediaType, RequestTooLarge, RequestCutOff, RequestInvalid, UploadNoRoom, ImageEmpty.
    """
    check_media_type(request, *(media_types or ("application/json",)))
    settings = request.app.state.settings
    with ExitStack() as stack:
        most = settings.largest_body_bytes
        if most_file is not None:
            most = min(most, (most_file + 2) // 3 * 4 + settings.max_json_bytes)
        splitter = _Splitter(stack, settings.max_json_bytes, min(settings.max_body_bytes, most_file or most))
        held = bytearray()
        with room_errors():
            async for piece in read_pieces(request, most):
                held += piece
                if len(held) >= _PIECE_BYTES:
                    taken, held = held, bytearray()
                    await asyncio.to_thread(splitter.feed, bytes(taken))
            # a body that is all quotes takes a second: nobody else waits for it
            await asyncio.to_thread(splitter.feed, bytes(held))
        yield JsonWithFiles(await asyncio.to_thread(_parsed, bytes(splitter.text)), splitter.files)


def _parsed(text: bytes) -> Any:
    """Strictly: half a surrogate pair is no text, as NaN is no number, and whoever is handed one stumbles over it."""
    try:
        return from_json(text.removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError:
        raise RequestInvalid("The body is not JSON in UTF-8.") from None


@dataclass
class _Base64:
    """Decodes what comes in pieces, in either alphabet, with padding or without."""

    file: IO[bytes]
    most: int = 2**62
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    left: bytes = b""
    is_padded: bool = False

    def feed(self, letters: bytes) -> None:
        """Raises RequestInvalid, RequestTooLarge."""
        letters = self.left + letters.translate(_STANDARD, b" \t\r\n")
        whole = len(letters) // 4 * 4
        self.left = letters[whole:]
        self._take(letters[:whole])

    def ended(self, file: IO[bytes], name: str | None = None) -> HashedFile:
        """Raises RequestInvalid, ImageEmpty."""
        if self.left:
            self._take(self.left + b"=" * (4 - len(self.left)))
        if not file.tell():
            raise ImageEmpty("The file has no bytes.")
        return HashedFile(cast("BinaryIO", file), self.digest.hexdigest(), name)

    def _take(self, letters: bytes) -> None:
        if not letters:
            return
        if self.is_padded:  # nothing may follow
            raise RequestInvalid(_NO_BASE64)
        self.is_padded = letters.endswith(b"=")
        try:
            data = binascii.a2b_base64(letters, strict_mode=True)
        except binascii.Error:
            raise RequestInvalid(_NO_BASE64) from None
        self.digest.update(data)
        self.file.write(data)
        if self.file.tell() > self.most:
            raise too_large(self.most)


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


class _Splitter:
    """Parts JSON, as it comes, into what is between long texts, and these."""

    def __init__(self, stack: ExitStack, most_text: int, most_file: int) -> None:
        self.text = bytearray()
        self.files: dict[str, HashedFile] = {}
        self._stack = stack
        self._most_text = most_text
        self._most_file = most_file
        self._rest = b""
        """An escape that has not come to its end."""
        self._in_text = False
        self._short = bytearray()
        """Of the text that is being read, until it is long."""
        self._long: _Base64 | None = None
        self._spent = 0

    def feed(self, data: bytes) -> None:
        """Raises RequestInvalid, RequestTooLarge."""
        data, at = self._rest + data, 0
        self._rest = b""
        while at < len(data):
            at = self._in(data, at) if self._in_text else self._between(data, at)

    def _between(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote + 1
        self._add(data[at:end])
        self._in_text = quote >= 0
        return end

    def _in(self, data: bytes, at: int) -> int:
        if self._long is not None and (run := _RUN.match(data, at)) and run.end() > at:
            self._long.feed(_unescaped(run[0]))
            return run.end()
        mark = _MARK.search(data, at)
        end = len(data) if mark is None else mark.start()
        self._letters(data[at:end])
        if mark is None:
            return end
        if mark[0] == b'"':
            self._end_text()
            return end + 1
        size = 6 if data[end + 1 : end + 2] == b"u" else 2
        if len(data) < end + size:
            self._rest = data[end:]
            return len(data)
        self._escape(data[end : end + size])
        return end + size

    def _letters(self, letters: bytes) -> None:
        if self._long is not None:
            self._long.feed(letters)
            return
        self._short += letters
        if len(self._short) > LONG:
            self._begin_file()

    def _begin_file(self) -> None:
        if len(self.files) == MOST_FILES:
            raise RequestInvalid(f"The body has more than {MOST_FILES} files.")
        kept = max(1, min(_PIECE_BYTES, _IN_MEMORY - self._spent))
        file = self._stack.enter_context(SpooledTemporaryFile(kept))  # noqa: SIM115  # the stack closes it
        self._long = _Base64(cast("IO[bytes]", file), self._most_file)
        self._long.feed(_unescaped(bytes(self._short)))
        self._short.clear()

    def _escape(self, escape: bytes) -> None:
        if self._long is not None:
            self._long.feed(_unescaped(escape))
        else:
            self._short += escape

    def _end_text(self) -> None:
        self._in_text = False
        if self._long is None:
            self._add(bytes(self._short) + b'"')
            self._short.clear()
            return
        # base64 itself, so that it may stand where bytes are expected
        token = secrets.token_urlsafe(24)
        self.files[token] = self._long.ended(self._long.file)
        self._spent += min(self._long.file.tell(), _PIECE_BYTES)
        self._long = None
        self._add(token.encode() + b'"')

    def _add(self, text: bytes) -> None:
        self.text += text
        if len(self.text) > self._most_text:
            raise too_large(self._most_text)


def _unescaped(letters: bytes) -> bytes:
    """Some programs write `\\/` for `/` and `\\u003d` for `=`."""
    if b"\\" not in letters:
        return letters
    try:
        return str(json.loads(b'"' + letters + b'"')).encode("ascii")
    except ValueError:  # of JSON, UTF-8 or ASCII
        raise RequestInvalid(_NO_BASE64) from None
