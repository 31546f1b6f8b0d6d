"""Azure's own Python client, unmodified, asks the gateway for prebuilt-read."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pikepdf
import pytest
from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.ai.documentintelligence.models import (
    AnalyzeDocumentRequest,
    AnalyzeOutputOption,
    AnalyzeResult,
    DocumentAnalysisFeature,
    DocumentContentFormat,
    DocumentIntelligenceErrorResponse,
    StringIndexType,
)
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from fastapi.routing import iter_route_contexts
from pdfminer.high_level import extract_text

from ocrqueue import OcrQueue
from ocrqueue.document import MOST_INLINE
from ocrqueue_gateway.clouds.azure_read.routes import router
from ocrqueue_gateway.settings import GatewaySettings
from tests.integration.conftest import Installation
from tests.support.azure_models import complaints
from tests.support.documentation import ROOT, block_after
from tests.support.gateway_jobs import PATIENT_S
from tests.support.gateways import gateway_of
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import wait_until
from tests.support.servers import answer, http_server

pytest_plugins = ["tests.support.server_fixtures"]

READ = "prebuilt-read"
DOCS = ROOT / "docs/clouds.md"
LETTER = ROOT / "samples/letter.pdf"
HELLO = png(text_picture("Hello 42"))
PATH = f"/documentintelligence/documentModels/{READ}"
VERSION = {"api-version": "2024-11-30"}


@dataclass
class Asking:
    """A client of a tenant of its own, and what it was answered: each try by itself, below its policy of retries."""

    endpoint: str
    key: str
    statuses: list[int] = field(default_factory=list)

    def client(self, **more: Any) -> DocumentIntelligenceClient:
        # a proxy of the environment is not for this machine
        more = {"use_env_settings": False, "retry_backoff_factor": 0, **more}
        return DocumentIntelligenceClient(
            self.endpoint, AzureKeyCredential(self.key), raw_response_hook=self._note, **more
        )

    def _note(self, response: Any) -> None:
        self.statuses.append(response.http_response.status_code)

    def http(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"ocp-apim-subscription-key": self.key, **more.pop("headers", {})}
        with httpx.Client(base_url=self.endpoint, timeout=60, trust_env=False) as client:
            return client.request(method, path, headers=headers, **more)


@pytest.fixture
def asking(gateway: str, queue: OcrQueue) -> Iterator[Asking]:
    made = queue.api_keys.create(tenant=f"azure-{uuid.uuid4().hex[:8]}")
    yield Asking(gateway, made.text)
    queue.api_keys.revoke(made.key.id)


def error_of(response: httpx.Response, status: int, *codes: str) -> dict[str, Any]:
    """The error in Azure's form, with these codes from the outermost on."""
    body = response.json()
    assert (response.status_code, complaints(body, DocumentIntelligenceErrorResponse)) == (status, []), response.text
    assert response.headers["content-type"] == "application/json"
    found, error = [], body["error"]
    while error is not None:
        found.append(error["code"])
        assert error["message"]
        error = error.get("innererror")
    assert found[: len(codes)] == list(codes), response.text
    told: dict[str, Any] = body["error"]
    return told


def test_the_calls_that_paperless_ngx_makes_get_the_text_and_a_searchable_pdf(asking: Asking, tmp_path: Path) -> None:
    client = asking.client()
    poller = client.begin_analyze_document(
        model_id=READ,
        body=AnalyzeDocumentRequest(bytes_source=LETTER.read_bytes()),
        output_content_format=DocumentContentFormat.TEXT,
        output=[AnalyzeOutputOption.PDF],
        content_type="application/json",
    )
    poller.wait()
    result_id = poller.details["operation_id"]
    result = poller.result()
    archive = tmp_path / "archive.pdf"
    with archive.open("wb") as file:
        for piece in client.get_analyze_result_pdf(model_id=READ, result_id=result_id):
            file.write(piece)
    # what was scanned has no text, and the PDF has what was read, word for word
    assert extract_text(LETTER).split() == []
    assert extract_text(archive).split() == result.content.split()
    with pikepdf.open(LETTER) as sent, pikepdf.open(archive) as back:
        assert [page.mediabox for page in back.pages] == [page.mediabox for page in sent.pages]
        assert all(len(page.resources["/XObject"]) for page in back.pages)
    assert result.content.startswith("The Lighthouse Trust of Eastwater\nDear members,\n")
    # and the gateway's own text is the same
    own = asking.http("GET", f"/v1/jobs/{result_id}/result", params={"format": "text"}).text
    assert own.split() == result.content.split()


