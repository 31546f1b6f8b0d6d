"""Document: what was read. Document > Page > Block > Paragraph > Line > Word, the same for every engine.

Coordinates are pixels of the image as a viewer shows it (EXIF orientation applied), origin top left, x to the right,
y down. They stay in that frame when the worker turned the page to read it: `Page.rotation` says by how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, computed_field

from ocrqueue.document.writable import Writable
from ocrqueue.errors import CropMissing, ErrorInfo
from ocrqueue.job.route import Share, Step

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left of the text as it is read, whichever way it lies on the page."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom; right and bottom are exclusive."""
Confidence = Annotated[float, Field(ge=0, le=1)]


class ObjectReader(Protocol):
    """What a crop needs of storage to be opened."""

    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes: ...


def _is_unset(value: object) -> bool:
    """Left out of the JSON: there are many words, and few have what few engines or jobs give."""
    return value is None or value == {}


def _is_empty(value: object) -> bool:
    return value == ()


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Crop(_Value):
    """Where the picture of one word is kept: a PNG of its own, or a slice of an archive."""

    uri: str
    offset: int | None = Field(default=None, description="Bytes from the archive's start; null for an object.")
    length: int | None = Field(default=None, description="Bytes of the PNG in the archive; null for an object.")

    _storage: ObjectReader | None = PrivateAttr(default=None)

    def open(self) -> BytesIO:
        """The PNG as a binary file. Raises StorageNotFound where it was deleted since."""
        if self._storage is None:
            raise CropMissing("This Document is not bound to storage.", remedy="Get it from job.result().")
        return BytesIO(self._storage.read_uri(self.uri, self.offset, self.length))

    def image(self) -> Image:
        """The crop as a Pillow image."""
        from PIL import Image

        return Image.open(self.open())


class Region(_Value):
    polygon: Polygon
    bbox: Box
    confidence: Confidence | None = Field(default=None, description="Null where the engine gives none.")


class Symbol(Region):
    """A character as printed, or several that are one letter together."""

    text: str


class Word(Region):
    id: str = Field(description="p001-w0001: unique in the Document.")
    text: str
    detection_confidence: Confidence | None = Field(
        default=None, description="That there is a word here, of engines with a detector of their own; else null."
    )
    crop: Crop | None = None
    space_after: bool = Field(
        default=True, description="false: the line's next word follows without a space, as in Chinese or Japanese."
    )
    reading: Literal["page", "crop"] = Field(
        default="page", description="The step that gave the text: the whole page, or the word's crop read again."
    )
    symbols: tuple[Symbol, ...] | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="Its characters, of an engine that tells them and a job whose options ask for them.",
    )
    engine: str | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="That read this word, where it is another than the page's: its line was read again.",
    )
    readings: dict[str, str | None] = Field(
        default={},
        exclude_if=_is_unset,
        description="With compare: what each other engine read in this place; null where it found no word.",
    )
    agreement: Share | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="With compare: the share of the other engines that read the same text here.",
    )


class Line(Region):
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return "".join(word.text + (" " if word.space_after else "") for word in self.words).rstrip(" ")


class Paragraph(Region):
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


class Block(Region):
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs)


Verdict = Literal["kept", "page sent on", "lines sent on", "failed"]


class PageReading(_Value):
    """How one engine of a route fared with a page."""

    engine: str
    words: int
    mean_confidence: Share | None = Field(default=None, description="Of the words that have one.")
    low_share: Share | None = Field(default=None, description="The share of words below fallback_low_word.")
    seconds: float = Field(default=0.0, description="That the engine took for it.")
    verdict: Verdict
    reason: str = Field(default="", description="What was measured against which threshold.")


class Page(_Value):
    number: Annotated[int, Field(ge=1)]
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    dpi: float | None = Field(default=None, description="Dots per inch as the file states it; null where it does not.")
    rotation: Literal[0, 90, 180, 270] = Field(
        default=0, description="Degrees clockwise by which the page's text is turned; turn it back by as much to read."
    )
    rotation_confidence: float | None = Field(default=None, description="The engine's own score, if it detected.")
    languages: tuple[str, ...] = ()
    text_case: Literal["kept", "lower"] = Field(
        default="kept", description="lower: the engine writes all letters in lower case, whatever the page shows."
    )
    layout: Literal["engine", "inferred"] = Field(
        default="engine", description="inferred: the engine gives words only, lines were grouped by geometry."
    )
    blocks: tuple[Block, ...] = ()
    engine: str | None = Field(
        default=None, description="That read this page, where the job asked for several; else the Document's."
    )
    trail: tuple[PageReading, ...] = Field(
        default=(), description="Of the engines that have read it, in order, where the job asked for several."
    )
    unread: tuple[Confidence, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="Where the job asked for several engines: the confidences of words that one made of what none "
        "could read. They are in no line, and count in mean_confidence.",
    )
    error: ErrorInfo | None = Field(default=None, description="Why this page could not be read.")

    @computed_field(description="Words of a line joined by spaces, lines by newlines, blocks by empty lines.")  # type: ignore[prop-decorator]  # mypy#1362
    @property
    def text(self) -> str:
        return "\n\n".join(block.text for block in self.blocks)

    def lines(self) -> Iterator[Line]:
        for block in self.blocks:
            for paragraph in block.paragraphs:
                yield from paragraph.lines

    def words(self) -> Iterator[Word]:
        for line in self.lines():
            yield from line.words


