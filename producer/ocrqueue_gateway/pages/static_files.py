"""What is in `static`, held in memory: under an address that has the sum of it all, and so may be kept for ever.

Modules import each other by relative addresses, and so under the same sum. Where two versions of the gateway serve,
one answers the other's addresses with its own files, which are then not kept.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ocrqueue.errors import RequestNotFound

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_IMPORT: Final = re.compile(r"""^import [^;]*? from "(\.\.?/[a-z_/]+\.js)";$""", re.MULTILINE)
_KEPT: Final = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class StaticFile:
    content_type: str
    data: bytes
    packed: bytes
    """By gzip."""


@cache
def files() -> dict[str, StaticFile]:
    """By path."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            data = path.read_bytes()
            name = path.relative_to(FOLDER).as_posix()
            found[name] = StaticFile(_TYPES[path.suffix], data, gzip.compress(data, 6, mtime=0))
    return found


@cache
def version() -> str:
    """The sum of all files."""
    digest = hashlib.sha256()
    for name, file in files().items():
        digest.update(f"{name} {len(file.data)}\n".encode() + file.data)
    return digest.hexdigest()[:16]


@cache
def modules(name: str) -> tuple[str, ...]:
    """All that a module imports, at any remove: a page names them, so that a browser asks for all at once."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        importer = waiting.pop()
        named = _IMPORT.findall(files()[importer].data.decode())
        there = [posixpath.normpath(posixpath.join(posixpath.dirname(importer), each)) for each in named]
        new = [each for each in there if each not in found]
        found += dict.fromkeys(new)
        waiting += dict.fromkeys(new)
    return tuple(sorted(found))


def address(name: str) -> str:
    """Where a page finds the file."""
    return f"/static/{version()}/{name}"


@router.get("/static/{of_version}/{name:path}")
async def static_file(request: Request, of_version: str, name: str) -> Response:
    """Without a key: it is the same for all, and anybody can have it from the package."""
    file = files().get(name)
    if file is None:
        raise RequestNotFound(f"There is nothing at {request.url.path[:120]}.")
    headers = {
        "cache-control": _KEPT if of_version == version() else "no-store",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-origin",
        "vary": "accept-encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(file.packed, headers=headers, media_type=file.content_type)
    return Response(file.data, headers=headers, media_type=file.content_type)
