"""Words that were read twice: noise of one engine, read again by another, becomes words that stand in other lines.

Tesseract makes a line of specks between two others; its box holds parts of both, and a second engine reads them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ocrqueue.document import Line, mean_confidence
from ocrqueue_worker.routes.assessment import mean_of
from ocrqueue_worker.routes.places import is_covered


def without_doubles(lines: Sequence[Line], read_again: Mapping[int, Line | None]) -> dict[int, Line | None]:
    """The lines that were read again, by place, without words that stand in another line.

    What was not read again stands as it is; of the rest the surest first.
    """
    own = {id(word) for line in lines for word in line.words}
    now = [read_again.get(place) or line for place, line in enumerate(lines)]
    standing = [word for line in now for word in line.words if id(word) in own]
    kept: dict[int, Line | None] = dict(read_again)
    read = [(place, line) for place, line in read_again.items() if line is not None and line.words]
    for place, line in sorted(read, key=lambda item: -(mean_of(item[1].words) or 0.0)):
        mine = set(map(id, line.words))
        others = [word for word in standing if id(word) not in mine]
        words = tuple(word for word in line.words if id(word) in own or not is_covered(word, others))
        if len(words) < len(line.words):
            kept[place] = line.model_copy(update={"words": words, "confidence": mean_confidence(words)})
        standing += [word for word in words if id(word) not in own]
    return kept
