"""Lines, paragraphs, blocks and reading order from where words lie, for engines that give words only.

Text is taken to be read from left to right and lines from top to bottom, in the direction that the words' polygons
tell; a page may hold several directions. Every distance is measured in heights of the words concerned, so that neither
the scale nor the rotation of a page matters.

directions.py    which words are read the same way; each group is laid out in a frame of its own
rows.py          words that follow each other, across gaps of any width: the row of a table, or lines of two columns
columns.py       which of these gaps part columns, and so lines
blocks.py        lines that stand below each other, and in which order blocks are read
inference.py     the Document's parts of these
"""

from __future__ import annotations

from collections.abc import Sequence

from ocrqueue.document import Block, Word


def inferred_blocks(
    words: Sequence[Word], *, page: int | None = None, size: tuple[float, float] | None = None
) -> tuple[Block, ...]:
    """`words` as blocks, paragraphs and lines in reading order, by their polygons alone.

    With `page`, its number, words get new ids in reading order. Polygons of lines and more are the rectangles around
    their words, turned as these are read; with `size`, the page's width and height in pixels, they end at its edge.
    3,000 words take about 0.2 s.
    """
    # NumPy comes with the engines that use this; others and the command line do without
    from ocrqueue_worker.layout.inference import build_blocks

    return build_blocks(words, page, size) if words else ()
