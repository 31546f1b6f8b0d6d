"""What the process that opens files is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Task(BaseModel):
    """One archive, of one file."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["tiles", "thumbnails"]
    source: str
    """A file."""
    target: str
    """The file that is to be written."""
    pages: Annotated[tuple[int, ...], Field(min_length=1)]
    """Of `tiles` one."""
    size: tuple[int, int] | None = None
    """In which a PDF's page is to be drawn, at most; None: at a usual resolution."""
    max_pixels: int
    max_bytes: int
    """Of the archive."""
    cpu_s: int