def test_what_was_read_is_what_azures_models_say(asking: Asking) -> None:
    with LETTER.open("rb") as file:
        poller = asking.client().begin_analyze_document(
            READ, file, string_index_type=StringIndexType.UNICODE_CODE_POINT
        )
        result = poller.result()
    assert complaints(result.as_dict(), AnalyzeResult) == []
    assert [page.page_number for page in result.pages] == [1, 2]
    for page in result.pages:
        assert (page.unit, page.width, page.height, page.angle) == ("inch", 8.2667, 11.6933, 0)
        assert page.words
        assert page.lines
        for line in page.lines:
            (span,) = line.spans
            assert result.content[span.offset : span.offset + span.length] == line.content
        for word in page.words:
            assert result.content[word.span.offset : word.span.offset + word.span.length] == word.content
            assert 0 < word.confidence <= 1
            assert word.polygon is not None
            left, top, _, _, right, bottom, _, _ = word.polygon
            assert 0 <= left < right <= page.width
            assert 0 <= top < bottom <= page.height
    assert result.paragraphs
    assert len(result.paragraphs) > 8
    operation = asking.http("GET", f"{PATH}/analyzeResults/{poller.details['operation_id']}", params=VERSION).json()
    assert operation["status"] == "succeeded"
    assert operation["createdDateTime"] <= operation["lastUpdatedDateTime"]
    assert AnalyzeResult(operation["analyzeResult"]) == result


def test_pages_locale_features_and_formats_are_as_asked_for(asking: Asking) -> None:
    frames = tiff(*(text_picture(f"Page {number}") for number in range(1, 5)))
    poller = asking.client().begin_analyze_document(
        READ,
        BytesIO(frames),
        pages="2, 4",
        locale="en-GB",
        string_index_type=StringIndexType.UTF16_CODE_UNIT,
        features=[DocumentAnalysisFeature.LANGUAGES, DocumentAnalysisFeature.OCR_HIGH_RESOLUTION],
        output_content_format=DocumentContentFormat.MARKDOWN,
    )
    result = poller.result()
    assert complaints(result.as_dict(), AnalyzeResult) == []
    assert [page.page_number for page in result.pages] == [2, 4]
    assert result.content == "Page 2\n\n<!-- PageBreak -->\n\nPage 4"
    assert (result.content_format, result.string_index_type) == ("markdown", "utf16CodeUnit")
    assert result.languages
    assert [(each.locale, len(each.spans)) for each in result.languages] == [("en", 2)]
    assert {page.unit for page in result.pages} == {"pixel"}


def test_a_url_is_fetched_by_the_workers(asking: Asking) -> None:
    with http_server({"/hello.png": answer(200, HELLO)}) as server:
        poller = asking.client().begin_analyze_document(
            READ, AnalyzeDocumentRequest(url_source=server.url("/hello.png"))
        )
        assert poller.result().content == "Hello 42"


def test_a_large_file_comes_in_json_too(asking: Asking) -> None:
    written = BytesIO()
    text_picture("Hello 42", size=(900, 600)).convert("RGB").save(written, "BMP")
    assert len(written.getvalue()) > GatewaySettings().max_json_bytes
    request = AnalyzeDocumentRequest(bytes_source=written.getvalue())
    poller = asking.client().begin_analyze_document(READ, request)
    assert poller.result().content == "Hello 42"


def test_the_answer_tells_where_the_result_will_be_and_when_to_ask(asking: Asking) -> None:
    proxied = {"content-type": "image/png", "x-forwarded-proto": "https", "x-forwarded-host": "ocr.example.org"}
    begun = asking.http("POST", f"{PATH}:analyze", params=VERSION, content=HELLO, headers=proxied)
    assert (begun.status_code, begun.content) == (202, b"")
    assert 1 <= int(begun.headers["retry-after"]) <= 30
    at = begun.headers["operation-location"]
    assert at.startswith(f"https://ocr.example.org{PATH}/analyzeResults/")
    assert at.endswith("?api-version=2024-11-30")
    plain = asking.http("POST", f"{PATH}:analyze", params=VERSION, content=HELLO, headers={"content-type": "image/png"})
    assert plain.headers["operation-location"].startswith(f"{asking.endpoint}{PATH}/analyzeResults/")


