"""Document: what was read. Document > Page > Block > Paragraph > Line > Word, the same for every engine.

Coordinates are pixels of the image as a viewer shows it (EXIF orientation applied), origin top left, x to the right,
y down. They stay in that frame when the worker turned the page to read it: `Page.rotation` says by how much.
"""

from __future__ import annotations

import hashlib
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Protocol, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
    computed_field,
    model_validator,
)

from ocrqueue.document.writable import Writable
from ocrqueue.errors import CropMissing, ErrorInfo, OcrQueueError, OutputMissing, PageNotFound
from ocrqueue.job.names import PreparationStep
from ocrqueue.job.route import Share, Step

if TYPE_CHECKING:
    from PIL.Image import Image

Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right, bottom left of the text as it is read, whichever way it lies on the page."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom; right and bottom are exclusive."""
_PIECE_BYTES: Final = 4_000_000
Confidence = Annotated[float, Field(ge=0, le=1)]
_SHOWN: Final = 60
"""Letters of a text in the repr of what has it."""
UNKNOWN: Final = "unknown"
"""What a newer version writes and this one has no word for; nobody writes it."""


class ObjectReader(Protocol):
    """What a crop needs of storage to be opened."""

    def read_uri(self, uri: str, offset: int | None = None, length: int | None = None) -> bytes: ...


def _is_unset(value: object) -> bool:
    """Left out of the JSON: there are many words, and few have what few engines or jobs give."""
    return value is None or value == {}


def _is_empty(value: object) -> bool:
    return value == ()


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")


class Crop(_Value):
    """Where the picture of one word is kept: a PNG of its own, or a slice of an archive."""

    uri: str
    offset: int | None = Field(default=None, description="Bytes from the archive's start; null for an object.")
    length: int | None = Field(default=None, description="Bytes of the PNG in the archive; null for an object.")

    _storage: ClassVar[ObjectReader | None] = None
    """The storage of a crop that was bound. It is not a field, and is not compared, deep-copied or pickled."""

    def open(self) -> BytesIO:
        """The PNG as a binary file. Raises CropMissing, StorageNotFound where it was deleted since."""
        if self._storage is None:
            raise CropMissing(
                "This Document is not bound to storage.",
                remedy="Get it from job.result(), or bind it: document.bind(queue.storage).",
            )
        return BytesIO(self._storage.read_uri(self.uri, self.offset, self.length))

    def bind(self, storage: ObjectReader) -> None:
        """Let open() read from `storage`."""
        self.__dict__["_storage"] = storage

    def __getstate__(self) -> dict[Any, Any]:
        # storage has the settings, and these have passwords
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if name != "_storage"}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def image(self) -> Image:
        """The crop as a Pillow image."""
        from PIL import Image

        return Image.open(self.open())


class Output(_Value):
    """A file that is stored beside the result: the Document, or one page of it, in another format."""

    format: str
    name: str = Field(description="Of the file: document.pdf; document-p001.page.xml for one page of several.")
    uri: str
    size_bytes: int
    page: int | None = Field(
        default=None, exclude_if=_is_unset, description="The page's number, in a format that has a file for each."
    )

    _storage: ClassVar[ObjectReader | None] = None
    """The storage, if bound. It is not a field, and is not compared, deep-copied or pickled."""

    def bind(self, storage: ObjectReader) -> None:
        """Let open() read from `storage`."""
        self.__dict__["_storage"] = storage

    def __getstate__(self) -> dict[Any, Any]:
        # storage has the settings, and these have passwords
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if name != "_storage"}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def open(self) -> BytesIO:
        """The content as a binary file. Raises StorageNotFound where it was deleted since."""
        return BytesIO(b"".join(self.pieces()))

    def save(self, path: Path) -> None:
        """Write it to `path`, a piece at a time. Raises as open()."""
        with path.open("wb") as file:
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


class Region(_Value):
    polygon: Polygon
    bbox: Box
    confidence: Confidence | None = Field(default=None, description="Null if the engine gives none.")


class Symbol(Region):
    """A character as printed, or several that are one letter together."""

    text: str


