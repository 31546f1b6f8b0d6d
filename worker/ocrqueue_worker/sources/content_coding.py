"""Bodies that are stored or sent compressed: unpacked as they come, within the limit of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Final

from ocrqueue.errors import SourceHttpError

_NONE: Final = frozenset(("", "identity", "aws-chunked"))
"""The last one is of an upload's transport; some writers leave it in the object's metadata."""
_GZIP: Final = frozenset(("gzip", "x-gzip"))
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_PIECE: Final = 1 << 20


def is_packed(encoding: str, shown: str) -> bool:
    """Whether the body is gzip by its Content-Encoding. Raises SourceHttpError for other codings."""
    codings = [name for part in encoding.split(",") if (name := part.strip().lower()) not in _NONE]
    if not codings:
        return False
    if len(codings) == 1 and codings[0] in _GZIP:
        return True
    raise SourceHttpError(
        f"{shown} is compressed as {encoding[:40]!r}, which is not read here.",
        remedy="Store the image as it is or with the Content-Encoding gzip, or upload it.",
    )


def body(chunks: Iterable[bytes], packed: bool, check_size: Callable[[int], None], shown: str) -> bytes:
    """The bytes of `chunks` together, unpacked where they are `packed`. `check_size` raises where there are too many.

    What does not begin as gzip does is taken as it is: some writers say gzip of what they have not compressed. Raises
    SourceHttpError for gzip that is damaged or ends early.
    """
    taken = BytesIO()
    arrived, inflate = 0, None
    for chunk in chunks:
        arrived += len(chunk)
        check_size(arrived)
        if packed and inflate is None:
            taken.write(chunk)
            if taken.tell() < len(_GZIP_MAGIC):
                continue
            begun = taken.getvalue()
            packed = begun.startswith(_GZIP_MAGIC)
            if packed:
                taken, inflate = BytesIO(), zlib.decompressobj(_GZIP_BITS)
                _unpack(inflate, begun, taken, check_size, shown)
        elif inflate is not None:
            inflate = _unpack(inflate, chunk, taken, check_size, shown)
        else:
            taken.write(chunk)
    if inflate is not None and not inflate.eof:
        raise SourceHttpError(f"{shown}: the compressed body ends early.", remedy="Store the image again.")
    return taken.getvalue()


def _unpack(
    inflate: zlib._Decompress, chunk: bytes, into: BytesIO, check_size: Callable[[int], None], shown: str
) -> zlib._Decompress:
    """One piece after the other; another member of the gzip file follows where one ends. Returns what goes on."""
    rest = chunk
    try:
        while rest:
            if inflate.eof:
                if not rest.startswith(_GZIP_MAGIC[:1]):  # padding
                    break
                inflate = zlib.decompressobj(_GZIP_BITS)
            into.write(inflate.decompress(rest, _PIECE))
            check_size(into.tell())
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    except zlib.error:
        raise SourceHttpError(f"{shown}: the compressed body is damaged.", remedy="Store the image again.") from None
    return inflate
