"""C libraries that print their complaints to standard error, in the midst of the worker's JSON log lines.

What they complain of comes back as an error of the page, or is no error at all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_LOADED: Final = Path("/proc/self/maps")
_NO_MESSAGES: Final = 6
"""Leptonica's L_SEVERITY_NONE."""


@cache
def silence_libtiff() -> None:
    """It decodes compressed pages for Pillow: no error handler, TIFFSetErrorHandler(3TIFF). On Linux; once."""
    for library in _loaded("libtiff"):
        library.TIFFSetErrorHandler.argtypes = (ctypes.c_void_p,)
        library.TIFFSetErrorHandler.restype = ctypes.c_void_p
        library.TIFFSetErrorHandler(None)


@cache
def silence_leptonica() -> None:
    """It handles images for Tesseract: no messages, setMsgSeverity of its utils1.c. On Linux; once."""
    for library in _loaded("liblept"):
        library.setMsgSeverity(_NO_MESSAGES)


def _loaded(name: str) -> Iterator[ctypes.CDLL]:
    """The shared libraries of this process whose file's name begins with `name`."""
    if not _LOADED.exists():
        return
    fields = (line.split(maxsplit=5) for line in _LOADED.read_text().splitlines())
    paths = {mapped[5] for mapped in fields if len(mapped) == 6}
    for path in sorted(path for path in paths if Path(path).name.startswith(name)):
        yield ctypes.CDLL(path)
