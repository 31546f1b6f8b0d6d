"""The Tesseract engine by itself: both ways of calling it, orientation, options, the second reading."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Page
from ocrqueue.errors import (
    EngineTimeout,
    EngineUnavailable,
    LanguageMissing,
    OcrQueueError,
    OptionInvalid,
    OptionUnknown,
)
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.discovery import engine_class, engine_names, make_engine
from ocrqueue_worker.engines.engine import Reading
from ocrqueue_worker.engines.tesseract import TesseractEngine
from ocrqueue_worker.engines.tesseract.backend import Call, Output
from ocrqueue_worker.engines.tesseract.tessdata import debian_package, require_pack, tessdata_dir
from ocrqueue_worker.engines.tesseract.tesserocr_backend import InProcessTesseract
from ocrqueue_worker.engines.tesseract.tsv import parse_output
from ocrqueue_worker.geometry import iou, upright
from ocrqueue_worker.images.page import PageImage
from tests.support.pictures import text_picture
from tests.support.processes import need_program

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module", params=["tesserocr", "pytesseract"])
def engine(request: pytest.FixtureRequest) -> Any:
    need_program("tesseract")
    engine = TesseractEngine(load_worker_settings(tesseract_backend=request.param))
    engine.load()
    yield engine
    engine.close()


def read(engine: TesseractEngine, image: Image.Image, *languages: str, **options: Any) -> Page:
    result = attempt(engine, image, *languages, **options)
    assert isinstance(result, Page), result
    return result


def attempt(engine: TesseractEngine, image: Image.Image, *languages: str, **options: Any) -> Page | OcrQueueError:
    deadline = options.pop("deadline", time.monotonic() + 600)
    reading = Reading(languages or ("eng",), engine.parse_options(options), deadline)
    (result,) = engine.recognize([PageImage(1, image)], reading)
    return result


def structure(page: Page) -> list[list[list[list[str]]]]:
    return [[[[w.text for w in line.words] for line in p.lines] for p in b.paragraphs] for b in page.blocks]


@pytest.mark.parametrize("sample", ["two-columns.png", "korean-page.png"])
def test_both_backends_give_the_same_document(sample: str) -> None:
    need_program("tesseract")
    image = Image.open(SAMPLES / sample).convert("L")
    language = "kor" if "korean" in sample else "eng"
    pages = [
        read(TesseractEngine(load_worker_settings(tesseract_backend=backend)), image, language)
        for backend in ("tesserocr", "pytesseract")
    ]
    assert structure(pages[0]) == structure(pages[1])
    for one, other in zip(pages[0].words(), pages[1].words(), strict=True):
        assert one.id == other.id
        # two versions of Tesseract draw Hangul's boxes differently
        assert iou(one.bbox, other.bbox) > (0.4 if language == "kor" else 0.8)
        assert one.confidence == pytest.approx(other.confidence, abs=0.15)
        assert one.space_after == other.space_after


def test_the_hierarchy_encloses_its_parts(engine: TesseractEngine) -> None:
    page = read(engine, Image.open(SAMPLES / "english-page.png").convert("L"))
    assert page.layout == "engine"
    assert len(page.blocks) > 1
    assert [word.id for word in page.words()] == [f"p001-w{n:04d}" for n in range(1, len(list(page.words())) + 1)]
    for block in page.blocks:
        assert 0 < (block.confidence or 0) <= 1
        for line in (line for paragraph in block.paragraphs for line in paragraph.lines):
            for word in line.words:
                assert line.bbox[0] <= word.bbox[0] + 1
                assert word.bbox[2] <= line.bbox[2] + 1
                assert word.confidence is not None
                assert 0 <= word.confidence <= 1


def test_korean_words_are_whole_and_spaced_as_printed(engine: TesseractEngine) -> None:
    page = read(engine, Image.open(SAMPLES / "korean-page.png").convert("L"), "kor")
    true = (SAMPLES / "korean-page.txt").read_text("utf-8").split()
    words = [word.text for word in page.words()]
    assert len(words) == pytest.approx(len(true), abs=3)
    assert len(set(words) & set(true)) >= 0.95 * len(set(true))


@pytest.mark.parametrize(
    ("dpi", "size_pt", "asked", "said"),
    [
        (200.0, (595.0, 842.0), {}, 200),
        (200.0, (595.0, 842.0), {"dpi": 300}, 300),
        (72.0, (595.0, 842.0), {}, None),  # of a scan whose page has a size that somebody made up
        (600.0, (595.0, 842.0), {}, None),
        (200.0, None, {}, None),  # as a file of a picture states it
    ],
)
def test_tesseract_is_told_the_resolution_of_a_pdf_alone(
    dpi: float, size_pt: tuple[float, float] | None, asked: dict[str, Any], said: int | None
) -> None:
    engine, calls = TesseractEngine(load_worker_settings()), []
    read_as_ever = engine._backend.read

    def noted(image: Image.Image, call: Call) -> Output:
        calls.append(call)
        return read_as_ever(image, call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine._backend, "read", noted)
        reading = Reading(("eng",), engine.parse_options(asked), time.monotonic() + 600)
        engine.recognize([PageImage(1, text_picture("Total 12.80"), dpi, size_pt=size_pt)], reading)
    engine.close()
    assert calls[0].dpi == said


def test_two_languages_at_once(engine: TesseractEngine) -> None:
    page = read(engine, Image.open(SAMPLES / "korean-page.png").convert("L"), "kor", "eng")
    assert page.languages == ("kor", "eng")
    assert "도서관" in page.text


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_turned_page_is_read_with_boxes_in_its_own_pixels(engine: TesseractEngine, turned: int) -> None:
    straight = Image.open(SAMPLES / "english-page.png").convert("L")
    straight = straight.crop((0, 0, straight.width, straight.height * 2 // 3))
    words = list(read(engine, straight).words())
    page = read(engine, upright(straight, (360 - turned) % 360), rotate="auto")
    assert page.rotation == turned
    assert (page.rotation_confidence or 0) > 5
    assert [word.text for word in page.words()] == [word.text for word in words]
    width, height = straight.size
    for word, original in zip(page.words(), words, strict=True):
        (left, top), *_ = word.polygon
        expected = {0: 0, 90: 1, 180: 2, 270: 3}[turned]
        corner = original.polygon[0]
        assert (left, top) == {
            0: corner,
            1: (height - corner[1], corner[0]),
            2: (width - corner[0], height - corner[1]),
            3: (corner[1], width - corner[0]),
        }[expected]


def test_a_rotation_given_is_taken(engine: TesseractEngine) -> None:
    image = Image.open(SAMPLES / "rotated-page.png").convert("L")
    page = read(engine, image, rotate=90)
    assert page.rotation == 90
    assert page.rotation_confidence is None
    assert "Notes for the Night Shift" in page.text


def test_psm_0_only_detects_and_psm_1_detects_and_reads(engine: TesseractEngine) -> None:
    image = Image.open(SAMPLES / "rotated-page.png").convert("L")
    only = read(engine, image, psm=0)
    assert (only.rotation, only.blocks) == (90, ())
    assert "Notes for the Night Shift" in read(engine, image, psm=1).text


def test_a_page_too_empty_to_tell_its_orientation_is_read_as_it_lies(engine: TesseractEngine) -> None:
    assert read(engine, text_picture("Hello 42"), rotate="auto").text == "Hello 42"
    blank = read(engine, Image.new("L", (200, 200), 255), rotate="auto")
    assert (blank.rotation, blank.blocks) == (0, ())


def test_white_and_black_lists(engine: TesseractEngine) -> None:
    image = text_picture("A1B2C3 D4")
    digits = read(engine, image, whitelist="0123456789").text
    assert digits
    assert set(digits) <= set("0123456789 \n")
    assert not set("123") & set(read(engine, image, blacklist="123").text)
    assert read(engine, image).text == "A1B2C3 D4", "the lists of one job do not reach the next"


def test_options_that_do_not_go_together(engine: TesseractEngine) -> None:
    with pytest.raises(OptionInvalid, match="detect the orientation"):
        engine.parse_options({"psm": 1, "rotate": 90})
    with pytest.raises(OptionInvalid, match="whitelist"):
        engine.parse_options({"whitelist": "a\nb"})
    with pytest.raises(OptionUnknown) as error:
        engine.parse_options({"pms": 3})
    assert "psm" in error.value.info.remedy


def test_a_legacy_mode_without_legacy_model_says_so(engine: TesseractEngine) -> None:
    assert isinstance(attempt(engine, text_picture("Hello"), oem=0), OptionInvalid)
    assert read(engine, text_picture("Hello"), oem=1).text == "Hello"


def test_a_time_limit_is_kept(engine: TesseractEngine) -> None:
    image = Image.open(SAMPLES / "english-page.png").convert("L")
    assert isinstance(attempt(engine, image, deadline=time.monotonic() + 0.05), EngineTimeout)
    assert isinstance(attempt(engine, image, deadline=time.monotonic() - 1), EngineTimeout)
    assert isinstance(attempt(engine, image, deadline=time.monotonic() + 0.05, rotate="auto"), EngineTimeout)
    assert read(engine, text_picture("Hello")).text == "Hello", "the next page is read"


def test_words_read_again_keep_the_better_reading(engine: TesseractEngine) -> None:
    image = Image.open(SAMPLES / "receipt.jpg").convert("L")
    image = image.crop((0, 0, image.width, image.height // 3))
    once, twice = read(engine, image), read(engine, image, reread_words=True)
    assert all(word.reading == "page" for word in once.words())
    pairs = list(zip(once.words(), twice.words(), strict=True))
    assert all(again.bbox == first.bbox for first, again in pairs)
    assert all((again.confidence or 0) >= (first.confidence or 0) for first, again in pairs)
    better = [again for first, again in pairs if again.reading == "crop"]
    assert better
    assert all((a.confidence or 0) > (f.confidence or 0) for f, a in pairs if a.reading == "crop")
    assert read(engine, text_picture("Hello 42"), reread_words=True, reread_psm=7).text == "Hello 42"


def test_words_taken_for_those_of_another_script_are_read_again_in_each(
    engine: TesseractEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        "저녁 여섯 시에 Ferry 가 떠납니다.",
        "객실은 Deck 3 과 Deck 5 에 있습니다.",
        "표는 12-345 번 창구에서 사세요.",
    )
    wanted, right = Counter(" ".join(lines).split()), Counter[str]()
    for font, letters in (("NanumMyeongjo", 22), ("NanumSquareR", 22), ("NanumSquareR", 34), ("NanumGothic", 30)):
        image = Image.new("L", (28 * letters, 8 * letters), 255)
        for row, line in enumerate(lines):
            at = (letters, (1 + 2 * row) * letters)
            ImageDraw.Draw(image).text(at, line, 0, ImageFont.truetype(f"{font}.ttf", letters))
        page = read(engine, image, "kor", "eng")
        right["again"] += (wanted & Counter(page.text.split())).total()
        with monkeypatch.context() as patch:
            patch.setattr("ocrqueue_worker.engines.tesseract.engine.reread_by_language", lambda blocks, *_: blocks)
            right["once"] += (wanted & Counter(read(engine, image, "kor", "eng").text.split())).total()
        assert all(word.reading == "page" for word in read(engine, image, "kor").words())
    assert right["again"] > right["once"] + 1
    assert right["again"] >= 0.9 * 4 * wanted.total()


def test_marks_of_direction_are_no_part_of_words() -> None:
    row = "5\t1\t1\t1\t1\t{}\t{}\t5\t50\t20\t90\t{}"
    words = ["\u200f\u05d7\u05d3\u05e8", "204\u200e", "\u202aRoom\u202c", "\u200f"]
    tsv = "\n".join(
        ["4\t1\t1\t1\t1\t0\t0\t0\t300\t30\t-1\t", *(row.format(n, 60 * n, text) for n, text in enumerate(words, 1))]
    )
    rows = "2\t1\t1\t0\t0\t0\t0\t0\t300\t30\t-1\t\n3\t1\t1\t1\t0\t0\t0\t0\t300\t30\t-1\t\n" + tsv
    (block,) = parse_output(Output(rows, ""), 1, lambda polygon: polygon)
    assert block.text == "\u05d7\u05d3\u05e8 204 Room"
    assert block.paragraphs[0].lines[0].dir == "rtl"


def test_words_of_a_turned_page_are_read_again_upright(engine: TesseractEngine) -> None:
    image = Image.open(SAMPLES / "rotated-page.png").convert("L")
    image = image.crop((image.width * 3 // 4, 0, image.width, image.height))
    page = read(engine, image, rotate=90, reread_words=True)
    assert "Night Shift" in page.text


def test_info_tells_version_and_model(engine: TesseractEngine) -> None:
    info = engine.info(("eng", "kor"))
    assert info.name == "tesseract"
    assert info.version[0].isdigit()
    eng, kor = info.model.split("+")
    assert eng.startswith("eng:")
    assert kor.startswith("kor:")
    assert len(eng.removeprefix("eng:")) == 12


def test_a_missing_pack_names_its_debian_package(engine: TesseractEngine) -> None:
    engine.check_languages(("eng", "kor"))
    with pytest.raises(LanguageMissing) as error:
        engine.check_languages(("eng", "chi_sim_vert"))
    assert "apt-get install tesseract-ocr-chi-sim-vert" in error.value.info.remedy
    assert error.value.info.details == {"language": "chi_sim_vert"}
    assert "script-*" in debian_package("script/Hangul")


def test_warm_apis_are_bounded() -> None:
    backend = InProcessTesseract(tessdata_dir(load_worker_settings()), warm_apis=2)
    engine = TesseractEngine(load_worker_settings())
    engine.__dict__["_backend"] = backend
    for languages in (("eng",), ("kor",), ("kor", "eng"), ("eng",)):
        read(engine, text_picture("Hello"), *languages)
        assert len(backend._apis) <= 2
    assert [languages for languages, _ in backend._apis] == ["kor+eng", "eng"]
    backend.close()
    assert backend._apis == {}


def test_no_packs_at_all_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="apt-get install tesseract-ocr"):
        TesseractEngine(load_worker_settings(tessdata_dir=tmp_path / "absent"))


def test_a_named_folder_may_get_its_packs_later(tmp_path: Path) -> None:
    engine = TesseractEngine(load_worker_settings(tessdata_dir=tmp_path))
    with pytest.raises(LanguageMissing, match="apt-get install tesseract-ocr-eng"):
        engine.check_any_language()
    (tmp_path / "eng.traineddata").write_bytes(b"")
    engine.check_any_language()
    assert engine.languages() == ("eng",)


def test_a_pack_that_is_there_is_not_to_be_installed_for_its_capitals(tmp_path: Path) -> None:
    for name in ("eng", "chi_sim"):
        (tmp_path / f"{name}.traineddata").write_bytes(b"")
    for language, remedy in (
        ("ENG", "Name the language 'eng'."),
        ("Chi_Sim", "Name the language 'chi_sim'."),
        ("KOR", "On the workers: apt-get install tesseract-ocr-kor."),
    ):
        with pytest.raises(LanguageMissing) as missing:
            require_pack(tmp_path, language)
        assert missing.value.info.remedy == remedy


def test_engines_are_found_by_entry_point() -> None:
    assert {"tesseract", "null"} <= set(engine_names())
    assert engine_class("tesseract") is TesseractEngine
    with pytest.raises(OcrQueueError, match=r"engine\.unknown"):
        make_engine("clairvoyance", load_worker_settings())
