"""Results by HTTP: every format, single pages as they are read, words, pictures, and URLs past the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from PIL import Image

from ocrqueue import Document, OcrQueue
from ocrqueue.document import MOST_INLINE, PageObjects
from ocrqueue.document.formats.files import KINDS
from ocrqueue.job.names import OUTPUTS
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import accepted, ended, problem_of, submitted
from tests.support.gateways import gateway_of
from tests.support.pictures import tiff

pytest_plugins = ["tests.support.server_fixtures"]

LETTER = (ROOT / "samples/letter.pdf").read_bytes()
SIGN = (ROOT / "samples/street-sign.jpg").read_bytes()


@pytest.fixture(scope="session")
def read(installation: Installation, gateway: str) -> str:
    """The id of a job that has read an image with Tesseract, and stored some files."""
    with httpx.Client(base_url=gateway, timeout=120, trust_env=False) as http:
        given = {"engine": "tesseract", "outputs": "text,pdf", "crops": "archive"}
        job_id = accepted(http.post("/v1/jobs", params=given, content=SIGN, headers={"content-type": "image/jpeg"}))
        assert ended(http, job_id)["state"] == "succeeded"
    return job_id


@pytest.fixture
def document(installation: Installation, read: str) -> Document:
    return installation.queue.job(read).result(timeout=0)


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_format_has_its_media_type(http: httpx.Client, read: str, document: Document, name: str) -> None:
    answer = http.get(f"/v1/jobs/{read}/result", params={"format": name})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == KINDS[name].content_type
    page = "-p001" if name == "page" else ""
    assert f'filename="{read}{page}.{KINDS[name].ending}"' in answer.headers["content-disposition"]
    word = next(document.words()).text
    if name in ("pdf", "overlay-pdf"):
        assert answer.content.startswith(b"%PDF-")
    else:
        assert word in answer.text


def test_text_and_json_are_those_of_the_document(http: httpx.Client, read: str, document: Document) -> None:
    assert http.get(f"/v1/jobs/{read}/result", params={"format": "text"}).text.strip() == document.text
    assert Document.model_validate_json(http.get(f"/v1/jobs/{read}/result").content) == document


def test_a_format_that_is_none(http: httpx.Client, read: str) -> None:
    problem_of(http.get(f"/v1/jobs/{read}/result", params={"format": "docx"}), 422, "request.invalid")
    problem_of(http.get(f"/v1/jobs/{read}/result", params={"format": "page", "page": 9}), 404, "page.not_found")


def test_html_of_what_was_read_can_do_nothing(http: httpx.Client, read: str) -> None:
    answer = http.get(f"/v1/jobs/{read}/result", params={"format": "overlay-html"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_stored_files_are_handed_out(http: httpx.Client, read: str, document: Document) -> None:
    assert http.get(f"/v1/jobs/{read}/outputs/pdf").content == document.output("pdf").open().read()
    assert http.get(f"/v1/jobs/{read}/outputs/text").text.strip() == document.text
    problem_of(http.get(f"/v1/jobs/{read}/outputs/alto"), 404, "output.missing")
    problem_of(http.get(f"/v1/jobs/{read}/outputs/..%2fresult"), 404, "request.not_found")
    problem_of(http.get(f"/v1/jobs/{read}/outputs/exe"), 422, "request.invalid")


def test_a_word_has_its_picture(http: httpx.Client, read: str, document: Document) -> None:
    word = next(document.words())
    answer = http.get(f"/v1/jobs/{read}/crops/{word.id}")
    assert answer.headers["content-type"] == "image/png"
    assert word.crop is not None
    assert answer.content == word.crop.open().read()
    problem_of(http.get(f"/v1/jobs/{read}/crops/p001-w9999"), 404, "crop.missing")
    problem_of(http.get(f"/v1/jobs/{read}/crops/A_B"), 422, "request.invalid")


def test_an_overlay_shows_the_page(http: httpx.Client, read: str, document: Document) -> None:
    answer = http.get(f"/v1/jobs/{read}/overlay")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as picture:
        assert picture.height >= document.pages[0].height
    problem_of(http.get(f"/v1/jobs/{read}/overlay", params={"page": 2}), 404, "page.not_found")


def test_of_a_pdf_the_words_are_marked_in_the_pdf(http: httpx.Client) -> None:
    given = {"params": {"engine": "null"}, "content": LETTER, "headers": {"content-type": "application/pdf"}}
    ended(http, job_id := accepted(http.post("/v1/jobs", **given)))  # type: ignore[arg-type]  # of several kinds
    remedy = problem_of(http.get(f"/v1/jobs/{job_id}/overlay"), 422, "image.unsupported")["remedy"]
    named = f"/v1/jobs/{job_id}/result?format=overlay-pdf"
    assert named in remedy
    assert http.get(named).content.startswith(b"%PDF-")
    assert http.get(f"{named}&page=2").content.startswith(b"%PDF-")


def test_what_was_not_sent_cannot_be_shown(http: httpx.Client, sign: str) -> None:
    job_id = submitted(http, image=sign, engine="null")
    ended(http, job_id)
    problem_of(http.get(f"/v1/jobs/{job_id}/overlay"), 404, "output.missing")
    problem_of(http.get(f"/v1/jobs/{job_id}/result", params={"format": "pdf"}), 404, "output.missing")
    problem_of(http.get(f"/v1/jobs/{job_id}/crops/p001-w0001"), 404, "crop.missing")


def test_pages_of_a_document(http: httpx.Client, letter: str, installation: Installation) -> None:
    job_id = submitted(http, image=letter, engine="null")
    told = ended(http, job_id)
    pages = http.get(f"/v1/jobs/{job_id}/pages").json()
    assert pages == {"read": list(range(1, told["pages"] + 1)), "pages": told["pages"]}
    document = installation.queue.job(job_id).result(timeout=0)
    for page in document.pages:
        assert http.get(f"/v1/jobs/{job_id}/pages/{page.number}").json() == page.model_dump(mode="json")
    problem_of(http.get(f"/v1/jobs/{job_id}/pages/99"), 404, "page.not_found")
    problem_of(http.get(f"/v1/jobs/{job_id}/pages/0"), 422, "request.invalid")
    problem_of(http.get(f"/v1/jobs/{job_id}/result", params={"format": "page"}), 422, "request.invalid")
    first = http.get(f"/v1/jobs/{job_id}/result", params={"format": "page", "page": 1})
    assert first.text.startswith("<?xml")


LARGE = MOST_INLINE + 3


@pytest.fixture(scope="session")
def large(installation: Installation, gateway: str) -> str:
    """The id of a job, in a batch of its own, that has read more pages than one object in storage holds."""
    image = tiff(*(Image.new("L", (60, 40), 255) for _ in range(LARGE)))
    path = installation.file_root / "large.tif"
    path.write_bytes(image)
    line = {
        "custom_id": "large",
        "image": path.as_uri(),
        "engine": "null",
        "outputs": ["page"],
        "crops": "objects",
        "options": {"words": 2, "fault": "error", "fault_page": 7},
    }
    with httpx.Client(base_url=gateway, timeout=120, trust_env=False) as http:
        told = http.post(
            "/v1/batches", content=json.dumps(line) + "\n", headers={"content-type": "application/x-ndjson"}
        ).json()
        (job,) = http.get("/v1/jobs", params={"batch": told["batch"]["id"]}).json()["jobs"]
        assert ended(http, job["id"])["state"] == "partial"
    return str(job["id"])


def test_the_json_of_a_large_document_has_its_pages(
    http: httpx.Client, large: str, installation: Installation, presigned: httpx.Client
) -> None:
    document = installation.queue.job(large).result(timeout=0)
    assert isinstance(document.pages, PageObjects)
    for client in (http, presigned):
        answer = client.get(f"/v1/jobs/{large}/result")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        whole = Document.model_validate_json(answer.content)
        assert (len(whole.pages), whole.page_objects, whole.pages) == (LARGE, (), tuple(document.pages))
    assert http.get(f"/v1/jobs/{large}/result", params={"format": "text"}).text == document.to_text()
    batch = http.get(f"/v1/jobs/{large}").json()["batch"]
    (line,) = http.get(f"/v1/batches/{batch}/results").text.splitlines()
    assert Document.model_validate(json.loads(line)["document"]) == whole
    (line,) = http.get(f"/v1/batches/{batch}/results", params={"include": "text"}).text.splitlines()
    assert json.loads(line)["text"] == document.text


def test_single_pages_of_a_large_document(http: httpx.Client, large: str, installation: Installation) -> None:
    document = installation.queue.job(large).result(timeout=0)
    assert http.get(f"/v1/jobs/{large}/pages").json() == {"read": [*range(1, LARGE + 1)], "pages": LARGE}
    for number in (7, LARGE):
        page = document.page(number)
        assert http.get(f"/v1/jobs/{large}/pages/{number}").json() == page.model_dump(mode="json")
    problem_of(http.get(f"/v1/jobs/{large}/pages/{LARGE + 1}"), 404, "page.not_found")
    word = next(page.words())
    assert word.crop is not None
    assert http.get(f"/v1/jobs/{large}/crops/{word.id}").content == word.crop.open().read()
    problem_of(http.get(f"/v1/jobs/{large}/crops/p{LARGE + 1:03d}-w0001"), 404, "crop.missing")
    stored = document.output("page", LARGE).open().read()
    assert http.get(f"/v1/jobs/{large}/outputs/page", params={"page": LARGE}).content == stored
    of_one = http.get(f"/v1/jobs/{large}/result", params={"page": LARGE})
    assert Document.model_validate_json(of_one.content).pages == (page,)
    text = http.get(f"/v1/jobs/{large}/result", params={"page": LARGE, "format": "text"})
    assert (text.text.strip(), text.headers["content-type"]) == (page.text, KINDS["text"].content_type)


def test_a_result_that_storage_has_lost(http: httpx.Client, sign: str, installation: Installation) -> None:
    job_id = submitted(http, image=sign, engine="null")
    ended(http, job_id)
    installation.queue.storage.delete_prefix(f"results/{job_id}")
    problem_of(http.get(f"/v1/jobs/{job_id}/result"), 410, "storage.not_found")
    problem_of(http.get(f"/v1/jobs/{job_id}/result", params={"format": "text"}), 410, "storage.not_found")


@pytest.fixture
def presigned(installation: Installation) -> Iterator[httpx.Client]:
    with (
        gateway_of(installation.settings, presigned_results=True) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def test_results_may_be_fetched_past_the_gateway(presigned: httpx.Client, read: str, document: Document) -> None:
    for path, expected in (("result", None), ("outputs/pdf", document.output("pdf").open().read())):
        answer = presigned.get(f"/v1/jobs/{read}/{path}")
        assert answer.status_code == 307
        fetched = httpx.get(answer.headers["location"], trust_env=False, timeout=60)
        assert fetched.status_code == 200
        if expected is None:
            assert Document.model_validate_json(fetched.content) == document
            assert fetched.headers["content-type"] == "application/json"
        else:
            assert fetched.content == expected
    # what is made when it is asked for is answered as ever
    assert presigned.get(f"/v1/jobs/{read}/result", params={"format": "alto"}).status_code == 200


def test_a_page_is_there_as_soon_as_it_is_read(installation: Installation, read: str) -> None:
    """Of both clients the blocking one; test_parts.py has workers that stand still between pages."""
    with OcrQueue(installation.settings) as queue:
        job = queue.job(read)
        assert job.pages_read() == (1,)
        assert job.page(1).text
        assert job.place() is None
        assert [status.state for status in job.progress(timeout=100)] == ["succeeded"]
