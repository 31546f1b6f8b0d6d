"""RapidOCR's decoding of the recogniser's output, with how near it was to a space between two letters."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Decoding:
    """In place of `CTCLabelDecode`, which it calls: each WordInfo has `spaces` too, see LineText."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._space = inner.dict[" "]

    def __call__(self, preds: NDArray[np.float32], return_word_box: bool = False, **others: Any) -> Any:
        lines, infos = self._inner(preds, return_word_box, **others)
        for info, chances in zip(infos, preds[:, :, self._space], strict=False):
            columns = [column for group in info.word_cols for column in group]
            info.spaces = tuple(float(chances[one + 1 : other].max(initial=0.0)) for one, other in pairwise(columns))
        return lines, infos

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
