"""What the shipped recogniser reads: languages whose letters are all among its 18,708 characters.

Letters that it has and does not read are no help: of sentences in Welsh, Esperanto, Icelandic and Slovak it read 60,
36, 51 and 29 % of the words, since it has not learned ŵ, ĝ, þ and ľ. These languages are left out.

It reads all the others at once, whichever a job names. No Hangul, Cyrillic, Arabic, Hebrew, Thai or Indic letters are
among its characters, of Greek only letters without accents, and of Vietnamese two.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from ocrqueue_worker.engines.rapid.models import RapidModel

LATIN: Final = MappingProxyType(
    {
        "afr": "áèéêëîïôöúû",
        "aze": "çəğıİöşü",
        "bos": "čćđšž",
        "bre": "âêñôùü",
        "cat": "àçèéíïòóúü·",
        "ceb": "ñ",
        "ces": "áčďéěíňóřšťúůýž",
        "cos": "àèìòù",
        "dan": "æøåé",
        "deu": "äöüß",
        "eng": "",
        "est": "äõöüšž",
        "eus": "ñç",
        "fao": "áðíóúýæø",
        "fil": "ñ",
        "fin": "äöåšž",
        "fra": "àâæçèéêëîïôœùûüÿ",
        "fry": "âêôúûëï",
        "gla": "àèìòù",
        "gle": "áéíóú",
        "glg": "áéíóúüïñ",
        "hat": "àèò",
        "hrv": "čćđšž",
        "hun": "áéíóöőúüű",
        "ind": "é",
        "ita": "àèéìîòóù",
        "jav": "éè",
        "lat": "āēīōūæœ",
        "lav": "āčēģīķļņšūž",
        "lit": "ąčęėįšųūž",
        "ltz": "äëéöü",
        "mlt": "àċèġħìòùż",
        "mri": "āēīōū",
        "msa": "é",
        "nld": "áéíóúàèëïöüĳ",
        "nor": "æøåéòô",
        "oci": "áàçéèíïóòúü·",
        "pol": "ąćęłńóśźż",
        "por": "àáâãçéêíóôõúü",
        "que": "ñ",
        "ron": "ăâîșțşţ",
        "slv": "čšž",
        "spa": "áéíñóúü",
        "sqi": "çë",
        "srp_latn": "čćđšž",
        "sun": "éè",
        "swa": "",
        "swe": "åäöé",
        "tur": "âçğıİîöşüû",
    }
)
"""Letters beyond a to z, in lower case, by the language's name in Tesseract."""

IDEOGRAPHIC: Final = ("chi_sim", "chi_tra", "jpn")
"""Of the characters in daily use (level 1 of GB 2312, Big5 and JIS X 0208) 16 of 12,215 are missing."""

LANGUAGES: Final = tuple(sorted([*LATIN, *IDEOGRAPHIC]))

_NOT_IN_TINY: Final = frozenset(
    ("aze", "ces", "chi_tra", "est", "hun", "jpn", "lat", "lav", "lit", "mri", "pol", "ron", "tur")
)
"""Of its 6,904 characters it lacks ə, ș and ț, a third of the traditional ideographs and a fourth of the Japanese ones.
Of sentences in the other languages it read 35 to 67 % of the words: ł as t, ű as ú, õ as ö, ė as é."""


def languages_of(model: RapidModel) -> tuple[str, ...]:
    """With tiny+small too, tiny reads each line first."""
    return LANGUAGES if model == "small" else tuple(name for name in LANGUAGES if name not in _NOT_IN_TINY)
