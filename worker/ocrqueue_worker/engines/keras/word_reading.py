"""Each of the detector's words by itself through the recogniser, as `keras_ocr.pipeline.Pipeline` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ocrqueue_worker.engines.keras.batching import character_probabilities
from ocrqueue_worker.engines.keras.ctc_decoding import decode
from ocrqueue_worker.engines.keras.manifest import RecognizerBuild
from ocrqueue_worker.engines.keras.networks import Networks
from ocrqueue_worker.engines.keras.page_words import FoundWords, ReadWord
from ocrqueue_worker.engines.keras.word_crops import crop_words, reading_order


def read_words(
    networks: Networks, build: RecognizerBuild, alphabet: str, pages: Sequence[FoundWords]
) -> list[list[ReadWord]]:
    """The words of each page; the crops of all go through the recogniser together. Raises EngineOutOfMemory."""
    crops = [crop_words(page.pixels, page.boxes.quads, build.height, build.width, build.color) for page in pages]
    together = np.concatenate(crops)
    texts = iter(decode(character_probabilities(networks, together), alphabet) if len(together) else [])
    return [
        [
            ReadWord(text, confidence, quad, float(score))
            for quad, score, (text, confidence) in zip(
                reading_order(page.boxes.quads), page.boxes.scores, [next(texts) for _ in crops_of_page], strict=True
            )
            if text
        ]
        for page, crops_of_page in zip(pages, crops, strict=True)
    ]