class InputInfo(_Value):
    uri: str = Field(description="The reference, its query string and credentials removed.")
    sha256: str | None = Field(description="Null where the engine fetched the image itself, by its reference.")
    format: str = Field(description="PNG, JPEG, TIFF, ...: by content; empty where the engine fetched it.")
    bytes: int | None


class EngineInfo(_Value):
    name: str
    version: str
    model: str = Field(description="What the engine loaded, so that equal strings mean equal weights.")
    device: str | None = Field(
        default=None, description="What it ran on: cpu, gpu:0 and its name; null where the engine has no choice."
    )


class Timings(_Value):
    """Seconds."""

    queue_wait_s: float = 0.0
    fetch_s: float = 0.0
    decode_s: float = 0.0
    ocr_s: float = 0.0
    crop_s: float = 0.0
    upload_s: float = 0.0
    total_s: float = Field(default=0.0, description="From the worker's start on the job to the result stored.")


class DocumentWarning(_Value):
    """What was wrong with a file that was read all the same. docs/images.md lists the codes."""

    code: str = Field(description="Stable, for programs: image.end_missing and others.")
    message: str
    page: int | None = Field(default=None, description="The page's number; null where it is about the file.")


class Document(_Value, Writable):
    """The whole result, as stored in result.json."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="ocrqueue document")

    schema_version: Literal[1] = 1
    job_id: str
    tag: str | None = None
    status: Literal["succeeded", "partial"]
    input: InputInfo
    engine: EngineInfo = Field(description="The last one that had its turn; each page says which engine read it.")
    trail: tuple[Step, ...] = Field(
        default=(), description="Of the engines that had their turn, in order, where the job asked for several."
    )
    languages: tuple[str, ...]
    options: dict[str, JsonValue] = {}
    attempts: int = 1
    cached: bool = Field(
        default=False, description="The image was read by an earlier job; crops are copies of its own."
    )
    finished_at: datetime
    timings: Timings = Timings()
    pages: tuple[Page, ...]
    errors: tuple[ErrorInfo, ...] = Field(
        default=(), description="Of the pages that failed, in order, and of those of which a part alone was there."
    )
    warnings: tuple[DocumentWarning, ...] = Field(
        default=(), exclude_if=_is_empty, description="What was wrong with the file, though it was read."
    )

    @property
    def text(self) -> str:
        """The text of all pages, separated by form feeds."""
        return "\f".join(page.text for page in self.pages)

    def words(self) -> Iterator[Word]:
        for page in self.pages:
            yield from page.words()

    @property
    def mean_confidence(self) -> float | None:
        """Mean over the words that have one, and those that no engine could read; null where there are none."""
        known = [word.confidence for word in self.words() if word.confidence is not None]
        known += [confidence for page in self.pages for confidence in page.unread]
        return sum(known) / len(known) if known else None

    @property
    def mean_agreement(self) -> float | None:
        """With compare: mean over the words; null without."""
        known = [word.agreement for word in self.words() if word.agreement is not None]
        return round(sum(known) / len(known), 4) if known else None

    def bind(self, storage: ObjectReader) -> Document:
        """Let `word.crop.open()` read from `storage`."""
        for word in self.words():
            if word.crop is not None:
                word.crop._storage = storage
        return self


def polygon_of(box: Box) -> Polygon:
    """The upright polygon of a box."""
    left, top, right, bottom = box
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def box_of(polygons: Sequence[Polygon]) -> Box:
    """The smallest box around one or more polygons."""
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    return (min(xs), min(ys), max(xs), max(ys))


def mean_confidence(parts: Sequence[Region]) -> float | None:
    """Mean of the known confidences; null where none is known."""
    known = [part.confidence for part in parts if part.confidence is not None]
    return round(sum(known) / len(known), 4) if known else None


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a Job or Document as it stands in a message or file."""
    schema = model.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
