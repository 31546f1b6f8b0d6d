"""RapidOCR's three steps: its detector, classifier and recogniser, on sessions of our own. In worker children only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ocrqueue.errors import EngineModelInvalid, EngineUnavailable
from ocrqueue_worker.engines.onnx_runtime import memory_errors, session_options
from ocrqueue_worker.engines.rapid.decoding import Decoding
from ocrqueue_worker.engines.rapid.models import Models
from ocrqueue_worker.engines.rapid.options import RapidOptions
from ocrqueue_worker.engines.rapid.scaling import Pixels

Quads = NDArray[np.float32]

_LEAST_WIDTH_PX: Final = 96
"""Of a line's picture, which is 48 pixels high."""


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

    def __init__(self, models: Models, threads: int) -> None:
        """Raises EngineUnavailable, EngineModelInvalid."""
        try:
            import onnxruntime
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

        def part(name: str, session: Any) -> Any:
            # a session that is given is used as it is: no model is looked for, here or on the network
            settings = {**config[name], "font_path": None, "session": session}
            return OmegaConf.create(settings, flags={"allow_objects": True})

        recognizer = _session(onnxruntime, models.recognizer, threads)
        if "character" not in recognizer.get_modelmeta().custom_metadata_map:
            raise EngineModelInvalid(f"{models.recognizer} does not say which characters it reads.")
        self._detector = TextDetector(part("Det", _session(onnxruntime, models.detector, threads)))
        self._classifier = TextClassifier(part("Cls", _session(onnxruntime, models.classifier, threads)))
        self._recognizer = TextRecognizer(part("Rec", recognizer))
        self._recognizer.postprocess_op = Decoding(self._recognizer.postprocess_op)  # type: ignore[assignment]  # called alike
        self._padded_shape = tuple(self._recognizer.rec_image_shape)
        for network in (self._detector, self._classifier, self._recognizer):
            # theirs makes one kind of all errors, of a time limit's as well
            network.session = partial(_run, network.session.session)
        self._warm_up()

    @property
    def batch_size(self) -> int:
        """Lines that the recogniser takes together."""
        return int(self._recognizer.rec_batch_num)

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
        from rapidocr.ch_ppocr_rec import TextRecInput

        channels, height, width = self._padded_shape
        self._recognizer.rec_image_shape = [channels, height, width if padded else _LEAST_WIDTH_PX]
        with memory_errors():
            read = self._recognizer(TextRecInput(img=list(lines), return_word_box=True))
        return [_line_text(text, info) for text, info in zip(read.txts or (), read.word_results, strict=True)]

    def _warm_up(self) -> None:
        self._detector.session(np.zeros((1, 3, 64, 64), np.float32))
        line = np.full((48, 320, 3), 255, np.uint8)
        self.are_upside_down([line])
        self.read_lines([line])


def _line_text(text: str, info: Any) -> LineText:
    """`info` is rapidocr's WordInfo: columns of the network's output, `line_txt_len` of which the picture has."""
    if not text:
        return LineText("", 0.0, (), ())
    places = tuple((column + 0.5) / info.line_txt_len for columns in info.word_cols for column in columns)
    confidences = tuple(min(1.0, float(confidence)) for confidence in info.confs)
    return LineText(text, sum(confidences) / len(confidences), places, confidences, info.spaces)


def _run(session: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[0], np.float32)


def _session(onnxruntime: Any, path: Path, threads: int) -> Any:
    options = session_options(onnxruntime, threads)
    # an arena keeps the largest page's memory forever
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's own have no common class but this
        raise EngineModelInvalid(
            f"{path} is not a model for ONNX Runtime: {' '.join(str(error).split())[:300]}"
        ) from error
