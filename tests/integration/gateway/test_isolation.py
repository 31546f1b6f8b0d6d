"""No tenant sees, changes or hears of what is another's: every operation of the OpenAPI, asked by A of what is B's.

The cases are made of the OpenAPI document: a new route is covered by itself. One with a parameter or a body that is not
known here fails, until `of_b`, HARMLESS or BODIES says what B has of it.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from ocrqueue import OcrQueue
from ocrqueue.core.api_keys import SCOPES
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.jobs.request import JobOptions
from ocrqueue_gateway.settings import GatewaySettings
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateways import gateway_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]

APP: Final = create_app(GatewaySettings(host="0.0.0.0"))
SPECIFICATION: Final[Mapping[str, Any]] = APP.openapi()
PUBLIC: Final = {"/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/sign-in", "/csp-reports"}
"""What is told to anybody: nothing of any tenant."""
HARMLESS: Final = set(JobOptions.model_fields) | {
    "by",
    "code",
    "cursor",
    "include",
    "key",
    "last",
    "Last-Event-ID",
    "last-event-id",
    "limit",
    "minutes",
    "page",
    "Prefer",
    "since",
    "state",
    "step",
    "wait",
}
"""Parameters of a query or header that name nothing of anybody's, a job's own fields among them; left out."""
UNKNOWN: Final = {
    "job_id": "01a2042b-0000-7000-8000-000000000000",
    "batch_id": "no-such-batch",
    "action_id": "1795984044436117-00000000",
}
"""What has never been, in place of what is B's: both are to be answered the same."""


@dataclass
class World:
    """What B has; it may do whatever a tenant may."""

    queue: OcrQueue
    http: httpx.Client
    b: str
    tenant: str
    jobs: dict[str, str] = field(default_factory=dict)
    """By what became of it."""
    batch: str = ""
    tag: str = ""
    action: str = ""
    once: str = ""

    def ask(self, key: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)

    @property
    def marks(self) -> Sequence[str]:
        """What no answer to A may have in it."""
        return [*self.jobs.values(), self.batch, self.tag, self.action, self.tenant]

    def of_b(self, name: str) -> Sequence[str] | None:
        """Values of a parameter that lead to what is B's; None: nothing is known of such a parameter."""
        known: dict[str, Sequence[str]] = {
            "job_id": list(self.jobs.values()),
            "id": list(self.jobs.values()),
            "batch_id": [self.batch],
            "action_id": [self.action],
            "batch": [self.batch],
            "tag": [self.tag],
            "tenant": [self.tenant],
            "queue": ["null"],
            "number": ["1"],
            "format": ["text"],
            "word": ["p1-w1"],
            "purge": ["true", "false"],
            "Idempotency-Key": [self.once],
            "idempotency-key": [self.once],
        }
        return known.get(name)


def image(world: World) -> str:
    return "s3://bucket/page.png"


def event(bucket: str, key: str) -> dict[str, Any]:
    """As MinIO and Ceph send it."""
    stored = {"bucket": {"name": bucket}, "object": {"key": key, "size": 3, "eTag": "1", "sequencer": "1"}}
    return {"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": stored}]}


def bodies(world: World, method: str, path: str) -> Sequence[tuple[Any, Mapping[str, str]]] | None:
    """Bodies, with their headers, that lead to what is B's; None: nothing is known of this operation."""
    as_json = {"content-type": "application/json"}
    done = world.jobs["succeeded"]
    stored = world.queue.storage.uri(f"results/{done}/result.json")
    known: dict[tuple[str, str], Sequence[Any]] = {
        ("POST", "/v1/jobs"): [{"image": stored}, {"image": image(world), "engine": "rapid", "tag": "of A"}],
        ("POST", "/v1/uploads"): [{"size_bytes": 100}],
        ("POST", "/v1/actions"): [
            {"action": action, "filter": wanted, "dry_run": dry}
            for action in ("cancel", "delete", "replay")
            for wanted in (
                {"tag": world.tag},
                {"batch": world.batch},
                {"tenant": world.tenant},
                {"state": "queued"},
                {"ids": list(world.jobs.values())},
            )
            for dry in (True, False)
        ],
        ("POST", "/v1/events/s3"): [
            event("scans", f"{world.tag}/page.png"),
            *(
                {
                    "source": "aws.s3",
                    "detail-type": "Object Created",
                    "detail": {"bucket": {"name": "b"}, "object": stored},
                }
                for stored in ({"key": "page.png"}, {"key": f"results/{done}/result.json"})
            ),
        ],
        ("POST", "/v1/queues/{queue}/pause"): [{"reason": "of A"}],
        ("POST", "/v1/tenants/{tenant}/pause"): [{"reason": "of A"}],
    }
    if (method, path) == ("POST", "/v1/batches"):
        lines = [
            {"custom_id": "stored", "image": stored},
            {"custom_id": "named", "image": image(world), "engine": "rapid", "tag": world.tag, "batch": world.batch},
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        return [(text.encode(), {"content-type": "application/x-ndjson"})]
    found = known.get((method, path))
    if found is not None:
        return [(json.dumps(each).encode(), as_json) for each in found]
    return None


def operations() -> Iterator[tuple[str, str]]:
    for path, methods in SPECIFICATION["paths"].items():
        for method in methods:
            if method in ("get", "put", "post", "delete", "patch", "head", "options", "trace"):
                yield method.upper(), path


OPERATIONS: Final = list(operations())
each_operation = pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])


