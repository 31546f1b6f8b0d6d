"""What apps hand over as an image, and its bytes: paths, files, pictures of Pillow, arrays of NumPy.

Neither Pillow nor NumPy is imported for it: who has such an object has imported its package already.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, runtime_checkable

from ocrqueue.errors import JobMalformed, SourceNotFound, SourcePathNotAllowed
from ocrqueue.job import Job
from ocrqueue.job.references import is_reference

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGES: Final = "Give a reference, a path, bytes, a binary file, a picture of Pillow, or an array of pixels."
_LONGEST_NAME: Final = 256
_START_BYTES: Final = 16
_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_FLAT: Final = 3
"""Dimensions of one image in an array: rows, columns, channels."""


@runtime_checkable
class BinaryFile(Protocol):
    """A file that was opened for reading bytes."""

    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file whose sum is known: it is uploaded from its beginning on, and is never in memory as a whole."""

    file: BinaryIO
    sha256: str
    """In hexadecimal digits."""
    name: str | None = None

    def start(self) -> bytes:
        """Its first bytes."""
        self.file.seek(0)
        return self.file.read(_START_BYTES)


@runtime_checkable
class PixelArray(Protocol):
    """An array of NumPy, or of another package that speaks its protocol."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


if TYPE_CHECKING:
    ImageInput = str | Path | bytes | bytearray | memoryview | BinaryFile | HashedFile | Image | PixelArray | Job
else:
    ImageInput = object
"""A URI, a local path, the bytes of an image file, a file that was opened in binary mode, one with its sum, a picture
of Pillow, an array of pixels, or a whole Job."""


def is_single(images: object) -> bool:
    """Whether it is one image, not an iterable of several."""
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Job | BinaryFile | HashedFile):
        return True
    return isinstance(images, PixelArray) and len(images.__array_interface__["shape"]) <= _FLAT


def content_of(image: object) -> Callable[[], bytes | HashedFile] | None:
    """What gives the bytes that are to be uploaded; None for a reference. Raises JobMalformed.

    A path is read later, in the thread that uploads it. All else is read now: the caller may close or change it.
    """
    if isinstance(image, str) and is_reference(image):
        return None
    if isinstance(image, str) and not image:
        raise JobMalformed("The image is an empty text.", remedy=_IMAGES)
    if isinstance(image, str | os.PathLike):
        return lambda: _read(Path(image))
    if isinstance(image, HashedFile):
        return lambda: image
    data = _bytes_of(image)
    return lambda: data


def name_of(image: object) -> str | None:
    """The name of a file, with bytes that are not text replaced; None if it has no name."""
    path = image if isinstance(image, str | os.PathLike) else getattr(image, "name", getattr(image, "filename", None))
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        return None
    return Path(path).name.encode(errors="replace").decode()[:_LONGEST_NAME] or None


def _bytes_of(image: object) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    pillow: Any = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        return _png(image)
    if isinstance(image, PixelArray):
        return _png(_picture(image))
    if isinstance(image, BinaryFile):
        data = image.read()
        if isinstance(data, bytes):
            return data
        raise JobMalformed("The file was opened as text.", remedy='Open it with mode "rb".')
    raise JobMalformed(
        f"What is of type {type(image).__name__} cannot be submitted as an image.",
        remedy=_IMAGES,
    )


def _png(picture: Image) -> bytes:
    """Its pixels as they are, without loss."""
    if picture.mode == "F":
        raise JobMalformed("A picture of mode F has no range of colors.", remedy='Convert it to mode "L" first.')
    written = BytesIO()
    shown = picture if picture.mode in _PNG_MODES else picture.convert("RGBA" if "A" in picture.mode else "RGB")
    # the file is to be small enough, and not as small as it could be
    shown.save(written, "PNG", compress_level=1, **({"dpi": dpi} if (dpi := picture.info.get("dpi")) else {}))
    return written.getvalue()


def _picture(array: PixelArray) -> Image:
    from PIL import Image

    shape = tuple(array.__array_interface__["shape"])
    try:
        if len(shape) == _FLAT and shape[2] == 1:
            array = array.reshape(shape[:2])  # type: ignore[attr-defined]  # as NumPy's, and its like
        return Image.fromarray(array)
    except (TypeError, ValueError, AttributeError, KeyError):
        raise JobMalformed(
            f"An array of type {array.__array_interface__['typestr']} and shape {shape} is not an image.",
            remedy="Give 8 bits (uint8) in rows, columns and 1, 3 (RGB) or 4 (RGBA) channels.",
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise SourceNotFound(f"{path} is a folder.", remedy="Give the files in it, one by one.") from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise SourceNotFound(f"There is no file {path}.") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SourceNotFound(f"No file has a name as long as {str(path)[:80]!r}...") from None
        raise SourcePathNotAllowed(
            f"Cannot read {path}: {error.strerror}.", remedy="Check the file's permissions."
        ) from None
