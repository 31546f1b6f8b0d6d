"""Language packs: where they are, which there are, and which Debian package brings one that is missing."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from ocrqueue.errors import EngineUnavailable, LanguageMissing
from ocrqueue.settings import WorkerSettings

_USUAL: Final = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
)
_SUFFIX: Final = ".traineddata"


def tessdata_dir(settings: WorkerSettings) -> Path:
    """The folder of the packs; one that is named may have none yet. Raises EngineUnavailable."""
    named = [settings.tessdata_dir, os.environ.get("TESSDATA_PREFIX")]
    places = [Path(place) for place in named if place] or [Path(place) for place in _USUAL]
    for place in places:
        if any(place.glob(f"*{_SUFFIX}")):
            return place
    if (empty := next((Path(place) for place in named if place and Path(place).is_dir()), None)) is not None:
        return empty
    raise EngineUnavailable(
        f"No Tesseract language packs in {', '.join(map(str, places))}.",
        remedy="apt-get install tesseract-ocr, or name their folder in OCRQUEUE_TESSDATA_DIR.",
    )


def installed_languages(folder: Path) -> tuple[str, ...]:
    """Packs that read text, as a job names them; `script/Hangul` for those in the folder script."""
    found = (path.relative_to(folder).as_posix().removesuffix(_SUFFIX) for path in folder.rglob(f"*{_SUFFIX}"))
    return tuple(sorted(name for name in found if name not in {"osd", "equ"}))


def require_any_pack(folder: Path) -> None:
    """Raises LanguageMissing where there is none that reads text."""
    if not installed_languages(folder):
        raise LanguageMissing(
            f"There is no Tesseract language pack in {folder}.",
            remedy="On the worker: apt-get install tesseract-ocr-eng, or put packs there, or correct "
            "OCRQUEUE_TESSDATA_DIR.",
        )


def require_pack(folder: Path, language: str) -> None:
    """Raises LanguageMissing."""
    if (folder / f"{language}{_SUFFIX}").is_file():
        return
    installed = installed_languages(folder)
    meant = next((name for name in installed if name.casefold() == language.casefold()), None)
    raise LanguageMissing(
        f"The worker has no Tesseract pack for {language!r}; it has: {', '.join(installed) or 'none'}.",
        remedy=f"Name the language {meant!r}."
        if meant
        else f"On the workers: apt-get install {debian_package(language)}.",
        language=language,
    )


def debian_package(language: str) -> str:
    """Debian's package of a pack: tesseract-ocr-chi-sim for chi_sim."""
    if language.startswith("script/"):
        return "the tesseract-ocr-script-* package of that script"
    return f"tesseract-ocr-{language.lower().replace('_', '-')}"


def pack_hash(folder: Path, language: str) -> str:
    """The first 12 hex digits of the pack's sha256."""
    path = folder / f"{language}{_SUFFIX}"
    return _hash(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: Path, _changed_at: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
