"""A PDF file that is written from its beginning to its end, object by object: what is written is not kept."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Final

_HEADER: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
_LEVEL: Final = 6


class Reference(int):
    """The number of an object, where another refers to it."""


class Name(str):
    """A name, without its slash: of letters, digits and `-` only."""

    __slots__ = ()


Value = Reference | Name | int | float | str | bytes | Sequence["Value"] | Mapping[str, "Value"]
"""`str` is text, `bytes` a string of bytes."""


class PdfFile:
    """Objects are numbered before they are written, so that those before them can refer to them."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._at = 0
        self._places: list[int] = []
        self._sum = hashlib.md5(usedforsecurity=False)
        self._put(_HEADER)

    def reserve(self) -> Reference:
        self._places.append(0)
        return Reference(len(self._places))

    def add(self, value: Value) -> Reference:
        reference = self.reserve()
        self.write(reference, value)
        return reference

    def write(self, reference: Reference, value: Value) -> None:
        """The object of a number that was reserved."""
        self._begin(reference)
        self._put(written(value) + b"\nendobj\n")

    def add_stream(self, data: bytes, **dictionary: Value) -> Reference:
        """`data` as it is, if the dictionary has a Filter; else compressed."""
        if "Filter" not in dictionary:
            data, dictionary["Filter"] = zlib.compress(data, _LEVEL), Name("FlateDecode")
        reference = self.reserve()
        self._begin(reference)
        self._put(written({**dictionary, "Length": len(data)}) + b"\nstream\n")
        self._put(data)
        self._put(b"\nendstream\nendobj\n")
        return reference

    def finish(self, root: Reference, info: Reference) -> None:
        """The same objects give the same bytes."""
        start = self._at
        lines = [b"xref\n0 %d\n0000000000 65535 f \n" % (len(self._places) + 1)]
        lines += [b"%010d 00000 n \n" % place for place in self._places]
        self._put(b"".join(lines))
        name = self._sum.digest()
        trailer: Value = {"Size": len(self._places) + 1, "Root": root, "Info": info, "ID": [name, name]}
        self._put(b"trailer\n" + written(trailer) + b"\nstartxref\n%d\n%%%%EOF\n" % start)

    def _begin(self, reference: Reference) -> None:
        self._places[reference - 1] = self._at
        self._put(b"%d 0 obj\n" % reference)

    def _put(self, data: bytes) -> None:
        self._target.write(data)
        self._sum.update(data)
        self._at += len(data)


def written(value: Value) -> bytes:
    """As it stands in a PDF."""
    if isinstance(value, bytes | str) and not isinstance(value, Name):
        return _string(value)
    if isinstance(value, Mapping):
        entries = (b"/" + key.encode("ascii") + b" " + written(each) for key, each in value.items())
        return b"<< " + b" ".join(entries) + b" >>"
    if isinstance(value, Name | int | float):
        return _atom(value)
    return b"[" + b" ".join(map(written, value)) + b"]"


def _string(value: bytes | str) -> bytes:
    encoded = value if isinstance(value, bytes) else b"\xfe\xff" + value.encode("utf-16-be", "replace")
    return b"<" + encoded.hex().encode("ascii") + b">"


def _atom(value: Name | int | float) -> bytes:
    match value:
        case Reference():
            text = f"{int(value)} 0 R"
        case Name():
            text = f"/{value}"
        case bool():
            text = str(value).lower()
        case int():
            text = str(value)
        case _:
            text = f"{value:.5f}".rstrip("0").rstrip(".") or "0"
    return text.encode("ascii")