def test_who_polls_is_told_to_come_again_until_the_analysis_has_ended(idle: httpx.Client) -> None:
    headers = {"content-type": "application/octet-stream"}
    begun = idle.post(f"{PATH}:analyze", params=VERSION, content=HELLO, headers=headers)
    at = begun.headers["operation-location"]
    polled = idle.get(at)
    assert (polled.status_code, polled.json()["status"]) == (200, "notStarted")
    assert 1 <= int(polled.headers["retry-after"]) <= 30
    assert set(polled.json()) == {"status", "createdDateTime", "lastUpdatedDateTime"}
    job_id = at.rpartition("/")[2].partition("?")[0]
    error_of(idle.get(f"{PATH}/analyzeResults/{job_id}/pdf", params=VERSION), 409, "Conflict", "job.not_finished")
    idle.delete(f"/v1/jobs/{job_id}")
    ended = idle.get(at)
    assert (ended.json()["status"], ended.json()["error"]["code"]) == ("canceled", "Conflict")
    assert "retry-after" not in ended.headers


def test_a_deleted_result_is_gone(asking: Asking) -> None:
    client = asking.client()
    poller = client.begin_analyze_document(READ, BytesIO(HELLO))
    assert poller.result().content == "Hello 42"
    result_id = poller.details["operation_id"]
    client.delete_analyze_result(READ, result_id)
    at = f"{PATH}/analyzeResults/{result_id}"
    error_of(asking.http("GET", at, params=VERSION), 404, "NotFound", "OperationNotFound")
    with pytest.raises(ResourceNotFoundError):
        client.delete_analyze_result(READ, result_id)


def test_a_failed_analysis_says_why_in_azures_words_and_ours(asking: Asking) -> None:
    with pytest.raises(HttpResponseError) as failed:
        asking.client().begin_analyze_document(READ, BytesIO(b"no image at all")).result()
    said = str(failed.value)
    assert "InvalidRequest" in said
    assert "InvalidContent" in said
    assert "image.not_recognised" in said
    with http_server({}) as server:
        for url, code in (
            (server.url("/nothing.png"), "ContentSourceNotAccessible"),
            ("http://10.0.0.1/internal.png", "OutboundAccessForbidden"),
        ):
            poller = asking.client().begin_analyze_document(READ, AnalyzeDocumentRequest(url_source=url))
            with pytest.raises(HttpResponseError, match=code):
                poller.result()


def test_what_is_not_there_is_refused_in_azures_form(asking: Asking) -> None:
    client = asking.client()
    with pytest.raises(ResourceNotFoundError, match="ModelNotFound"):
        client.begin_analyze_document("prebuilt-layout", BytesIO(HELLO))
    with pytest.raises(HttpResponseError, match="InvalidParameter") as refused:
        client.begin_analyze_document(READ, BytesIO(HELLO), features=[DocumentAnalysisFeature.BARCODES])
    assert refused.value.status_code == 400
    assert refused.value.error is not None
    assert refused.value.error.code == "InvalidArgument"
    for asked in (
        {"query_fields": ["Total"]},
        {"features": [DocumentAnalysisFeature.STYLE_FONT]},
        {"output": [AnalyzeOutputOption.FIGURES]},
        {"locale": "xx"},
        {"pages": "first"},
        {"pages": "3-1"},
        {"string_index_type": "bytes"},
    ):
        with pytest.raises(HttpResponseError, match="InvalidParameter"):
            client.begin_analyze_document(READ, BytesIO(HELLO), **asked)
    with pytest.raises(HttpResponseError, match="NotSupportedApiVersion"):
        asking.client(api_version="2023-07-31").begin_analyze_document(READ, BytesIO(HELLO))
    with pytest.raises(HttpResponseError, match="InvalidContentSourceFormat"):
        client.begin_analyze_document(READ, AnalyzeDocumentRequest())
    with pytest.raises(ResourceNotFoundError):
        client.get_analyze_result_pdf(READ, str(uuid.uuid4()))
    assert 202 not in asking.statuses


