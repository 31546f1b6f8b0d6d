"""The detector's words joined into pieces of lines, which are read as wholes and parted into words where spaces are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ocrqueue_worker.engines.keras.batching import character_probabilities
from ocrqueue_worker.engines.keras.line_crops import Piece, batched, crop_piece, find_pieces, padded, stretched
from ocrqueue_worker.engines.keras.line_words import LineWord, line_words
from ocrqueue_worker.engines.keras.manifest import LineRecognizerBuild
from ocrqueue_worker.engines.keras.networks import Networks, Pictures
from ocrqueue_worker.engines.keras.page_words import FoundWords, ReadWord
from ocrqueue_worker.engines.keras.text_boxes import TextBoxes


def read_lines(
    networks: Networks, build: LineRecognizerBuild, alphabet: str, pages: Sequence[FoundWords]
) -> list[list[ReadWord]]:
    """The words of each page; pieces of like width go through the recogniser together. Raises EngineOutOfMemory."""
    pieces: list[tuple[int, Piece]] = []
    crops: list[Pictures] = []
    for number, page in enumerate(pages):
        grey = np.asarray(cv2.cvtColor(page.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        for piece in find_pieces(page.boxes.quads):
            pieces.append((number, piece))
            crops.append(stretched(crop_piece(grey, piece, build.height)))
    read: dict[int, list[LineWord]] = {}
    for width, members in batched(crops).items():
        computed = character_probabilities(networks, padded([crops[member] for member in members], width))
        for member, probabilities in zip(members, computed, strict=True):
            read[member] = line_words(probabilities, crops[member], alphabet)
    found: list[list[ReadWord]] = [[] for _ in pages]
    for member, (number, piece) in enumerate(pieces):
        boxes = pages[number].boxes
        found[number] += [_on_page(word, piece, crops[member].shape[1], boxes) for word in read[member]]
    return found


def _on_page(word: LineWord, piece: Piece, width: int, boxes: TextBoxes) -> ReadWord:
    """`width`: of the piece's crop."""
    first, second, third, fourth = piece.without_margin
    start, end = word.left / width, word.right / width
    top, bottom = second - first, third - fourth
    quad = np.array(
        [first + start * top, first + end * top, fourth + end * bottom, fourth + start * bottom], np.float32
    )
    middle = quad.mean(axis=0)
    quads = boxes.quads[list(piece.members)]
    nearest = np.linalg.norm(quads.mean(axis=1) - middle, axis=1).argmin()
    return ReadWord(word.text, word.confidence, quad, float(boxes.scores[piece.members[int(nearest)]]))
