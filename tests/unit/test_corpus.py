"""The generators of malformed images and messages: every case can be made again, and none is good by mistake."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from ocrqueue.errors import OcrQueueError
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.images.decoding import SourceImage, open_image
from tests.faults.corpus import BY_FORMAT, image_case
from tests.faults.corpus_bytes import ANY_FORMAT
from tests.faults.corpus_pictures import FORMATS, codings, good_picture
from tests.faults.fuzzing import main
from tests.faults.messages import message_case

SETTINGS = load_worker_settings()


def errors(data: bytes) -> list[str]:
    """The codes of the file, or of its pages."""
    try:
        with open_image(data, SETTINGS) as image:
            return [code for number in range(1, image.page_count + 1) for code in page_errors(image, number)]
    except OcrQueueError as error:
        return [error.code]


def page_errors(image: SourceImage, number: int) -> list[str]:
    try:
        image.page(number)
    except OcrQueueError as error:
        return [error.code]
    return []


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "pdf"])
def test_what_images_are_made_from_is_good(kind: str) -> None:
    assert {
        coding: errors(good_picture(kind, coding)) for coding in codings(kind) if errors(good_picture(kind, coding))
    } == {}


def test_an_image_is_told_by_its_seed_and_number_alone() -> None:
    assert [image_case(1, number) for number in (7, 3, 7)] == [image_case(1, 7), image_case(1, 3), image_case(1, 7)]
    assert image_case(1, 7).data != image_case(2, 7).data


def test_a_message_is_told_by_its_seed_and_number_alone() -> None:
    assert [message_case(1, number) for number in (7, 3)] == [message_case(1, 7), message_case(1, 3)]
    assert message_case(1, 7).entry != message_case(2, 7).entry


def test_images_end_in_errors_of_ocrqueue_and_most_of_them_do() -> None:
    cases = [image_case(5, number) for number in range(300)]
    found = {case: errors(case.data) for case in cases}
    assert [case.kind for case, codes in found.items() if case.broken and not codes] == []
    assert sum(bool(codes) for codes in found.values()) > 200
    codes = Counter(code for codes in found.values() for code in codes)
    assert set(codes) >= {f"image.{name}" for name in ("truncated", "corrupt", "not_recognised", "too_large", "empty")}


def test_every_mutation_changes_every_picture_it_is_made_for() -> None:
    """But for those that may hit on what was there before, which they do not do every time."""
    mutations = {kind: {**ANY_FORMAT, **BY_FORMAT[kind]} for kind in FORMATS}
    unchanged = [
        f"{kind}: {name}"
        for kind, by_name in mutations.items()
        for name, mutate in by_name.items()
        for coding in codings(kind)
        if all(mutate(Random(seed), good_picture(kind, coding)) == good_picture(kind, coding) for seed in range(6))
    ]
    assert unchanged == []


def test_messages_of_every_kind_and_end_come_up() -> None:
    cases = [message_case(5, number) for number in range(600)]
    assert {case.end for case in cases} == {"failed", "refused", "dropped", "waits", "any"}
    assert len({case.kind for case in cases}) > 60
    assert len({case.task_id for case in cases}) == len(cases)


def test_dropped_ones_hold_no_id_to_answer_to() -> None:
    for case in (message_case(5, number) for number in range(600)):
        if case.end == "failed":
            assert json.loads(case.entry)["headers"]["id"] == case.task_id


@pytest.mark.parametrize("name", ["image-12", "message-12"])
def test_a_case_is_written_to_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--seed", "3", "--case", name]) == 0
    expected = image_case(3, 12).data if name.startswith("image") else message_case(3, 12).entry
    assert (tmp_path / f"fuzz-3-{name}.bin").read_bytes() == expected
    assert f"{len(expected)} bytes" in capsys.readouterr().out
