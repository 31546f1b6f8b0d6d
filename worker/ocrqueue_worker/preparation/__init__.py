"""Preparation of pages before they are recognised, the same for every engine: where a page reads badly, it is made
easier to read, and read again. NumPy is imported only then.

affine.py        from one picture's pixels into another's, for points and for whole pages
picture.py       a page on the way to the engine: its pixels, what was done, and the way back
ink.py           where something is written: by difference from the paper around
skew.py          which way the lines of text run
repainting.py    polarity, light, speckles and rules: what changes pixels and leaves their places
steps.py         which steps a page needs, and doing them
quality.py       whether a page reads badly, and which of two readings is better
"""
