"""What the engine asks of Tesseract, whichever way it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Tesseract on one image."""

    languages: tuple[str, ...]
    oem: int
    psm: int
    dpi: int | None
    whitelist: str
    blacklist: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Output:
    """What Tesseract says of an image: its TSV, and its plain text with the spaces as printed.

    The TSV parts Korean or Japanese at every few characters and does not tell where a space was; the text does.
    It may be empty where the TSV holds no script that is written without spaces between words.
    """

    tsv: str
    text: str


@dataclass(frozen=True, slots=True)
class Orientation:
    """The text is turned clockwise by `rotation` degrees (0, 90, 180, 270); the higher `confidence`, the surer."""

    rotation: int
    confidence: float


class Backend(Protocol):
    """Tesseract, called one way or the other. Not for several threads at once."""

    def version(self) -> str: ...

    def read(self, image: Image, call: Call) -> Output:
        """Read a "L" or "RGB" image. Raises EngineTimeout, EngineFailed, OptionInvalid."""

    def orientation(self, image: Image, call: Call) -> Orientation | None:
        """None where the page has too little text to tell. Raises EngineTimeout, EngineFailed."""

    def close(self) -> None: ...