def test_every_error_has_azures_form(asking: Asking) -> None:
    analyze, as_json = f"{PATH}:analyze", {"content-type": "application/json"}
    error_of(asking.http("POST", analyze, content=HELLO), 400, "InvalidArgument", "ParameterMissing")
    refused = asking.http("POST", analyze, params=VERSION, content=b"{", headers=as_json)
    error_of(refused, 400, "InvalidRequest", "request.invalid")
    for source in ({"urlSource": "file:///etc/passwd"}, {"urlSource": "s3://scans/a.png"}, {"urlSource": 7}, []):
        refused = asking.http("POST", analyze, params=VERSION, content=json.dumps(source), headers=as_json)
        error_of(refused, 400, "InvalidArgument", "InvalidContentSourceFormat")
    refused = asking.http("POST", analyze, params=VERSION, content=b"<p>", headers={"content-type": "text/html"})
    error_of(refused, 415, "UnsupportedMediaType")
    refused = asking.http("POST", analyze, params=VERSION, headers={"content-type": "image/png"})
    error_of(refused, 400, "InvalidRequest", "InvalidContent", "image.empty")
    error_of(asking.http("GET", "/documentintelligence/info", params=VERSION), 404, "NotFound", "request.not_found")
    error_of(asking.http("PUT", f"{PATH}/analyzeResults/1", params=VERSION), 405, "MethodNotAllowed")
    for result in ("1", "..", str(uuid.uuid4())):
        error_of(asking.http("GET", f"{PATH}/analyzeResults/{result}/pdf", params=VERSION), 404, "NotFound")
    asking.key = "ocrq_of_nobody"
    told = error_of(asking.http("GET", f"{PATH}/analyzeResults/1", params=VERSION), 401, "401", "key.invalid")
    assert "API key" in told["message"]
    with pytest.raises(ClientAuthenticationError):
        asking.client().begin_analyze_document(READ, BytesIO(HELLO))


def test_what_is_refused_before_any_route_has_azures_form_too(installation: Installation) -> None:
    as_image, as_json = ({"content-type": kind} for kind in ("image/png", "application/json"))
    in_json = json.dumps({"base64Source": b64encode(bytes(10_000)).decode()})
    with (
        gateway_of(installation.settings, max_body_bytes=1000, allowed_hosts="127.0.0.1") as url,
        httpx.Client(base_url=url, timeout=PATIENT_S, trust_env=False) as http,
    ):
        for content, headers in ((HELLO, as_image), (in_json, as_json)):
            refused = http.post(f"{PATH}:analyze", params=VERSION, content=content, headers=headers)
            error_of(refused, 413, "InvalidRequest", "InvalidContentLength", "request.too_large")
        error_of(http.get(f"{PATH}/analyzeResults/1", headers={"host": "evil.example.org"}), 400, "InvalidRequest")


def test_a_pdf_that_was_not_asked_for_is_not_found(asking: Asking) -> None:
    poller = asking.client().begin_analyze_document(READ, BytesIO(HELLO))
    poller.result()
    with pytest.raises(ResourceNotFoundError, match=r"output\.missing"):
        asking.client().get_analyze_result_pdf(READ, poller.details["operation_id"])


def test_a_throttled_client_waits_as_it_is_told_and_goes_on(gateway: str, queue: OcrQueue) -> None:
    made = queue.api_keys.create(tenant=f"azure-{uuid.uuid4().hex[:8]}", rate="1/s")
    asking = Asking(gateway, made.text)
    client, results = asking.client(), set()

    def asked_too_often() -> bool:
        poller = client.begin_analyze_document(READ, BytesIO(HELLO), polling=False)
        results.add(poller.details["operation_id"])
        return 429 in asking.statuses

    wait_until(asked_too_often, PATIENT_S, "the key may not ask so often")
    # each call has come to its answer, in one try or in several
    assert set(asking.statuses) == {202, 429}
    assert asking.statuses[-1] == 202
    assert len(results) == asking.statuses.count(202)
    queue.api_keys.revoke(made.key.id)


def test_a_limit_of_a_month_is_not_waited_for(gateway: str, queue: OcrQueue) -> None:
    tenant = f"azure-{uuid.uuid4().hex[:8]}"
    made = queue.api_keys.create(tenant=tenant)
    queue.limit_tenant(tenant, pages_a_month=0)
    asking = Asking(gateway, made.text)
    with pytest.raises(HttpResponseError, match=r"tenant\.limited") as refused:
        asking.client().begin_analyze_document(READ, BytesIO(HELLO))
    assert (refused.value.status_code, asking.statuses) == (403, [403])
    queue.api_keys.revoke(made.key.id)


