"""Sentences with a language's own letters, read by the real networks: in languages that are named, and in others."""
# ruff: noqa: RUF001  # letters that look like others are what is tested

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.rapid import RapidEngine
from ocrqueue_worker.engines.rapid.languages import LANGUAGES, languages_of
from ocrqueue_worker.images.page import PageImage

READ = {
    "aze": "Qapının qarşısında qız bıçaq tapdı və işıq yandırdı",
    "deu": "Über große Straßen läuft der Fuß schön",
    "dan": "Rødgrød med fløde på en blå ø er dejligt og æblet sødt",
    "est": "Õhtul sööme õunu ja šokolaadi žürii äär",
    "fra": "Le garçon naïf mange du maïs à Noël où l'œuvre coïncide",
    "hrv": "Đak i vođa dođe u grad gdje žive čovjek i žena ćup šuma",
    "hun": "A fű zöld a gyűrű szép a tűz forró hűvös betű szűk őr",
    "lat": "Rōmānī vīlla īnsula fēmina",
    "lav": "Ģimene un ķirsis ēd šodien žagaru ļoti daudz ņem čūska",
    "lit": "Gėlė auga vėjyje ir tėvas įeina į įmonę mėnesį sėdėti",
    "mlt": "Iż-żagħżugħ ħadem ġewwa l-forn ċar",
    "pol": "Zażółć gęślą jaźń bo łódź płynie świetnie ćma",
    "slv": "Čez žago šel je mož in češnje",
    "spa": "El niño pequeño comió jalapeño y pingüino ¿qué",
    "ron": "Și țara aceasta știe că în București învață mulți oameni",
    "sqi": "Çdo gjë është e bukur në këtë vend",
    "tur": "Kapının önünde kırmızı bir ışık yanıyordu ve sıcak balık kokusu geldi",
}
READ_BY_TINY = ("dan", "deu", "fra", "hrv", "mlt", "slv", "spa", "sqi")
NOT_READ_BY_TINY = ("aze", "est", "hun", "lav", "lit", "pol", "ron", "tur")
NOT_READ = {
    "cym": "Mae dŵr yn y tŷ ger y tŵr lle mae gŵr a ŷd",
    "epo": "Ĉiu scias ke ŝi aŭdis eĥon ĵus kiam ĝi okazis hodiaŭ",
    "isl": "Það er gott að þú þekkir þetta land þegar þeir koma þar",
    "slk": "Ľudia majú soľ a chuť stĺp vŕba buď ďaleko kľúč vrátnik",
}


@pytest.fixture(scope="module")
def engine() -> RapidEngine:
    made = RapidEngine(load_worker_settings())
    made.load()
    return made


@pytest.fixture(scope="module")
def tiny() -> RapidEngine:
    made = RapidEngine(load_worker_settings(rapid_model="tiny"))
    made.load()
    return made


def share_read(engine: RapidEngine, sentence: str) -> float:
    """Of the words, in two sizes of print."""
    read = 0
    for px in (24, 32):
        image = Image.new("RGB", (1500, 140), "white")
        ImageDraw.Draw(image).text((40, 50), sentence, "black", ImageFont.truetype("DejaVuSans.ttf", px))
        (page,) = engine.recognize([PageImage(1, image)], Reading(("eng",), engine.parse_options({})))
        assert isinstance(page, Page)
        found = {word.text for word in page.words()}
        read += sum(word in found for word in sentence.split())
    return read / 2 / len(sentence.split())


@pytest.mark.parametrize("language", READ)
def test_a_language_that_is_named_is_read(engine: RapidEngine, language: str) -> None:
    assert language in LANGUAGES
    assert share_read(engine, READ[language]) >= 0.75


@pytest.mark.parametrize("language", NOT_READ)
def test_a_language_that_is_not_named_would_lose_its_letters(engine: RapidEngine, language: str) -> None:
    assert language not in LANGUAGES
    assert share_read(engine, NOT_READ[language]) < 0.7


@pytest.mark.parametrize("language", READ_BY_TINY)
def test_tiny_reads_fewer_languages(tiny: RapidEngine, language: str) -> None:
    assert language in tiny.languages()
    assert share_read(tiny, READ[language]) >= 0.75


@pytest.mark.parametrize("language", NOT_READ_BY_TINY)
def test_tiny_does_not_name_those_that_it_would_misread(tiny: RapidEngine, language: str) -> None:
    assert language not in tiny.languages()
    assert share_read(tiny, READ[language]) < 0.7


def test_together_they_read_what_tiny_doubts(tiny: RapidEngine) -> None:
    both = RapidEngine(load_worker_settings(rapid_model="tiny+small"))
    both.load()
    assert both.languages() == tiny.languages() == languages_of("tiny+small")
    shares = [
        sum(share_read(each, READ[language]) for language in ("aze", "lit", "pol", "tur")) for each in (tiny, both)
    ]
    assert shares[1] > shares[0] + 0.3
