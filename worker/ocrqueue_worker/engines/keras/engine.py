"""The keras engine: from pages to words through both networks, the pages and all words of a call in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from ocrqueue.document import EngineInfo, Page, Polygon, Word, box_of
from ocrqueue.errors import EngineTimeout, EngineUnavailable, LanguageUnsupported, OcrQueueError
from ocrqueue.settings import Settings
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.keras.devices import device_of_child, resolve_devices
from ocrqueue_worker.engines.keras.models import find_model, verify
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.layout.word_ids import word_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ocrqueue_worker.engines.keras.networks import Networks, Pictures
    from ocrqueue_worker.engines.keras.page_sizes import EnlargedPage
    from ocrqueue_worker.engines.keras.text_boxes import TextBoxes


@dataclass(frozen=True)
class _Found:
    """A page on its way: its words' quadrilaterals on the enlarged page, and their pictures."""

    page: PageImage
    enlarged: EnlargedPage
    boxes: TextBoxes
    crops: Pictures


class KerasEngine(Engine[KerasOptions]):
    """One child a device. On the CPU that is one child with all its cores, which it uses better than two would."""

    name = "keras"
    options_model = KerasOptions
    pages_per_call = 8
    fixed_languages = True
    # TensorFlow's threads end the process where they get no memory
    job_memory_limit_mib = 0
    # CRAFT takes 4 GiB for a page of 2048 x 2048 pixels, and the peak is what Celery goes by
    child_memory_mib = 8192

    def __init__(self, settings: Settings) -> None:
        """Raises EngineModelInvalid, EngineWeightsMissing, EngineDeviceMissing."""
        super().__init__(settings)
        self.model = find_model(settings)
        self._devices = resolve_devices(settings.keras_device)
        self._networks: Networks | None = None

    def check(self) -> None:
        """Raises EngineUnavailable where the runtime is not installed, EngineWeightsCorrupt; imports none of it."""
        onnx = self.settings.keras_runtime == "onnx"
        for package in ("onnxruntime", "cv2") if onnx else ("tensorflow", "tf_keras", "keras_ocr", "cv2"):
            if find_spec(package) is None:
                raise EngineUnavailable(
                    f"The package {package} is not installed.",
                    remedy=f"pip install 'ocrqueue-worker[{'keras-onnx' if onnx else 'keras'}]'; see docs/engines.md.",
                )
        verify(self.model)

    def load(self) -> None:
        """Raises EngineWeightsCorrupt, EngineModelInvalid, EngineUnavailable, EngineDeviceMissing."""
        verify(self.model)
        from ocrqueue_worker.engines.keras.loading import make_networks

        device = device_of_child(self._devices)
        self._networks = make_networks(self.model, self.settings, device, len(self._devices))

    @property
    def _loaded(self) -> Networks:
        if self._networks is None:
            self.load()
        return cast("Networks", self._networks)

    def concurrency(self) -> int:
        return len(self._devices)

    def info(self, languages: Sequence[str]) -> EngineInfo:
        device = self._networks.device if self._networks else ", ".join(str(device) for device in self._devices)
        return EngineInfo(
            name=self.name,
            version=f"{_version('keras-ocr')} ({_runtime(self.settings)})",
            model=self.model.identity,
            device=device,
        )

    def languages(self) -> tuple[str, ...]:
        return self.model.manifest.languages

    def check_languages(self, languages: Sequence[str]) -> None:
        known = self.languages()
        for language in languages:
            if language not in known:
                reads = f"{self.model.manifest.name} reads {', '.join(known)}"
                raise LanguageUnsupported(f"The model {reads}, and not {language[:40]!r}.")

    def recognize(self, pages: Sequence[PageImage], reading: Reading[KerasOptions]) -> list[Page | OcrQueueError]:
        """Pages go through the detector in batches of equal shape, then the words of all through the recogniser.

        A region in which nothing is read is no word.
        """
        found = self._find(pages, reading)
        if reading.seconds_left() <= 0:
            return [EngineTimeout()] * len(pages)
        return list(self._read(found))

    def _find(self, pages: Sequence[PageImage], reading: Reading[KerasOptions]) -> list[_Found]:
        import numpy as np

        from ocrqueue_worker.engines.keras.batching import text_maps
        from ocrqueue_worker.engines.keras.page_sizes import enlarge
        from ocrqueue_worker.engines.keras.text_boxes import find_boxes
        from ocrqueue_worker.engines.keras.word_crops import crop_words

        options, build = reading.options, self.model.manifest.recognizer.build
        enlarged = [enlarge(np.asarray(page.image.convert("RGB")), options.scale, options.max_size) for page in pages]
        found = []
        for page, larger, maps in zip(pages, enlarged, text_maps(self._loaded, enlarged), strict=True):
            boxes = find_boxes(
                maps,
                detection_threshold=options.detection_threshold,
                text_threshold=options.text_threshold,
                link_threshold=options.link_threshold,
                size_threshold=options.size_threshold,
            )
            crops = crop_words(larger.pixels, boxes.quads, build.height, build.width, build.color)
            found.append(_Found(page, larger, boxes, crops))
        return found

    def _read(self, found: list[_Found]) -> list[Page]:
        import numpy as np

        from ocrqueue_worker.engines.keras.batching import character_probabilities
        from ocrqueue_worker.engines.keras.ctc_decoding import decode

        crops = np.concatenate([part.crops for part in found])
        alphabet = self.model.manifest.recognizer.alphabet
        texts = decode(character_probabilities(self._loaded, crops), alphabet) if len(crops) else []
        pages, start = [], 0
        for part in found:
            pages.append(self._page(part, texts[start : start + len(part.crops)]))
            start += len(part.crops)
        return pages

    def _page(self, found: _Found, texts: list[tuple[str, float | None]]) -> Page:
        from ocrqueue_worker.engines.keras.word_crops import reading_order

        width, height = found.page.image.size
        words = [
            _word(found.page.number, number, text, quad / found.enlarged.scale, float(score))
            for number, (text, quad, score) in enumerate(
                zip(texts, reading_order(found.boxes.quads), found.boxes.scores, strict=True), 1
            )
            if text[0]
        ]
        return Page(
            number=found.page.number,
            width=width,
            height=height,
            dpi=found.page.dpi,
            languages=self.languages(),
            text_case=self.model.manifest.text_case,
            layout="inferred",
            blocks=inferred_blocks(words, page=found.page.number, size=(width, height)),
        )

    def close(self) -> None:
        if self._networks is not None:
            self._networks.close()
            self._networks = None


def _word(page: int, number: int, text: tuple[str, float | None], quad: NDArray[np.float32], detection: float) -> Word:
    first, second, third, fourth = ((round(float(x), 2), round(float(y), 2)) for x, y in quad)
    polygon: Polygon = (first, second, third, fourth)
    return Word(
        id=word_id(page, number),
        text=text[0],
        polygon=polygon,
        bbox=box_of([polygon]),
        confidence=text[1],
        detection_confidence=round(detection, 4),
    )


def _runtime(settings: Settings) -> str:
    if settings.keras_runtime == "onnx":
        return f"onnxruntime {_version('onnxruntime')}"
    return f"tensorflow {_version('tensorflow-cpu', 'tensorflow')}"


def _version(*distributions: str) -> str:
    """Of the first that is installed."""
    for distribution in distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "?"