def test_what_is_anothers_is_as_if_it_had_never_been(asking: Asking, gateway: str, queue: OcrQueue) -> None:
    poller = asking.client().begin_analyze_document(READ, BytesIO(HELLO), output=[AnalyzeOutputOption.PDF])
    poller.result()
    made = queue.api_keys.create(tenant=f"other-{uuid.uuid4().hex[:8]}")
    other = Asking(gateway, made.text)
    theirs, nobodys = poller.details["operation_id"], poller.details["operation_id"][:-4] + "0000"
    for method, more in (("GET", ""), ("GET", "/pdf"), ("DELETE", "")):
        answers = [
            other.http(method, f"{PATH}/analyzeResults/{each}{more}", params=VERSION) for each in (theirs, nobodys)
        ]
        error_of(answers[0], 404, "NotFound", "OperationNotFound")
        assert answers[0].text.replace(theirs, "") == answers[1].text.replace(nobodys, "")
    assert asking.http("GET", f"{PATH}/analyzeResults/{theirs}/pdf", params=VERSION).content.startswith(b"%PDF-")
    queue.api_keys.revoke(made.key.id)


def test_each_call_needs_its_scope(gateway: str, queue: OcrQueue) -> None:
    scopes = {
        ("POST", "/documentModels/{model}:analyze"): "submit",
        ("GET", "/documentModels/{model}/analyzeResults/{result}"): "read",
        ("GET", "/documentModels/{model}/analyzeResults/{result}/pdf"): "read",
        ("DELETE", "/documentModels/{model}/analyzeResults/{result}"): "cancel",
    }
    assert {(method, route.path) for route in iter_route_contexts(router.routes) for method in route.methods or ()} == {
        *scopes
    }
    for (method, path), scope in scopes.items():
        made = queue.api_keys.create(scopes=[each for each in ("submit", "read", "cancel") if each != scope])
        at = "/documentintelligence" + path.format(model=READ, result=uuid.uuid4())
        refused = Asking(gateway, made.text).http(method, at, params=VERSION)
        error_of(refused, 403, "Forbidden", "AuthorizationFailed", "key.forbidden")
        queue.api_keys.revoke(made.key.id)


def test_an_endpoint_may_end_with_a_slash_as_azures_portal_shows_it(asking: Asking) -> None:
    asking.endpoint += "/"
    client = asking.client()
    poller = client.begin_analyze_document(READ, BytesIO(HELLO))
    assert poller.result().content == "Hello 42"
    client.delete_analyze_result(READ, poller.details["operation_id"])
    with pytest.raises(ResourceNotFoundError, match="OperationNotFound"):
        client.delete_analyze_result(READ, poller.details["operation_id"])


def test_a_rule_says_which_engine_reads_and_what_a_url_means(
    installation: Installation, queue: OcrQueue, tmp_path: Path
) -> None:
    made = queue.api_keys.create(tenant="ruled")
    (uri,) = [queue.storage.put(f"inputs/{uuid.uuid4().hex * 2}.png", HELLO, "image/png")]
    bucket, _, rest = uri.partition("/inputs/")
    rules = tmp_path / "rules.toml"
    rules.write_text(
        f'[[rule]]\nprotocol = "azure"\ntenant = "ruled"\nengine = "null"\ntag = "by azure"\n'
        f'[[bucket]]\nname = "s3://scans/"\nplace = "{bucket}/inputs/"\n'
    )
    with gateway_of(installation.settings, cloud_rules=rules) as url:
        asking = Asking(url, made.text)
        poller = asking.client().begin_analyze_document(READ, AnalyzeDocumentRequest(url_source=f"s3://scans/{rest}"))
        poller.result()
        job = asking.http("GET", f"/v1/jobs/{poller.details['operation_id']}").json()
        # of a large Document each page is stored by itself
        many = tiff(*(text_picture(size=(20, 20)) for _ in range(MOST_INLINE + 1)))
        result = asking.client().begin_analyze_document(READ, BytesIO(many)).result()
        assert [page.page_number for page in result.pages] == list(range(1, MOST_INLINE + 2))
        assert complaints(result.as_dict(), AnalyzeResult) == []
        assert (job["engine"], job["tag"], job["tenant"]) == ("null", "by azure", "ruled")
    queue.api_keys.revoke(made.key.id)


def test_the_sample_of_the_docs_prints_what_they_say(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = "## Azure Document Intelligence"
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DOCUMENTINTELLIGENCE_ENDPOINT", asking.endpoint)
    monkeypatch.setenv("DOCUMENTINTELLIGENCE_API_KEY", asking.key)
    exec(block_after(DOCS, section, "python"), {"__name__": "__main__"})
    assert capsys.readouterr().out == block_after(DOCS, section, "text")
