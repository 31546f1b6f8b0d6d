"""The languages that the rapid engine names, against the characters that the shipped model can write."""

from __future__ import annotations

import pytest

from ocrqueue.errors import LanguageUnsupported
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.rapid import RapidEngine
from ocrqueue_worker.engines.rapid.languages import IDEOGRAPHIC, LANGUAGES, LATIN, languages_of
from ocrqueue_worker.engines.rapid.models import find_models

LEVEL_1 = {"chi_sim": ("gb2312", 0xB0, 0xD7), "chi_tra": ("big5", 0xA4, 0xC6), "jpn": ("euc_jp", 0xB0, 0xCF)}
"""Of each language's character set the encoding and the lead bytes of the characters in daily use."""
ELSEWHERE = {
    "kor": "가나다라한글",
    "rus": "абвгдж",
    "ell": "άέήίόύώς",
    "vie": "ạảấầẩẫậắ",
    "ara": "ابتث",
    "heb": "אבגד",
    "tha": "กขคง",
    "hin": "अआइई",
    "yor": "ẹṣ",
}
NOT_LEARNED = ("cym", "epo", "isl", "slk")


@pytest.fixture(scope="module")
def characters() -> list[str]:
    from onnxruntime import InferenceSession

    metadata = InferenceSession(
        find_models().recognizers[0].network, providers=["CPUExecutionProvider"]
    ).get_modelmeta()
    read: list[str] = metadata.custom_metadata_map["character"].splitlines()
    return read


def test_each_entry_is_one_character(characters: list[str]) -> None:
    """Columns of the output are told to characters by it."""
    assert [entry for entry in characters if len(entry) != 1] == []
    assert f"{len(characters):,}" == "18,708"


def test_all_letters_of_the_latin_languages_are_known(characters: list[str]) -> None:
    known = {*characters, *"abcdefghijklmnopqrstuvwxyz"}
    letters = {language: set(extra) | set(extra.upper()) for language, extra in LATIN.items()}
    assert {language: missing for language, own in letters.items() if (missing := own - known)} == {}
    assert set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?()-'\"&%/") <= set(characters)


def test_next_to_all_ideographs_in_daily_use_are_known(characters: list[str]) -> None:
    known = set(characters)
    wanted = {language: in_daily_use(*LEVEL_1[language]) for language in IDEOGRAPHIC}
    missing = {language: own - known for language, own in wanted.items()}
    assert {language: len(own) / len(wanted[language]) < 0.005 for language, own in missing.items()} == dict.fromkeys(
        IDEOGRAPHIC, True
    )
    assert {chr(code) for code in range(ord("ぁ"), ord("ん"))} - {"ゐ"} <= known
    assert {chr(code) for code in range(ord("ァ"), ord("ヶ"))} - {"ヱ"} <= known


def in_daily_use(encoding: str, first: int, last: int) -> set[str]:
    found = set()
    for lead in range(first, last + 1):
        for trail in range(0x40, 0xFF):
            try:
                found.add(bytes([lead, trail]).decode(encoding))
            except UnicodeDecodeError:
                continue
    return {character for character in found if len(character) == 1 and "\u4e00" <= character <= "\u9fff"}


def test_what_cannot_be_written_is_not_named(characters: list[str]) -> None:
    for language, letters in ELSEWHERE.items():
        assert not set(letters) <= set(characters), language
        assert language not in LANGUAGES


def test_what_it_could_write_and_has_not_learned_is_not_named() -> None:
    """tests/integration/test_rapid_sentences.py reads some."""
    assert not set(NOT_LEARNED) & set(LANGUAGES)


def test_other_languages_are_refused() -> None:
    engine = RapidEngine(load_worker_settings())
    engine.check_languages(["eng", "deu", "jpn"])
    assert engine.fixed_languages
    assert engine.languages() == LANGUAGES
    with pytest.raises(LanguageUnsupported, match="'kor'"):
        engine.check_languages(["eng", "kor"])


def test_tiny_has_the_letters_of_the_languages_that_it_names() -> None:
    characters = find_models("tiny").recognizers[0].characters
    assert characters is not None
    known = {*characters.read_text("utf-8").split("\n"), *"abcdefghijklmnopqrstuvwxyz"}
    assert f"{len(known - {''}):,}" == "6,904"
    named = set(languages_of("tiny")) & set(LATIN)
    assert [name for name in named if not (set(LATIN[name]) | set(LATIN[name].upper())) <= known] == []
    assert "chi_sim" in languages_of("tiny")
    wanted = in_daily_use(*LEVEL_1["chi_sim"])
    assert len(wanted - known) / len(wanted) < 0.005
    assert languages_of("tiny+small") == languages_of("tiny")
    assert languages_of("small") == LANGUAGES
