"""Files in storage that a Document names: the crops of its words, and its outputs in other formats."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field

from ocrqueue.document.values import StorageBound, is_unset
from ocrqueue.document.written_file import written_file
from ocrqueue.errors import CropMissing, OutputMissing

if TYPE_CHECKING:
    from PIL.Image import Image

_PIECE_BYTES: Final = 4_000_000


class Crop(StorageBound):
    """Where the picture of one word is kept: a PNG of its own, or a slice of an archive."""

    uri: str
    offset: int | None = Field(default=None, description="Bytes from the archive's start; null for an object.")
    length: int | None = Field(default=None, description="Bytes of the PNG in the archive; null for an object.")

    def open(self) -> BytesIO:
        """The PNG as a binary file. Raises CropMissing, StorageNotFound where it was deleted since."""
        if self._storage is None:
            raise CropMissing(
                "This Document is not bound to storage.",
                remedy="Get it from job.result(), or bind it: document.bind(queue.storage).",
            )
        return BytesIO(self._storage.read_uri(self.uri, self.offset, self.length))

    def image(self) -> Image:
        """The crop as a Pillow image."""
        from PIL import Image

        return Image.open(self.open())


class Output(StorageBound):
    """A file that is stored beside the result: the Document, or one page of it, in another format."""

    format: str
    name: str = Field(description="Of the file: document.pdf; document-p001.page.xml for one page of several.")
    uri: str
    size_bytes: int
    page: int | None = Field(
        default=None, exclude_if=is_unset, description="The page's number, in a format that has a file for each."
    )

    def open(self) -> BytesIO:
        """The content as a binary file. Raises StorageNotFound where it was deleted since."""
        return BytesIO(b"".join(self.pieces()))

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to `path`, a piece at a time. Raises as open(): `path` is then what it was before."""
        with written_file(Path(path)) as file:
            for piece in self.pieces():
                file.write(piece)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes in order, some megabytes at a time. Raises as open()."""
        if self._storage is None:
            raise OutputMissing(
                "This Document is not bound to storage.",
                remedy="Get it from job.result(), or bind it: document.bind(queue.storage).",
            )
        for start in range(0, self.size_bytes, _PIECE_BYTES):
            yield self._storage.read_uri(self.uri, start, min(_PIECE_BYTES, self.size_bytes - start))
