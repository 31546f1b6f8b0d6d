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

from ocrqueue_worker.layout.inference import inferred_blocks

__all__ = ["inferred_blocks"]
