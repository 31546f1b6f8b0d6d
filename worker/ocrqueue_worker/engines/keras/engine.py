"""The keras engine: from pages to words through both networks, the pages and all words of a call in batches."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from ocrqueue.document import EngineInfo, Page, Polygon, Word, box_of
from ocrqueue.errors import EngineTimeout, EngineUnavailable, LanguageUnsupported, OcrQueueError
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.engine import Engine, Reading
from ocrqueue_worker.engines.keras.devices import device_of_child, resolve_devices
from ocrqueue_worker.engines.keras.manifest import LineRecognizerBuild
from ocrqueue_worker.engines.keras.models import find_model, verify
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.engines.keras.runtimes import Runtime
from ocrqueue_worker.images.page import PageImage
from ocrqueue_worker.layout import inferred_blocks
from ocrqueue_worker.layout.word_ids import word_id

if TYPE_CHECKING:
    from ocrqueue_worker.engines.keras.networks import Networks
    from ocrqueue_worker.engines.keras.page_sizes import EnlargedPage
    from ocrqueue_worker.engines.keras.page_words import FoundWords, ReadWord


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

    def __init__(self, settings: WorkerSettings) -> None:
        """Raises EngineModelInvalid, EngineWeightsMissing, EngineDeviceMissing."""
        super().__init__(settings)
        self.model = find_model(settings)
        self._devices = resolve_devices(settings.keras_device)
        self._networks: Networks | None = None

    def check(self) -> None:
        """Raises EngineUnavailable where the runtime is not installed, EngineWeightsCorrupt; imports none of it."""
        onnx = self.model.runtime == "onnx"
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
        runtime = _runtime(self.model.runtime)
        # all are GPUs, or none is
        if self.model.detects_in_bfloat16(self._devices[0]):
            runtime += ", the detector in bfloat16"
        return EngineInfo(
            name=self.name,
            version=f"{_version('keras-ocr')} ({runtime})",
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
        """Pages go through the detector in batches of equal shape, then what was found on all through the recogniser.

        A region in which nothing is read is no word.
        """
        import numpy as np

        from ocrqueue_worker.engines.keras.page_sizes import enlarge

        options = reading.options
        enlarged = [enlarge(np.asarray(page.image.convert("RGB")), options.scale, options.max_size) for page in pages]
        found = self._find(enlarged, options)
        if reading.seconds_left() <= 0:
            return [EngineTimeout()] * len(pages)
        words = self._read(found)
        return [
            self._page(page, of_page, larger.scale)
            for page, of_page, larger in zip(pages, words, enlarged, strict=True)
        ]

    def _find(self, enlarged: list[EnlargedPage], options: KerasOptions) -> list[FoundWords]:
        from ocrqueue_worker.engines.keras.batching import text_maps
        from ocrqueue_worker.engines.keras.page_words import FoundWords
        from ocrqueue_worker.engines.keras.text_boxes import find_boxes

        found = []
        for larger, maps in zip(enlarged, text_maps(self._loaded, enlarged), strict=True):
            boxes = find_boxes(
                maps,
                detection_threshold=options.detection_threshold,
                text_threshold=options.text_threshold,
                link_threshold=options.link_threshold,
                size_threshold=options.size_threshold,
            )
            found.append(FoundWords(larger.pixels, boxes))
        return found

    def _read(self, found: list[FoundWords]) -> list[list[ReadWord]]:
        recognizer = self.model.manifest.recognizer
        if isinstance(recognizer.build, LineRecognizerBuild):
            from ocrqueue_worker.engines.keras.line_reading import read_lines

            return read_lines(self._loaded, recognizer.build, recognizer.alphabet, found)
        from ocrqueue_worker.engines.keras.word_reading import read_words

        return read_words(self._loaded, recognizer.build, recognizer.alphabet, found)

    def _page(self, page: PageImage, read: list[ReadWord], scale: float) -> Page:
        """`scale`: by how much the page was enlarged."""
        width, height = page.image.size
        words = [_word(page.number, number, word, scale) for number, word in enumerate(read, 1)]
        return Page(
            number=page.number,
            width=width,
            height=height,
            dpi=page.dpi,
            languages=self.languages(),
            text_case=self.model.manifest.text_case,
            layout="inferred",
            blocks=inferred_blocks(words, page=page.number, size=(width, height)),
        )

    def close(self) -> None:
        if self._networks is not None:
            self._networks.close()
            self._networks = None


def _word(page: int, number: int, word: ReadWord, scale: float) -> Word:
    corners = word.quad / scale
    first, second, third, fourth = ((round(float(x), 2), round(float(y), 2)) for x, y in corners)
    polygon: Polygon = (first, second, third, fourth)
    return Word(
        id=word_id(page, number),
        text=word.text,
        polygon=polygon,
        bbox=box_of([polygon]),
        confidence=word.confidence,
        detection_confidence=round(word.detection_score, 4),
    )


def _runtime(runtime: Runtime) -> str:
    """Name and version of the library."""
    if runtime == "onnx":
        return f"onnxruntime {_version('onnxruntime', 'onnxruntime-gpu')}"
    return f"tensorflow {_version('tensorflow-cpu', 'tensorflow')}"


def _version(*distributions: str) -> str:
    """Of the first that is installed."""
    for distribution in distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "?"
