"""API keys as Redis keeps them: what is stored, what each permits, and that a revoked one is worth nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from ocrqueue import AsyncOcrQueue, OcrQueue
from ocrqueue.cli.exit_codes import ExitStatus
from ocrqueue.cli.program import program
from ocrqueue.client import registry_of
from ocrqueue.core import WorkerRegistry
from ocrqueue.core.api_keys import signing_secret
from ocrqueue.core.check import check
from ocrqueue.errors import KeyExpired, KeyInvalid, KeyRateExceeded, KeyRequestInvalid, KeyUnknown
from ocrqueue.settings import WorkerSettings
from tests.support.processes import as_environment, environment

OWN_SECRET = "not a secret: 32 letters or more of it"


@pytest.fixture
def queue(registry: WorkerRegistry, settings: WorkerSettings) -> Iterator[OcrQueue]:
    """The registry sees to it that the keys agree at the end."""
    with OcrQueue(settings) as queue:
        yield queue


def stored(queue: OcrQueue) -> bytes:
    """All that Redis holds of this installation."""
    client = registry_of(queue).client
    found = []
    for key in client.scan_iter(match=f"{queue.settings.key_prefix}*", count=1000):
        found += [key, client.dump(key) or b""]
        if client.type(key) == b"hash":
            found += [each for pair in client.hgetall(key).items() for each in pair]
    return b"\n".join(found)


def test_a_key_is_shown_once_and_known_again_by_its_sum(queue: OcrQueue) -> None:
    made = queue.api_keys.create(tenant="a", scopes=["read", "submit"], engines=["null"], name="scanner 7")
    assert made.text.startswith(f"ocrq_{made.key.id}_")
    secret = made.text.removeprefix(f"ocrq_{made.key.id}_")
    assert len(urlsafe_b64decode(secret + "=")) == 32
    everything = stored(queue)
    assert secret.encode() not in everything
    assert hashlib.sha256(made.text.encode()).hexdigest().encode() in everything
    assert secret not in repr(made)
    key = queue.api_keys.authenticate(made.text)
    assert (key.id, key.tenant, key.scopes, key.engines) == (made.key.id, "a", ("submit", "read"), ("null",))
    (listed,) = queue.api_keys.list()
    assert listed.name == "scanner 7"
    assert listed.used_at is not None
    assert listed.used_at.second == 0
    assert queue.api_keys.create().text != queue.api_keys.create().text


def test_what_is_no_key_is_refused(queue: OcrQueue) -> None:
    text = queue.api_keys.create().text
    other = "A" if text[-10] != "A" else "B"
    for wrong in ("", "ocrq", text[:-1], text + "A", f"{text[:-10]}{other}{text[-9:]}", text.lower(), text * 100_000):
        with pytest.raises(KeyInvalid):
            queue.api_keys.authenticate(wrong)
    (listed,) = queue.api_keys.list()
    assert listed.used_at is None, "a wrong one is no use of it"


def test_a_key_is_worth_nothing_once_it_is_revoked_or_has_expired(queue: OcrQueue, settings: WorkerSettings) -> None:
    key, lasting = queue.api_keys.create(rate="5/s"), queue.api_keys.create()
    with OcrQueue(settings) as replica:
        replica.api_keys.authenticate(key.text)
        queue.api_keys.revoke(key.key.id)
        with pytest.raises(KeyInvalid):
            replica.api_keys.authenticate(key.text)
        replica.api_keys.authenticate(lasting.text)
    with pytest.raises(KeyUnknown):
        queue.api_keys.revoke(key.key.id)
    assert [listed.id for listed in queue.api_keys.list()] == [lasting.key.id]
    expiring = queue.api_keys.create(expires_in_s=3600)
    queue.api_keys.authenticate(expiring.text)
    assert [queue.api_keys.is_good(each.key.id) for each in (key, lasting, expiring)] == [False, True, True]
    client, name = registry_of(queue).client, registry_of(queue).keys.api_keys()
    fields = json.loads(client.hget(name, expiring.key.id) or "")
    # an hour passes
    client.hset(name, expiring.key.id, json.dumps({**fields, "expires_at_ms": fields["expires_at_ms"] - 3_600_001}))
    with pytest.raises(KeyExpired):
        queue.api_keys.authenticate(expiring.text)
    assert not queue.api_keys.is_good(expiring.key.id)
    assert [entry.action for entry in queue.audit()] == ["key made", "key revoked", "key made", "key made"]


def test_a_rate_is_the_keys_own_and_of_all_replicas_together(queue: OcrQueue, settings: WorkerSettings) -> None:
    key, other = queue.api_keys.create(rate="4/h"), queue.api_keys.create()
    with OcrQueue(settings) as replica:
        for each in (queue, replica) * 2:
            each.api_keys.authenticate(key.text)
        for each in (queue, replica):
            with pytest.raises(KeyRateExceeded) as raised:
                each.api_keys.authenticate(key.text)
            assert 800 < raised.value.info.details["retry_after_s"] <= 900  # type: ignore[operator]  # a number
    for _ in range(10):
        queue.api_keys.authenticate(other.text)


def test_who_signs_has_a_secret_that_is_nowhere(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    with OcrQueue(settings) as queue:
        assert queue.api_keys.create().signing_secret is None
    with OcrQueue(settings.model_copy(update={"gateway_secret": SecretStr(OWN_SECRET)})) as queue:
        made = queue.api_keys.create()
        assert made.signing_secret == signing_secret(OWN_SECRET, made.key.id)
        expected = hmac.new(OWN_SECRET.encode(), f"ocrqueue-signing:{made.key.id}".encode(), hashlib.sha256).digest()
        assert urlsafe_b64decode(made.signing_secret + "=") == expected
        assert made.signing_secret not in repr(made)
        assert made.signing_secret.encode() not in stored(queue)
        assert OWN_SECRET.encode() not in stored(queue)
        assert queue.api_keys.authenticate_signed(made.key.id).id == made.key.id
        queue.api_keys.revoke(made.key.id)
        for key_id in (made.key.id, "", "OQ", "x" * 20):
            with pytest.raises(KeyInvalid):
                queue.api_keys.authenticate_signed(key_id)


def test_what_no_key_can_have_is_refused(queue: OcrQueue) -> None:
    for asked in (
        {"scopes": ["submit", "fly"]},
        {"scopes": []},
        {"engines": []},
        {"engines": ["no engine"]},
        {"rate": "often"},
        {"tenant": "a b"},
        {"expires_in_s": 10**15},
        {"name": "x" * 101},
    ):
        with pytest.raises(KeyRequestInvalid):
            queue.api_keys.create(**asked)  # type: ignore[arg-type]  # one of each
    assert queue.api_keys.list() == []


def test_the_asyncio_client_does_the_same(settings: WorkerSettings, registry: WorkerRegistry) -> None:
    async def main() -> None:
        async with AsyncOcrQueue(settings) as queue:
            made = await queue.api_keys.create(tenant="a")
            assert await queue.api_keys.authenticate(made.text) == made.key
            assert await queue.api_keys.authenticate_signed(made.key.id) == made.key
            assert [key.id for key in await queue.api_keys.list()] == [made.key.id]
            await queue.api_keys.revoke(made.key.id)
            with pytest.raises(KeyInvalid):
                await queue.api_keys.authenticate(made.text)

    asyncio.run(main())


def test_the_command_makes_lists_and_revokes(settings: WorkerSettings, queue: OcrQueue) -> None:
    signing = settings.model_copy(update={"gateway_secret": SecretStr(OWN_SECRET)})

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(program, ["keys", *arguments], env=environment(as_environment(signing)))

    asked = ("--tenant", "a", "--scopes", "submit,read", "--rate", "10/s", "--engines", "null,rapid")
    made = run("create", *asked, "--expires", "90d", "--name", "scanner")
    # alone, so that KEY=$(...) has it
    (text,) = made.stdout.split()
    key = queue.api_keys.authenticate(text)
    assert made.stderr.splitlines()[-1] == signing_secret(OWN_SECRET, key.id)
    assert (key.tenant, key.scopes, key.engines, str(key.rate)) == ("a", ("submit", "read"), ("null", "rapid"), "10/s")
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 90
    shown = run("list").stdout
    assert key.id in shown
    assert text.rpartition("_")[2] not in shown
    told = json.loads(run("create", "--json").stdout)
    assert queue.api_keys.authenticate(told["key"]).id == told["id"]
    assert run("revoke", key.id, told["id"]).exit_code == 0
    assert json.loads(run("list", "--json").stdout) == []
    assert run("revoke", key.id).exit_code == ExitStatus.UNKNOWN
    assert run("create", "--scopes", "all").exit_code == ExitStatus.USAGE


def test_check_tells_of_what_cannot_be(registry: WorkerRegistry) -> None:
    client, keys = registry.client, registry.keys
    client.hset(keys.api_keys(), "OQ", "{}")
    client.hset(keys.api_keys_used(), "OQX", 1)
    client.hset(keys.key_rate("OQ"), "tokens", 1)
    client.hset(keys.limits(), "a", "no JSON")
    client.hset(keys.reserved("a"), "jobs", 2)
    day = client.time()[0] // 86_400
    client.hset(keys.usage(day, "a"), "jobs", 1)
    assert check(registry) == [
        "0 jobs of a count towards its limits, and 2 are counted",
        f"a used something on day {day}, and is not listed so",
        "how often the API key OQ was used stays for good",
        "the API key OQX was used, and is none",
        "the limits of a cannot be read",
        "what the API key OQ permits cannot be read",
    ]
    client.delete(
        keys.api_keys(),
        keys.api_keys_used(),
        keys.key_rate("OQ"),
        keys.limits(),
        keys.reserved("a"),
        keys.usage(day, "a"),
    )
