"""Who is let in by HTTP: keys in every header, scopes, engines, rates, limits; and who comes without one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import WorkerSettings
from ocrqueue_gateway.access import failures
from ocrqueue_gateway.access.failures import ALLOWED
from ocrqueue_gateway.settings import load_gateway_settings
from tests.integration.conftest import Installation
from tests.support.gateways import gateway_of

pytest_plugins = ["tests.support.server_fixtures"]

IMAGE = "https://example.org/scan.png"


@dataclass(frozen=True)
class Shared:
    """Two replicas that others reach, so that each request needs a key; no worker."""

    queue: OcrQueue
    urls: tuple[str, str]

    def ask(self, key: str | None, path: str = "/v1/usage", replica: int = 0, **more: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        headers |= more.pop("headers", {})  # type: ignore[arg-type, operator]  # a dict of text
        method = str(more.pop("method", "GET"))
        with httpx.Client(base_url=self.urls[replica], timeout=60, trust_env=False) as client:
            return client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]  # json, params

    def submit(self, key: str, **fields: object) -> httpx.Response:
        return self.ask(key, "/v1/jobs", method="POST", json={"image": IMAGE, "engine": "null", **fields})

    def key(self, **asked: object) -> str:
        return self.queue.api_keys.create(**asked).text  # type: ignore[arg-type]  # a key's options, by name


@pytest.fixture(scope="module")
def shared(installation: Installation) -> Iterator[Shared]:
    apart = {"key_prefix": f"keys-{uuid.uuid4().hex[:8]}:"}
    settings: WorkerSettings = installation.settings.model_copy(update=apart)
    with (
        OcrQueue(settings) as queue,
        gateway_of(settings, host="0.0.0.0") as first,
        gateway_of(settings, host="0.0.0.0") as second,
    ):
        yield Shared(queue, (first, second))


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def test_every_header_that_clients_have_keys_in_is_understood(shared: Shared) -> None:
    key = shared.key(tenant="a")
    assert shared.ask(key).status_code == 200
    assert shared.ask(None, headers={"authorization": f"bearer  {key}"}).status_code == 200
    for name in ("Ocp-Apim-Subscription-Key", "x-api-key", "X-Goog-Api-Key"):
        assert shared.ask(None, headers={name: key}).status_code == 200
    for name in ("key", "api_key", "subscription-key"):
        assert problem(shared.ask(None, params={name: key}), 401) == "key.missing"


def test_who_has_no_key_or_a_wrong_one_is_told_how_to_ask(shared: Shared) -> None:
    key = shared.key()
    missing = shared.ask(None)
    assert problem(missing, 401) == "key.missing"
    assert missing.headers["www-authenticate"] == 'Bearer realm="ocrqueue"'
    other = "A" if key[-10] != "A" else "B"
    for wrong in ("x", key[:-1], f"{key[:-10]}{other}{key[-9:]}", "ü"):
        refused = shared.ask(None, headers={"authorization": f"Bearer {wrong}".encode()})
        assert problem(refused, 401) == "key.invalid"
        assert refused.headers["www-authenticate"] == 'Bearer realm="ocrqueue", error="invalid_token"'
        assert wrong not in refused.text or len(wrong) < 2
    for shown in ("Basic dXNlcjpwYXNz", "Bearer", "Negotiate"):
        assert problem(shared.ask(None, headers={"authorization": shown}), 401) == "key.invalid"


def test_a_revoked_key_is_worth_nothing_on_every_replica_at_once(shared: Shared) -> None:
    made = shared.queue.api_keys.create(tenant="a")
    for replica in (0, 1):
        assert shared.ask(made.text, replica=replica).status_code == 200
    shared.queue.api_keys.revoke(made.key.id)
    for replica in (0, 1):
        assert problem(shared.ask(made.text, replica=replica), 401) == "key.invalid"


def test_a_key_permits_its_scopes_and_engines_only(shared: Shared) -> None:
    reading = shared.key(tenant="a", scopes=["read"])
    assert problem(shared.submit(reading), 403) == "key.forbidden"
    submitting = shared.key(tenant="a", scopes=["submit"], engines=["null"])
    assert shared.submit(submitting).status_code == 202
    for fields in (
        {"engine": "vision"},
        {"engine": "auto"},
        {"engine": "null", "fallback": ["vision"]},
        {"compare": ["rapid", "null"]},
    ):
        refused = shared.submit(submitting, **fields)
        assert problem(refused, 403) == "key.forbidden", fields
        assert refused.json()["details"]["engine"] in ("rapid", "tesseract", "vision")
    assert problem(shared.ask(submitting), 403) == "key.forbidden"


def test_a_keys_rate_is_that_of_all_replicas_together(shared: Shared) -> None:
    key = shared.key(rate="3/h")
    answers = [shared.ask(key, replica=number % 2) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert problem(answers[3], 429) == "key.rate_exceeded"
    assert 1100 < int(answers[3].headers["retry-after"]) <= 1200
    assert shared.ask(shared.key()).status_code == 200


def test_a_tenants_limit_is_answered_with_when_to_come_back(shared: Shared) -> None:
    shared.queue.limit_tenant("busy", waiting=2)
    keys = [shared.key(tenant="busy"), shared.key(tenant="busy")]
    assert [shared.submit(key).status_code for key in keys] == [202, 202]
    refused = shared.submit(keys[0])
    assert problem(refused, 429) == "tenant.limited"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["details"]["limit"] == "waiting"
    assert shared.submit(shared.key(tenant="other")).status_code == 202


def test_usage_is_told_to_its_tenant_and_all_of_it_to_operators(shared: Shared) -> None:
    for tenant in ("uses", "uses-too"):
        client, keys = registry_of(shared.queue).client, registry_of(shared.queue).keys
        day = client.time()[0] // 86_400
        client.hset(keys.usage(day, tenant), mapping={"jobs": 3, "pages": 4, "cpu_s": "1.5", "cost": "0.5"})
        client.zadd(keys.usage_tenants(), {tenant: day})
    shared.queue.limit_tenant("uses", rate="5/s", budget_a_month=7.5)
    told = shared.ask(shared.key(tenant="uses"), params={"by": "day"}).json()
    assert [each["tenant"] for each in told["usage"]] == ["uses"]
    assert (told["usage"][0]["pages"], told["usage"][0]["cost"]) == (4, 0.5)
    assert told["limits"] == {"rate": "5/s", "waiting": None, "pages_a_month": None, "budget_a_month": 7.5}
    # another's name is not listened to
    told = shared.ask(shared.key(tenant="uses"), params={"by": "day", "tenant": "uses-too"}).json()
    assert [each["tenant"] for each in told["usage"]] == ["uses"]
    operator = shared.key(scopes=["read", "admin"])
    told = shared.ask(operator, params={"by": "day"}).json()
    assert {"uses", "uses-too"} <= {each["tenant"] for each in told["usage"]}
    told = shared.ask(operator, params={"by": "day", "tenant": "uses-too"}).json()
    assert [each["tenant"] for each in told["usage"]] == ["uses-too"]


def test_an_address_with_many_wrong_keys_is_not_looked_at_but_who_was_right_goes_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # however slow the machine is, nothing is allowed anew meanwhile
    monkeypatch.setattr(failures, "_REFILL_S", 3600.0)
    apart = {"key_prefix": f"keys-{uuid.uuid4().hex[:8]}:"}
    settings = installation.settings.model_copy(update=apart)
    with OcrQueue(settings) as queue, gateway_of(settings, host="0.0.0.0") as url:
        alone = Shared(queue, (url, url))
        good, late = alone.key(), alone.key()
        assert alone.ask(good).status_code == 200
        found = [alone.ask(f"wrong-{number}").status_code for number in range(ALLOWED + 5)]
        assert found[:ALLOWED] == [401] * ALLOWED
        assert found[ALLOWED:] == [429] * 5
        refused = alone.ask(late)
        assert problem(refused, 429) == "key.attempts_exceeded"
        assert int(refused.headers["retry-after"]) >= 1
        assert alone.ask(good).status_code == 200


# --- without a key ----------------------------------------------------------------------------------------------------


def test_a_key_can_be_required_on_ones_own_machine_too(installation: Installation) -> None:
    with gateway_of(installation.settings, require_keys=True) as url, OcrQueue(installation.settings) as queue:
        alone = Shared(queue, (url, url))
        assert httpx.get(f"{url}/v1/usage", timeout=60, trust_env=False).status_code == 401
        assert alone.ask(alone.key()).status_code == 200
    with pytest.raises(SettingsInvalid, match="contradict each other"):
        load_gateway_settings(require_keys=True, allow_no_keys=True)


def test_a_key_in_the_address_counts_nowhere_and_is_told_where_to_go(gateway: str) -> None:
    refused = httpx.get(f"{gateway}/v1/usage?key=ocrq_SOMETHING_secret", timeout=60, trust_env=False)
    assert problem(refused, 401) == "key.missing"
    assert "x-goog-api-key" in refused.json()["remedy"]
    assert "secret" not in refused.text


def test_ones_own_machine_needs_no_key_unless_something_stands_in_between(gateway: str) -> None:
    def ask(**headers: str) -> int:
        with httpx.Client(base_url=gateway, timeout=60, trust_env=False) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return client.get("/v1/usage", headers=named).status_code

    assert ask() == 200
    assert ask(host="localhost:8787") == 200
    assert ask(origin=gateway) == 200
    assert ask(x_forwarded_for="203.0.113.7") == 401
    assert ask(forwarded="for=203.0.113.7") == 401
    assert ask(host="rebound.example.org") == 401
    assert ask(origin="https://elsewhere.example.org") == 401
    assert ask(sec_fetch_site="cross-site") == 401
    assert ask(authorization="Bearer wrong") == 401


def test_a_setting_lets_everybody_in_but_other_peoples_pages(installation: Installation) -> None:
    with (
        gateway_of(installation.settings, host="0.0.0.0", allow_no_keys=True) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        assert client.get("/v1/usage", headers={"x-forwarded-for": "203.0.113.7"}).status_code == 200
        assert client.get("/v1/usage", headers={"origin": "https://elsewhere.example.org"}).status_code == 401
