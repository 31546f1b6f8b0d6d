"""RapidOCR's three steps: its detector, classifier and recogniser, on sessions of our own. In worker children only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue.errors import EngineModelInvalid, EngineUnavailable
from ocrqueue_worker.engines.onnx_runtime import memory_errors
from ocrqueue_worker.engines.rapid.decoding import Decoding
from ocrqueue_worker.engines.rapid.models import Models
from ocrqueue_worker.engines.rapid.options import RapidOptions
from ocrqueue_worker.engines.rapid.runtimes import Runtime, network_of, onnx_session, openvino_network
from ocrqueue_worker.engines.rapid.scaling import Pixels

Quads = NDArray[np.float32]

_LEAST_WIDTH_PX: Final = 96
"""Of a line's picture, which is 48 pixels high."""
_DOUBTED: Final = 0.95
"""Lines that a recogniser reads with a lower score are read by the next, if there is one."""


@dataclass(frozen=True)
class LineText:
    """What the recogniser made of one picture of a line."""

    text: str
    score: float
    """The mean of `confidences`; 0 without text."""
    places: tuple[float, ...]
    """For each character of the text except white space: its middle, from 0 to 1 along the picture."""
    confidences: tuple[float, ...]
    """For each character of the text, white space included."""
    spaces: tuple[float, ...] = ()
    """Between each character but white space and the next: the highest probability of a space there."""

    def with_text(self, text: str, confidences: tuple[float, ...]) -> LineText:
        """The same with other white space or other forms of its characters."""
        return replace(self, text=text, confidences=confidences)


class RapidNetworks:
    """The networks, loaded and warm."""

    def __init__(self, models: Models, threads: int, runtime: Runtime = "onnxruntime") -> None:
        """Raises EngineUnavailable, EngineModelInvalid."""
        try:
            from omegaconf import OmegaConf
            from rapidocr.utils.log import logger

            # its own handler writes colours to standard error, at INFO where the models are
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.WARNING)

            from rapidocr.ch_ppocr_cls import TextClassifier
            from rapidocr.ch_ppocr_det import TextDetector
            from rapidocr.ch_ppocr_rec import TextRecognizer
            from rapidocr.main import DEFAULT_CFG_PATH
            from rapidocr.utils.parse_parameters import ParseParams
        except ImportError as error:
            raise EngineUnavailable(
                f"RapidOCR cannot be imported: {error}.", remedy="On the worker: pip install 'ocrqueue-worker[rapid]'."
            ) from error
        cv2.setNumThreads(threads)
        config = ParseParams.load(DEFAULT_CFG_PATH)

        def part(name: str, session: Any, **others: Any) -> Any:
            # a session that is given is used as it is: no model is looked for, here or on the network
            settings = {**config[name], "font_path": None, "session": session, **others}
            return OmegaConf.create(settings, flags={"allow_objects": True})

        self._detector = TextDetector(part("Det", onnx_session(models.detector, threads)))
        self._classifier = TextClassifier(part("Cls", onnx_session(models.classifier, threads)))
        self._recognizers = []
        for model in models.recognizers:
            session = onnx_session(model.network, threads)
            if model.characters is None and "character" not in session.get_modelmeta().custom_metadata_map:
                raise EngineModelInvalid(f"{model.network} does not say which characters it reads.")
            recognizer = TextRecognizer(part("Rec", session, rec_keys_path=model.characters and str(model.characters)))
            recognizer.postprocess_op = Decoding(recognizer.postprocess_op)  # type: ignore[assignment]  # called alike
            self._recognizers.append(recognizer)
        self._padded_shape = tuple(self._recognizers[0].rec_image_shape)
        steps: list[Any] = [self._detector, self._classifier, *self._recognizers]
        files = (models.detector, models.classifier, *(model.network for model in models.recognizers))
        for step, file in zip(steps, files, strict=True):
            # theirs makes one kind of all errors, of a time limit's as well
            step.session = (
                network_of(step.session.session) if runtime == "onnxruntime" else openvino_network(file, threads)
            )
        self._warm_up()

    @property
    def batch_size(self) -> int:
        """Lines that the recogniser takes together."""
        return int(self._recognizers[0].rec_batch_num)

    def find_lines(self, pixels: Pixels, options: RapidOptions) -> tuple[Quads, list[float]]:
        """n x 4 x 2 corners (x, y), clockwise from the upper left, and the detector's score of each, in no order.

        `TextDetector.__call__` does the same, but puts the lines in order without their scores.
        """
        detector = self._detector
        detector.postprocess_op.box_thresh = options.box_thresh
        detector.postprocess_op.unclip_ratio = options.unclip_ratio
        with memory_errors():
            prepared = detector.get_preprocess()(pixels)
            maps = detector.session(prepared)
            quads, scores = detector.postprocess_op(maps, (pixels.shape[0], pixels.shape[1]))
        return np.asarray(quads, np.float32).reshape(-1, 4, 2), [float(score) for score in scores]

    def are_upside_down(self, lines: Sequence[Pixels]) -> list[bool]:
        with memory_errors():
            found = self._classifier(list(lines)).cls_res or []
        return ["180" in label and score > self._classifier.cls_thresh for label, score in found]

    def read_lines(self, lines: Sequence[Pixels], *, padded: bool = True) -> list[LineText]:
        """`lines` are h x w x 3 pictures of one line each, of like proportions.

        `padded`: to a width of 320 pixels at least, as RapidOCR has it, which makes short ones take as long as such.
        """
        first, *others = self._recognizers
        read = self._read(first, lines, padded)
        for other in others:
            doubted = [place for place, text in enumerate(read) if text.score < _DOUBTED]
            if doubted:
                again = self._read(other, [lines[place] for place in doubted], padded)
                for place, text in zip(doubted, again, strict=True):
                    read[place] = text
        return read

    def _read(self, recognizer: Any, lines: Sequence[Pixels], padded: bool) -> list[LineText]:
        from rapidocr.ch_ppocr_rec import TextRecInput

        channels, height, width = self._padded_shape
        recognizer.rec_image_shape = [channels, height, width if padded else _LEAST_WIDTH_PX]
        with memory_errors():
            read = recognizer(TextRecInput(img=list(lines), return_word_box=True))
        return [_line_text(text, info) for text, info in zip(read.txts or (), read.word_results, strict=True)]

    def _warm_up(self) -> None:
        self._detector.session(np.zeros((1, 3, 64, 64), np.float32))
        line = np.full((48, 320, 3), 255, np.uint8)
        self.are_upside_down([line])
        for recognizer in self._recognizers:
            self._read(recognizer, [line], padded=True)


def _line_text(text: str, info: Any) -> LineText:
    """`info` is rapidocr's WordInfo: columns of the network's output, `line_txt_len` of which the picture has."""
    if not text:
        return LineText("", 0.0, (), ())
    places = tuple((column + 0.5) / info.line_txt_len for columns in info.word_cols for column in columns)
    confidences = tuple(min(1.0, float(confidence)) for confidence in info.confs)
    return LineText(text, sum(confidences) / len(confidences), places, confidences, info.spaces)
