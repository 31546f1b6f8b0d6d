"""The Tesseract engine: orientation first if asked for, then the page, then its words again if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import Final, Literal, cast

from PIL.Image import Image

from ocrqueue.document import Block, EngineInfo, Page, Polygon, Word
from ocrqueue.errors import EngineTimeout, EngineUnavailable, OcrQueueError
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.tesseract.backend import Backend, Call, Orientation, Output
from ocrqueue_worker.engines.tesseract.options import TesseractOptions
from ocrqueue_worker.engines.tesseract.scripts import reread_by_language
from ocrqueue_worker.engines.tesseract.second_pass import reread_words
from ocrqueue_worker.engines.tesseract.tessdata import (
    installed_languages,
    pack_hash,
    require_any_pack,
    require_pack,
    tessdata_dir,
)
from ocrqueue_worker.engines.tesseract.tsv import parse_output
from ocrqueue_worker.geometry import to_original, upright
from ocrqueue_worker.images.page import PageImage

_SURE: Final = 5.0
"""Orientation confidence from which Tesseract's word is taken; below, both ways are read and compared."""
_LONGEST_PX: Final = 20_000
"""Tesseract itself reads nothing of a page whose side is beyond 32,767 pixels."""
_AUTOMATIC: Final = 3
_ONE_BLOCK: Final = 6
_ONE_LINE: Final = 7
_SNIPPET_PX: Final = 150
"""A page that is no larger may hold a single letter."""
_USUAL_DPI: Final = (150, 300)

Rotation = Literal[0, 90, 180, 270]


class TesseractEngine(Engine[TesseractOptions]):
    """One thread at a time; Tesseract itself is held to one thread by OMP_THREAD_LIMIT."""

    name = "tesseract"
    options_model = TesseractOptions
    reads_in_black_and_white = True

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__(settings)
        self._tessdata = tessdata_dir(settings)

    @cached_property
    def _backend(self) -> Backend:
        return make_backend(self.settings)

    def check(self) -> None:
        """Raises EngineUnavailable where no backend is installed; imports none before the fork."""
        named = self.settings.tesseract_backend
        if not any(find_spec(backend) for backend in (("tesserocr", "pytesseract") if named == "auto" else (named,))):
            raise EngineUnavailable(
                f"{'Neither tesserocr nor pytesseract' if named == 'auto' else f'No {named}'} is installed.",
                remedy="pip install 'ocrqueue-worker[tesseract]'.",
            )

    def load(self) -> None:
        """Read a blank page in the default languages, so that the first job meets a warm Tesseract."""
        from PIL import Image as PillowImage

        languages = tuple(name for name in self.settings.default_languages if name in self.languages())
        if languages:
            self._backend.read(PillowImage.new("L", (64, 64), 255), _call(languages, TesseractOptions(), 60.0))

    def info(self, languages: Sequence[str]) -> EngineInfo:
        model = "+".join(f"{language}:{pack_hash(self._tessdata, language)}" for language in languages)
        return EngineInfo(name=self.name, version=self._backend.version(), model=model)

    def languages(self) -> tuple[str, ...]:
        return installed_languages(self._tessdata)

    def check_languages(self, languages: Sequence[str]) -> None:
        for language in languages:
            require_pack(self._tessdata, language)

    def check_any_language(self) -> None:
        """Raises LanguageMissing where no pack is installed any more, or none yet."""
        require_any_pack(self._tessdata)

    def longest_side(self, options: TesseractOptions) -> int:
        return _LONGEST_PX

    def may_prepare(self, options: TesseractOptions) -> bool:
        return options.rotate == "off" and options.psm > 1

    def recognize(self, pages: Sequence[PageImage], reading: Reading[TesseractOptions]) -> list[Page | OcrQueueError]:
        results: list[Page | OcrQueueError] = []
        for page in pages:
            try:
                results.append(self._read(page, reading))
            except OcrQueueError as error:
                results.append(error)
        return results

    def _read(self, page: PageImage, reading: Reading[TesseractOptions]) -> Page:
        options = reading.options
        candidates: list[Rotation] = [options.rotate] if isinstance(options.rotate, int) else [0]
        found: Orientation | None = None
        if options.detects_orientation:
            require_pack(self._tessdata, "osd")
            found = self._backend.orientation(page.image, _call(("osd",), options, _time_left(reading)))
            candidates = _candidates(found)
        if options.psm == 0:
            rotation, blocks = candidates[-1], cast("tuple[Block, ...]", ())
        else:
            readings = [(rotation, self._blocks(page, rotation, reading)) for rotation in candidates]
            rotation, blocks = max(readings, key=lambda each: _legibility(each[1]))
        return Page(
            number=page.number,
            width=page.image.width,
            height=page.image.height,
            dpi=page.dpi,
            rotation=rotation,
            rotation_confidence=round(found.confidence, 4) if found else None,
            languages=reading.languages,
            blocks=blocks,
        )

    def _blocks(self, page: PageImage, rotation: Rotation, reading: Reading[TesseractOptions]) -> tuple[Block, ...]:
        image = upright(page.image, rotation)
        options = reading.options
        call = _call(reading.languages, options, _time_left(reading))
        call = replace(call, dpi=call.dpi or _certain_dpi(page))

        def place(polygon: Polygon) -> Polygon:
            return to_original(polygon, rotation, page.image.width, page.image.height)

        blocks = parse_output(self._backend.read(image, call), page.number, place)
        if not blocks and call.psm == _AUTOMATIC and max(image.size) <= _SNIPPET_PX:
            # automatic segmentation takes single letters for noise
            blocks = parse_output(self._backend.read(image, replace(call, psm=_ONE_BLOCK)), page.number, place)

        def read_crop(crop: Image) -> Output:
            return self._backend.read(crop, _call(reading.languages, options, _time_left(reading), options.reread_psm))

        def read_in(language: str, crop: Image) -> Output:
            return self._backend.read(crop, _call((language,), options, _time_left(reading), _ONE_LINE))

        if options.reread_words:
            blocks = reread_words(blocks, page.image, rotation, read_crop)
        return reread_by_language(blocks, page.image, rotation, reading.languages, read_in)

    def close(self) -> None:
        self._backend.close()


