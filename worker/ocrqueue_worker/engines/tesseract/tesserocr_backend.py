"""Tesseract in this process, through tesserocr: warm API objects, one for each set of languages."""

from __future__ import annotations

import mmap
import time
from collections import OrderedDict
from functools import cached_property
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Final

import tesserocr
from PIL.Image import Image

from ocrqueue.errors import EngineFailed, EngineTimeout, OptionInvalid
from ocrqueue_worker.engines.tesseract.backend import Call, Orientation, Output
from ocrqueue_worker.engines.tesseract.spacing import has_unspaced_script
from ocrqueue_worker.telemetry.native_stderr import silence_leptonica

_LEGACY_MODES = (0, 2)

_WORKING_COPIES: Final = 3
"""That Tesseract makes of a page in colour on its way to a binary one: measured, 11 bytes a pixel at its peak."""
_LOADING_FACTOR: Final = 3
_LOADING_BYTES: Final = 16 << 20
"""A pack takes at most so much and so many times its size to load: measured, 15 MiB for kor (1.6), 30 for osd (10)."""


class InProcessTesseract:
    """Keeps at most `warm_apis` API objects; the one unused for longest is freed first."""

    def __init__(self, tessdata: Path, warm_apis: int) -> None:
        self._tessdata = tessdata
        self._warm_apis = warm_apis
        self._apis: OrderedDict[tuple[str, int], tesserocr.PyTessBaseAPI] = OrderedDict()
        silence_leptonica()

    def version(self) -> str:
        return self._version

    @cached_property
    def _version(self) -> str:
        """Asked for twice in a job; the file of the package's metadata takes 1 ms to read."""
        tesseract = tesserocr.tesseract_version().split()[1]
        return f"{tesseract} (tesserocr {package_version('tesserocr')})"

    def read(self, image: Image, call: Call) -> Output:
        api = self._api("+".join(call.languages), call.oem)
        api.SetPageSegMode(call.psm)
        # variables outlast a call: each is set every time
        api.SetVariable("tessedit_char_whitelist", call.whitelist)
        api.SetVariable("tessedit_char_blacklist", call.blacklist)
        api.SetVariable("user_defined_dpi", str(call.dpi or 0))
        _set_image(api, image)
        try:
            begin = time.monotonic()
            if not api.Recognize(max(1, int(call.timeout_s * 1000))):
                raise _gave_up(image, call, time.monotonic() - begin)
            tsv = api.GetTSVText(0)
            return Output(tsv, api.GetUTF8Text() if has_unspaced_script(tsv) else "")
        except RuntimeError as error:
            raise EngineFailed(f"Tesseract failed: {error}.") from error
        except MemoryError:
            # it was interrupted at an unknown place: its state cannot be relied on
            self._apis.popitem(last=True)
            raise
        finally:
            api.Clear()
            if call.oem in _LEGACY_MODES:
                # the legacy engine learns from each page: no job is to depend on the one before
                api.ClearAdaptiveClassifier()

    def orientation(self, image: Image, call: Call) -> Orientation | None:
        api = self._api("osd", tesserocr.OEM.DEFAULT)
        api.SetPageSegMode(tesserocr.PSM.OSD_ONLY)
        _set_image(api, image)
        try:
            found = api.DetectOrientationScript()
        finally:
            api.Clear()
        if not found:
            return None
        return Orientation(found["orient_deg"], found["orient_conf"])

    def close(self) -> None:
        for api in self._apis.values():
            api.End()
        self._apis.clear()

    def _api(self, languages: str, oem: int) -> tesserocr.PyTessBaseAPI:
        key = (languages, oem)
        if key in self._apis:
            self._apis.move_to_end(key)
            return self._apis[key]
        while len(self._apis) >= self._warm_apis:
            self._apis.popitem(last=False)[1].End()
        packs = [self._tessdata / f"{language}.traineddata" for language in languages.split("+")]
        _check_memory(sum(_LOADING_BYTES + _LOADING_FACTOR * pack.stat().st_size for pack in packs))
        try:
            api = tesserocr.PyTessBaseAPI(path=f"{self._tessdata}/", lang=languages, oem=oem)
        except RuntimeError as error:
            if oem in _LEGACY_MODES:
                raise OptionInvalid(
                    f"The packs for {languages} have no legacy model, which oem {oem} needs.", remedy="Use oem 1 or 3."
                ) from error
            raise EngineFailed(f"Tesseract cannot load {languages}: {error}.") from error
        api.SetVariable("preserve_interword_spaces", "1")
        self._apis[key] = api
        return api


def _set_image(api: tesserocr.PyTessBaseAPI, image: Image) -> None:
    """Hand over the pixels themselves: no encoding in between."""
    depth = len(image.getbands())
    pixels = image.tobytes()
    _check_memory(_bytes_of_copy(image))
    api.SetImageBytes(pixels, image.width, image.height, depth, image.width * depth)


def _gave_up(image: Image, call: Call, seconds: float) -> EngineTimeout | EngineFailed:
    """Why Recognize() did, which does not say: time was up, or else there was no memory (raises OSError)."""
    if seconds >= call.timeout_s:
        return EngineTimeout(f"Tesseract did not finish within {call.timeout_s:.0f} s.")
    _check_memory(_WORKING_COPIES * _bytes_of_copy(image))
    return EngineFailed("Tesseract gave up on the image without saying why.")


def _bytes_of_copy(image: Image) -> int:
    """As Leptonica holds it: 4 bytes a pixel, once it is not grey."""
    return 4 * image.width * image.height


def _check_memory(size: int) -> None:
    """Raise OSError (ENOMEM) where `size` bytes cannot be had.

    To ask first costs microseconds. Without memory Leptonica goes on with a null pointer where malloc(3) gives one, and
    Tesseract's loading of a model ends the process.
    """
    mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