class Word(Region):
    id: str = Field(description="p001-w0001: unique in the Document.")
    text: str
    raw_confidence: Confidence | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="As the engine gave it, if `confidence` is calibrated: the share of such words that are right.",
    )
    detection_confidence: Confidence | None = Field(
        default=None,
        description="Confidence that there is a word here, if the engine has a detector of its own; else null.",
    )
    crop: Crop | None = None
    space_after: bool = Field(
        default=True, description="false: the line's next word follows without a space, as in Chinese or Japanese."
    )
    reading: Literal["page", "crop", "unknown"] = Field(
        default="page", description="The step that gave the text: the whole page, or the word's crop read again."
    )
    symbols: tuple[Symbol, ...] | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="Its characters, if the engine gives them and the job's options ask for them.",
    )
    engine: str | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="The engine that read this word, if it is not the page's: its line was read again.",
    )
    readings: dict[str, str | None] = Field(
        default={},
        exclude_if=_is_unset,
        description="With compare: what each other engine read in this place; null if it found no word.",
    )
    agreement: Share | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="With compare: the share of the other engines that read the same text here.",
    )

    @property
    def engine_confidence(self) -> float | None:
        """As the engine gave it, calibrated or not: what thresholds look at, which were chosen for the engine."""
        return self.confidence if self.raw_confidence is None else self.raw_confidence


class _Lines(Region):
    """A part of a page that is shown by its text."""

    @property
    def text(self) -> str:
        raise NotImplementedError

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        text = self.text
        yield "text", text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        yield "bbox", self.bbox


class Line(_Lines):
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return "".join(word.text + (" " if word.space_after else "") for word in self.words).rstrip(" ")

    @property
    def dir(self) -> Literal["ltr", "rtl"]:
        """The direction of its first letter, as rule P2 of Unicode's annex 9 has it. Words, and letters in them, are in
        the order in which they are read, whichever it is."""
        kinds = (unicodedata.bidirectional(letter) for word in self.words for letter in word.text)
        return "rtl" if next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L" else "ltr"


class Paragraph(_Lines):
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


class Block(_Lines):
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs)


Verdict = Literal["kept", "page sent on", "lines sent on", "failed", "unknown"]


class PageReading(_Value):
    """How one engine of a route fared with a page."""

    engine: str
    words: int
    mean_confidence: Share | None = Field(
        default=None, description="Mean of the words' confidences as the engine gave them, which thresholds look at."
    )
    low_share: Share | None = Field(default=None, description="The share of words below fallback_low_word.")
    seconds: float = Field(default=0.0, description="Seconds that the engine took for the page.")
    verdict: Verdict
    reason: str = Field(default="", description="What was measured against which threshold.")


class Preparation(_Value):
    """What was done to the page before it was read."""

    steps: tuple[Literal[PreparationStep, "unknown"], ...] = Field(description="In order.")
    angle: float = Field(
        default=0.0, description="Degrees clockwise by which its lines were tilted, beyond `rotation`."
    )
    scale: float = Field(default=1.0, description="How many times it was enlarged.")
    tiles: int = Field(
        default=1, description="Number of parts in which it was read, because of the engine's longest side."
    )


class Page(_Value):
    number: Annotated[int, Field(ge=1)]
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    dpi: float | None = Field(default=None, description="Dots per inch as the file states them; null if it does not.")
    size_pt: tuple[float, float] | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="Width and height in points of a PDF's page, as shown; dpi is what it was drawn or scanned at.",
    )
    rotation: Literal[0, 90, 180, 270] = Field(
        default=0, description="Degrees clockwise by which the page's text is turned; turn it back by as much to read."
    )
    rotation_confidence: float | None = Field(default=None, description="The engine's own score, if it detected.")
    languages: tuple[str, ...] = ()
    text_case: Literal["kept", "lower", "unknown"] = Field(
        default="kept", description="lower: the engine writes all letters in lower case, whatever the page shows."
    )
    source: Literal["pdf", "unknown"] | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="pdf: the words are the PDF's own text, and no engine has read the page.",
    )
    layout: Literal["engine", "inferred", "unknown"] = Field(
        default="engine", description="inferred: the engine gives words only, lines were grouped by geometry."
    )
    blocks: tuple[Block, ...] = ()
    preparation: Preparation | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="How the page was made easier to read, if it was; see docs/images.md.",
    )
    engine: str | None = Field(
        default=None,
        description="The engine that read this page, if the job asked for several; else it is the Document's.",
    )
    trail: tuple[PageReading, ...] = Field(
        default=(), description="The engines that have read it, in order, if the job asked for several."
    )
    unread: tuple[Confidence, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="Where the job asked for several engines: the confidences of words that one made of what none "
        "could read. They are in no line, and count in mean_confidence.",
    )
    raw_unread: tuple[Confidence, ...] = Field(
        default=(), exclude_if=_is_empty, description="The same as the engine gave them, if they are calibrated."
    )
    error: ErrorInfo | None = Field(default=None, description="Why this page could not be read.")

    @computed_field(description="Words of a line joined by spaces, lines by newlines, blocks by empty lines.")  # type: ignore[prop-decorator]  # mypy#1362
    @property
    def text(self) -> str:
        return "\n\n".join(block.text for block in self.blocks)

    @property
    def engine_unread(self) -> tuple[float, ...]:
        """`unread` as the engine gave them, calibrated or not."""
        return self.raw_unread or self.unread

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "number", self.number
        yield "width", self.width
        yield "height", self.height
        yield "words", sum(1 for _ in self.words())
        if self.error is not None:
            yield "error", self.error.code

    def lines(self) -> Iterator[Line]:
        for block in self.blocks:
            for paragraph in block.paragraphs:
                yield from paragraph.lines

    def words(self) -> Iterator[Word]:
        for line in self.lines():
            yield from line.words