def make_backend(settings: WorkerSettings) -> Backend:
    """The backend that the settings name; auto: tesserocr if it is installed. Raises EngineUnavailable."""
    if settings.tesseract_backend in ("auto", "tesserocr"):
        try:
            from ocrqueue_worker.engines.tesseract.tesserocr_backend import InProcessTesseract
        except ImportError as error:
            if settings.tesseract_backend == "tesserocr":
                raise EngineUnavailable(
                    f"tesserocr cannot be imported: {error}.", remedy="pip install 'ocrqueue-worker[tesseract]'."
                ) from error
        else:
            return InProcessTesseract(tessdata_dir(settings), settings.tesseract_warm_apis)
    try:
        from ocrqueue_worker.engines.tesseract.pytesseract_backend import SubprocessTesseract
    except ImportError as error:
        raise EngineUnavailable(
            f"Neither tesserocr nor pytesseract can be imported: {error}.",
            remedy="pip install 'ocrqueue-worker[tesseract]'.",
        ) from error
    return SubprocessTesseract(tessdata_dir(settings))


def _certain_dpi(page: PageImage) -> int | None:
    """Of a page of a PDF, which was drawn at this resolution, or is a scan of a usual one.

    What files state is often wrong, and a wrong one costs many words: without it Tesseract goes by the size of letters.
    """
    if page.size_pt is None or page.dpi is None or not _USUAL_DPI[0] <= page.dpi <= _USUAL_DPI[1]:
        return None
    return round(page.dpi)


def _call(
    languages: tuple[str, ...],
    options: TesseractOptions,
    timeout_s: float,
    psm: int | None = None,
) -> Call:
    # with the orientation known, automatic segmentation need not look for it again
    mode = psm or (3 if options.psm <= 1 else options.psm)
    return Call(
        languages=languages,
        oem=options.oem,
        psm=mode,
        dpi=options.dpi,
        whitelist=options.whitelist,
        blacklist=options.blacklist,
        timeout_s=timeout_s,
    )


def _time_left(reading: Reading[TesseractOptions]) -> float:
    left = reading.seconds_left()
    if left <= 0:
        raise EngineTimeout
    return min(left, 86_400.0)


def _candidates(found: Orientation | None) -> list[Rotation]:
    """The rotations to read: the one found; where Tesseract is not sure, upright and upside down to it beside it."""
    if found is None:
        return [0]
    rotations = [found.rotation] if found.confidence >= _SURE else [0, (found.rotation + 180) % 360, found.rotation]
    return [cast("Rotation", rotation) for rotation in dict.fromkeys(rotations)]


def _legibility(blocks: tuple[Block, ...]) -> float:
    """Characters read, weighted by confidence: upside down, text reads as few and doubtful ones."""
    words: list[Word] = [
        word for block in blocks for paragraph in block.paragraphs for line in paragraph.lines for word in line.words
    ]
    return sum(len(word.text) * (word.confidence or 0.0) ** 2 for word in words)
