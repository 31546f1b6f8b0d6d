"""Pages as people write them."""

from __future__ import annotations

import pytest

from ocrqueue.errors import JobMalformed
from ocrqueue.job import Job, parse_job
from ocrqueue.job.page_selection import PageSelection


@pytest.mark.parametrize(
    ("text", "among_12"),
    [
        (None, list(range(1, 13))),
        ("3", [3]),
        ("1-3,7,10-", [1, 2, 3, 7, 10, 11, 12]),
        ("7, 1-3", [1, 2, 3, 7]),
        ("2-5,4-6,6", [2, 3, 4, 5, 6]),
        ("11-20", [11, 12]),
        ("13", []),
        ("1-", list(range(1, 13))),
    ],
)
def test_pages_come_in_their_own_order_and_once(text: str | None, among_12: list[int]) -> None:
    selection = PageSelection.of(text)
    assert selection.among(12) == among_12
    assert [selection.nth(place) for place in range(1, len(among_12) + 1)] == among_12


@pytest.mark.parametrize("text", ["", "0", "-3", "3-1", "1,,2", "a", "1-2-3", "1;2", "9999999999", "1.5"])
def test_what_is_no_selection_is_refused_at_once(text: str) -> None:
    with pytest.raises(JobMalformed, match="pages"):
        parse_job({"image": "s3://b/k", "pages": text}, "id")


def test_a_password_is_in_no_message_of_the_job() -> None:
    job = parse_job({"image": "s3://b/k", "password": "hush, hush"}, "id")
    assert job.password is not None
    assert job.password.get_secret_value() == "hush, hush"
    for shown in (repr(job), str(job), job.model_dump_json(), str(job.to_message())):
        assert "hush" not in shown
    with pytest.raises(JobMalformed) as refused:
        parse_job({"image": "s3://b/k", "password": "hush" * 100}, "id")
    assert "hush" not in str(refused.value)
    assert Job.model_validate(job.to_message()).password is None


def test_a_page_is_selected_or_not() -> None:
    selection = PageSelection.of("2-3,7,10-")
    assert [page for page in range(1, 13) if selection.has(page)] == [2, 3, 7, 10, 11, 12]
