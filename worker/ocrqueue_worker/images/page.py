"""A page as engines get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from PIL.Image import Image

from ocrqueue.document import DocumentWarning, Page
from ocrqueue.errors import ErrorInfo


@dataclass(frozen=True, slots=True)
class PageImage:
    """One decoded page.

    `image` has mode "L" or "RGB", 8 bits a channel, EXIF orientation applied, transparency laid on white or on what
    shows it better. `dpi` is dots per inch as the file states it, None where it does not or cannot be right.
    `file_size` is the width and height in the file's own pixels, where `image` was stretched to have square ones.
    `size_pt` is the width and height in points of a PDF's page, as it is shown. `known` is the page as the file's own
    text tells it, in the place of what an engine would read; `image` then has a pixel only, if no crops are wanted.
    """

    number: int
    image: Image
    dpi: float | None = None
    file_size: tuple[int, int] | None = None
    size_pt: tuple[float, float] | None = None
    known: Page | None = None


class PageSource(Protocol):
    """A file whose pages are decoded one at a time. A context manager; for one thread."""

    @property
    def format(self) -> str: ...

    @property
    def page_count(self) -> int: ...

    @property
    def is_protected(self) -> bool:
        """Whether it took a password to open it: what is read is for who has that alone."""
        ...

    @property
    def truncated(self) -> Mapping[int, ErrorInfo]:
        """Those of the decoded pages that are cut off."""
        ...

    @property
    def warnings(self) -> tuple[DocumentWarning, ...]:
        """What was wrong with the file and with the pages that were decoded so far."""
        ...

    def page(self, number: int) -> PageImage:
        """Decode page `number`, counted from 1. Raises the OcrQueueError for which there is none."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...