@pytest.fixture(scope="module")
def world(installation: Installation) -> Iterator[World]:
    queue, tenant = installation.queue, f"b-{uuid.uuid4().hex[:8]}"
    with (
        gateway_of(installation.settings, host="0.0.0.0") as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        b = queue.api_keys.create(tenant=tenant, scopes=SCOPES)
        made = World(queue, http, b.text, tenant)
        made.tag, made.batch, made.once = (f"{what}-{uuid.uuid4().hex[:8]}" for what in ("tag", "batch", "once"))
        sign = installation.file_root / f"{tenant}.jpg"
        shutil.copyfile(ROOT / "samples/street-sign.jpg", sign)
        fields: dict[str, Any] = {"engine": "null", "tenant": tenant, "tag": made.tag, "batch": made.batch}
        succeeded = queue.submit(sign.as_uri(), idempotency_key=made.once, **fields)
        failed = queue.submit(sign.as_uri(), options={"fault": "error"}, **fields)
        deleted = queue.submit(sign.as_uri(), **fields)
        waits = queue.submit(sign.as_uri(), **{**fields, "engine": "rapid"})
        for job in (succeeded, failed, deleted):
            job.wait(60)
        deleted.delete()
        made.jobs = {
            "succeeded": succeeded.id,
            "failed": failed.id,
            "deleted": deleted.id,
            "queued": waits.id,
        }
        asked = {"action": "cancel", "filter": {"tag": "none"}, "dry_run": True}
        made.action = made.ask(b.text, "POST", "/v1/actions", json=asked).json()["id"]
        yield made
        queue.api_keys.revoke(b.key.id)
        queue.cancel_many(tenant=tenant)


@pytest.fixture
def a(installation: Installation) -> Iterator[str]:
    """A key of another tenant, which has nothing, and may do whatever a tenant may."""
    tenant = f"a-{uuid.uuid4().hex[:8]}"
    key = installation.queue.api_keys.create(tenant=tenant, scopes=SCOPES)
    yield key.text
    installation.queue.api_keys.revoke(key.key.id)
    installation.queue.cancel_many(tenant=tenant)


def requests(world: World, method: str, path: str, *, unknown: bool = False) -> Iterator[dict[str, Any]]:
    """Every combination of what the operation can be asked of B's; or, `unknown`, of what has never been."""
    operation = SPECIFICATION["paths"][path][method.lower()]
    choices: list[list[tuple[str, str, str]]] = []
    for parameter in operation.get("parameters", []):
        name, where = parameter["name"], parameter["in"]
        values = world.of_b(name)
        if values is None:
            assert where != "path", f"{name}: say in World.of_b what B has of it"
            assert name in HARMLESS, f"{name}: say in World.of_b what B has of it, or that it is HARMLESS"
            continue
        if unknown and name in UNKNOWN:
            values = [UNKNOWN[name]] * len(values)
        choices.append([(where, name, value) for value in values])
    sent: Sequence[tuple[Any, Mapping[str, str]]] | None = [(None, {})]
    if "requestBody" in operation:
        sent = bodies(world, method, path)
        assert sent is not None, f"{method} {path} has a body: say in bodies() what of B's could be in it"
    for chosen in itertools.product(*choices):
        for content, headers in sent:
            named = dict(headers)
            named.update({name: value for where, name, value in chosen if where == "header"})
            yield {
                "method": method,
                "path": path.format_map({name: value for where, name, value in chosen if where == "path"}),
                "params": {name: value for where, name, value in chosen if where == "query"},
                "content": content,
                "headers": named,
            }


def names_something_of_b(path: str) -> bool:
    return any(f"{{{name}}}" in path for name in UNKNOWN)


def comparable(answer: httpx.Response, request: Mapping[str, Any]) -> tuple[int, str]:
    """Without the id that was asked for, which A knows."""
    text = answer.text
    for part in str(request["path"]).split("/"):
        if len(part) > 8:
            text = text.replace(part, "<id>")
    return answer.status_code, text


@each_operation
def test_what_is_bs_is_to_a_as_if_it_had_never_been(world: World, a: str, method: str, path: str) -> None:
    before = state_of_b(world)
    asked = list(requests(world, method, path))
    assert asked
    for mine, nobodys in zip(asked, requests(world, method, path, unknown=True), strict=True):
        answer = world.ask(a, **mine)
        assert answer.status_code < 500, answer.text
        if names_something_of_b(path):
            assert answer.status_code in (403, 404), (mine, answer.text)
            assert comparable(answer, mine) == comparable(world.ask(a, **nobodys), nobodys)
        else:
            given = json.dumps([mine["params"], (mine["content"] or b"").decode()])
            told = [mark for mark in world.marks if mark in answer.text and mark not in given]
            assert told == [], (mine, answer.text)
        if answer.headers.get("location", "").startswith("/v1/actions/"):
            wait_until(lambda at=answer.headers["location"]: is_done(world, a, at), 60, "what A asked for is done")
    assert state_of_b(world) == before


def is_done(world: World, a: str, action: str) -> bool:
    return world.ask(a, "GET", action).json()["state"] in ("done", "failed")


def state_of_b(world: World) -> object:
    """All that B has, as B and an operator see it."""
    jobs = [world.ask(world.b, "GET", f"/v1/jobs/{job}") for job in world.jobs.values()]
    batch = world.queue.batch(world.batch, tenant=world.tenant).status()
    listed = world.queue.jobs(tenant=world.tenant, limit=500).jobs
    return (
        # that others wait too changes its place
        [(answer.status_code, {**answer.json(), "place": None}) for answer in jobs],
        batch,
        sorted(job.id for job in listed),
        world.queue.pauses(),
        world.queue.dead_letters.ids(),
    )


def test_b_itself_sees_what_is_its_own(world: World) -> None:
    found = {what: world.ask(world.b, "GET", f"/v1/jobs/{job}") for what, job in world.jobs.items()}
    assert {what: answer.status_code for what, answer in found.items()} == {
        "succeeded": 200,
        "failed": 200,
        "deleted": 410,
        "queued": 200,
    }
    assert world.ask(world.b, "GET", f"/v1/actions/{world.action}").status_code == 200
    (used,) = world.ask(world.b, "GET", "/v1/usage", params={"last": 1}).json()["usage"]
    size = (ROOT / "samples/street-sign.jpg").stat().st_size
    # of the one that failed nothing was read
    assert (used["tenant"], used["jobs"], used["pages"], used["bytes"]) == (world.tenant, 3, 2, 2 * size)


def test_an_operator_sees_all(world: World) -> None:
    key = world.queue.api_keys.create(scopes=SCOPES)
    for what, job in world.jobs.items():
        assert world.ask(key.text, "GET", f"/v1/jobs/{job}").status_code == (410 if what == "deleted" else 200)
    world.queue.api_keys.revoke(key.key.id)


def test_the_same_idempotency_key_of_two_tenants_is_two_jobs(world: World, a: str) -> None:
    fields = {"image": image(world), "engine": "rapid"}
    answer = world.ask(a, "POST", "/v1/jobs", json=fields, headers={"idempotency-key": world.once})
    assert answer.status_code == 202, answer.text
    assert answer.json()["id"] not in world.jobs.values()


@each_operation
def test_nothing_is_answered_without_a_key_or_with_one_of_another_scope(world: World, method: str, path: str) -> None:
    operation = SPECIFICATION["paths"][path][method.lower()]
    (scope,) = operation["security"][0]["bearer"]
    assert {"401", "403", "429"} <= operation["responses"].keys()
    request = next(requests(world, method, path))
    refused = world.ask(None, **request)
    assert refused.status_code == 401, refused.text
    others = [each for each in SCOPES if each != scope]
    key = world.queue.api_keys.create(tenant=world.tenant, scopes=others)
    refused = world.ask(key.text, **request)
    assert (refused.status_code, refused.json()["code"]) == (403, "key.forbidden")
    world.queue.api_keys.revoke(key.key.id)


async def test_every_route_is_in_the_openapi_and_asks_for_a_key_or_is_known_to_be_for_anybody() -> None:
    described = set(OPERATIONS)
    for route in iter_route_contexts(APP.routes):
        if route.path in PUBLIC:
            continue
        for method in route.methods or ():
            if (method, route.path) not in described:
                # of the clouds' protocols, whose own tests try what is another's
                path = re.sub(r"{[^}]+}", "x", route.path)
                async with httpx.AsyncClient(transport=httpx.ASGITransport(APP)) as client:
                    # as a whole URL: a path may begin with two slashes
                    answer = await client.request(method, f"http://gateway{path}")
                # AWS says so with another status
                is_refused = answer.headers.get("x-amzn-errortype") == "MissingAuthenticationTokenException"
                # a person is sent to sign in, and the pages' own modules and pictures are for anybody
                is_page = answer.headers.get("location", "").startswith("/sign-in") or path.startswith("/static/")
                assert is_refused or is_page or answer.status_code in (401, 403), f"{method} {path}"
    for method, path in described:
        ways = SPECIFICATION["paths"][path][method.lower()].get("security")
        assert ways, f"{method} {path} asks for no key"
        assert all(len(scopes) == 1 for way in ways for scopes in way.values())
