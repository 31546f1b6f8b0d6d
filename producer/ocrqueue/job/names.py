"""What engines and lanes may be called."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

Priority = Literal["high", "normal", "low"]
LANES: Final[tuple[Priority, ...]] = ("high", "normal", "low")

OutputFormat = Literal[
    "text",
    "text-layout",
    "json",
    "jsonl",
    "tsv",
    "csv",
    "markdown",
    "hocr",
    "alto",
    "page",
    "pdf",
    "overlay-pdf",
    "overlay-html",
]
OUTPUTS: Final[tuple[OutputFormat, ...]] = get_args(OutputFormat)
"""What a Document can be written as."""
NEEDS_IMAGE: Final = frozenset({"pdf", "overlay-pdf", "overlay-html"})
"""Those that show the page too."""

ENGINE_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
AUTO: Final = "auto"
"""In place of an engine's name: one is chosen."""

PreparationStep = Literal[
    "rotate", "mirror", "deskew", "invert", "light", "despeckle", "rules", "enlarge", "strokes", "contrast"
]
"""What can be done to a page before it is read; docs/images.md says what each does."""
PREPARATION_STEPS: Final[tuple[PreparationStep, ...]] = get_args(PreparationStep)
Prepare = (
    Literal["auto", "none", "always"]
    | Annotated[tuple[PreparationStep, ...], Field(min_length=1, max_length=len(PREPARATION_STEPS))]
)
