"""Tesseract in this process, through tesserocr: warm API objects, one for each set of languages."""

from __future__ import annotations

from collections import OrderedDict
from importlib.metadata import version as package_version
from pathlib import Path

import tesserocr
from PIL.Image import Image

from ocrqueue.errors import EngineFailed, EngineTimeout, OptionInvalid
from ocrqueue_worker.engines.tesseract.backend import Call, Orientation, Output
from ocrqueue_worker.engines.tesseract.spacing import has_unspaced_script

_LEGACY_MODES = (0, 2)


class InProcessTesseract:
    """Keeps at most `warm_apis` API objects; the one unused for longest is freed first."""

    def __init__(self, tessdata: Path, warm_apis: int) -> None:
        self._tessdata = tessdata
        self._warm_apis = warm_apis
        self._apis: OrderedDict[tuple[str, int], tesserocr.PyTessBaseAPI] = OrderedDict()

    def version(self) -> str:
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
            if not api.Recognize(max(1, int(call.timeout_s * 1000))):
                raise EngineTimeout(f"Tesseract did not finish within {call.timeout_s:.0f} s.")
            tsv = api.GetTSVText(0)
            return Output(tsv, api.GetUTF8Text() if has_unspaced_script(tsv) else "")
        except RuntimeError as error:
            raise EngineFailed(f"Tesseract broke off: {error}.") from error
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
    api.SetImageBytes(image.tobytes(), image.width, image.height, depth, image.width * depth)