class InputInfo(_Value):
    uri: str = Field(description="The reference, without its query string and credentials.")
    sha256: str | None = Field(description="Null if the engine fetched the image itself, by its reference.")
    format: str = Field(description="PDF, PNG, JPEG, TIFF, ...: by content; empty if the engine fetched it.")
    bytes: int | None
    name: str | None = Field(
        default=None, exclude_if=_is_unset, description="Name of the image, such as the submitted file's name."
    )


class EngineInfo(_Value):
    name: str
    version: str
    model: str = Field(description="What the engine loaded, so that equal strings mean equal weights.")
    calibration: str | None = Field(
        default=None,
        exclude_if=_is_unset,
        description="What its words' confidences were calibrated by: equal strings mean equal curves. Null if they are "
        "the engine's own.",
    )
    device: str | None = Field(
        default=None, description="Device that it ran on: cpu, gpu:0 and its name; null if the engine has no choice."
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
    """What was wrong with a file that was read all the same, or with an output that is not there.

    docs/images.md and docs/formats.md list the codes.
    """

    code: str = Field(description="Stable, for programs: image.end_missing and others.")
    message: str
    page: int | None = Field(default=None, description="The page's number; null if the warning is about the file.")


class PageObject(_Value):
    """Where one page of a large Document is kept."""

    number: Annotated[int, Field(ge=1)]
    uri: str | None = Field(default=None, description="Of a Document of this page alone; null where there is none.")
    error: ErrorInfo | None = Field(
        default=None, exclude_if=_is_unset, description="Why the page could not be read, where it failed."
    )


class PagesSummary(_Value):
    """What a large Document says of all its pages, so that nobody has to read them for it."""

    words: int
    mean_confidence: Confidence | None = None
    mean_agreement: Share | None = None


class StoredPages(Sequence[Page]):
    """Pages that are read from storage when they are looked at: see ocrqueue.document.page_objects."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, ...]: ...

    @abstractmethod
    def with_number(self, number: int) -> Page | None: ...

    @abstractmethod
    def bind(self, storage: ObjectReader) -> None: ...


def _tuple_or_stored(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, StoredPages) else tuple(handler(value))


Pages = Annotated[
    Sequence[Page],
    WrapValidator(_tuple_or_stored),
    WrapSerializer(lambda pages, handler: handler(tuple(pages))),
]
"""A tuple; of a large Document a StoredPages."""


class Document(_Value, Writable):
    """The whole result, as stored in result.json. Of a large one pages are read as they are looked at, and not kept."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", title="ocrqueue document")

    schema_version: Literal[1] = 1
    job_id: str
    tag: str | None = None
    status: Literal["succeeded", "partial", "unknown"]
    input: InputInfo
    engine: EngineInfo = Field(description="The last one that had its turn; each page says which engine read it.")
    trail: tuple[Step, ...] = Field(
        default=(), description="The engines that had their turn, in order, if the job asked for several."
    )
    languages: tuple[str, ...]
    options: dict[str, JsonValue] = {}
    attempts: int = 1
    cached: bool = Field(
        default=False, description="The image was read by an earlier job; crops are copies of its own."
    )
    finished_at: datetime
    timings: Timings = Timings.model_construct()
    pages: Pages
    page_objects: tuple[PageObject, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="Of a large Document, in result.json in the place of its pages: where each is kept.",
    )
    summary: PagesSummary | None = Field(
        default=None, exclude_if=_is_unset, description="Of a large Document: what is told of its pages together."
    )
    errors: tuple[ErrorInfo, ...] = Field(
        default=(),
        description="Errors of the pages that failed, in order, and of pages of which only a part was there.",
    )
    warnings: tuple[DocumentWarning, ...] = Field(
        default=(), exclude_if=_is_empty, description="What was wrong with the file, though it was read."
    )
    outputs: tuple[Output, ...] = Field(
        default=(), exclude_if=_is_empty, description="The files that the job asked for with `outputs`."
    )

    _storage: ClassVar[ObjectReader | None] = None
    """The storage, if bound. It is not a field, and is not compared, deep-copied or pickled."""

    def source(self) -> bytes | None:
        """The file that was read, if it is in the storage that the Document is bound to and unchanged; else None."""
        try:
            data = self._storage.read_uri(self.input.uri) if self._storage is not None else None
        except OcrQueueError:
            return None
        return data if data is not None and hashlib.sha256(data).hexdigest() == self.input.sha256 else None

    def __getstate__(self) -> dict[Any, Any]:
        # storage has the settings, and these have passwords
        state = super().__getstate__()
        return {**state, "__dict__": {name: value for name, value in state["__dict__"].items() if name != "_storage"}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        unbound = self.model_copy()
        unbound.__dict__.pop("_storage", None)
        return BaseModel.__deepcopy__(unbound, memo)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "job_id", self.job_id
        yield "status", self.status
        yield "engine", self.engine.name
        yield "pages", len(self.pages)
        yield "words", self.word_count

    @model_validator(mode="after")
    def _pages_are_at_hand(self) -> Self:
        if self.page_objects and not self.pages:
            raise ValueError("its pages are objects of their own: get it from job.result()")
        return self

    def with_pages(self, pages: Sequence[Page]) -> Self:
        """The same of these pages, which are at hand."""
        return self.model_copy(update={"pages": tuple(pages), "page_objects": (), "summary": None})

    def page(self, number: int) -> Page:
        """The page of that number. Raises PageNotFound."""
        if isinstance(self.pages, StoredPages):
            page = self.pages.with_number(number)
        else:
            page = next((page for page in self.pages if page.number == number), None)
        if page is None:
            raise PageNotFound(f"The Document has no page {number}.")
        return page

    @property
    def page_numbers(self) -> tuple[int, ...]:
        """In order."""
        if isinstance(self.pages, StoredPages):
            return self.pages.numbers
        return tuple(page.number for page in self.pages)

    @property
    def failed_pages(self) -> dict[int, ErrorInfo]:
        """By number, the errors of the pages that could not be read."""
        known = self.page_objects if isinstance(self.pages, StoredPages) else self.pages
        return {page.number: page.error for page in known if page.error is not None}

    @property
    def word_count(self) -> int:
        return self.summary.words if self.summary is not None else sum(1 for _ in self.words())

    @property
    def text(self) -> str:
        """The text of all pages, separated by a newline and a form feed."""
        return "\n\f".join(page.text for page in self.pages)

    def words(self) -> Iterator[Word]:
        for page in self.pages:
            yield from page.words()

    @property
    def mean_confidence(self) -> float | None:
        """Mean over the words that have one, and those that no engine could read; null where there are none."""
        if self.summary is not None:
            return self.summary.mean_confidence
        known = [word.confidence for word in self.words() if word.confidence is not None]
        known += [confidence for page in self.pages for confidence in page.unread]
        return sum(known) / len(known) if known else None

    @property
    def mean_agreement(self) -> float | None:
        """With compare: mean over the words; null without."""
        if self.summary is not None:
            return self.summary.mean_agreement
        known = [word.agreement for word in self.words() if word.agreement is not None]
        return round(sum(known) / len(known), 4) if known else None

    def output(self, format_name: str, page: int | None = None) -> Output:
        """The stored file of that format; `page` where there is one for each. Raises OutputMissing."""
        for output in self.outputs:
            if output.format == format_name and page in (None, output.page):
                return output
        stored = ", ".join(dict.fromkeys(output.format for output in self.outputs)) or "none"
        raise OutputMissing(f"No file of the format {format_name[:40]!r} is stored; there are: {stored}.")

    def bind(self, storage: ObjectReader) -> Document:
        """Let `word.crop.open()`, `output.open()`, what a notebook shows, and the pages of a large Document be read
        from `storage`."""
        self.__dict__["_storage"] = storage
        for output in self.outputs:
            output.bind(storage)
        if isinstance(self.pages, StoredPages):
            self.pages.bind(storage)
            return self
        for word in self.words():
            if word.crop is not None:
                word.crop.bind(storage)
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
    # what is taken and never written
    secret = [name for name, field in model.model_fields.items() if field.exclude]
    if secret:
        taken = model.model_json_schema(mode="validation")["properties"]
        schema["properties"] |= {name: taken[name] for name in secret}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
