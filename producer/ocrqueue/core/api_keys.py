"""API keys: who may ask the gateway for what. Redis holds what a key permits, and a sum of it, never the key itself.

A key is `ocrq_<id>_<256 random bits>`. Whoever signs requests instead of sending the key has a secret that is made of
the gateway's own and the key's id, and is stored nowhere. Each request asks Redis, in one step with the key's rate: one
that is revoked is worth nothing at that moment, whichever replica is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from ocrqueue.core.limits import Rate
from ocrqueue.core.script_arguments import ScriptArguments
from ocrqueue.core.steps import Commands, Move, Steps
from ocrqueue.errors import KeyExpired, KeyInvalid, KeyRateExceeded, KeyRequestInvalid, KeyUnknown
from ocrqueue.job import TENANT, describe_validation_error
from ocrqueue.job.names import ENGINE_NAME

Scope = Literal["submit", "read", "cancel", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_PREFIX: Final = "ocrq"
_ID_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(rf"{_PREFIX}_(OQ[A-Z2-7]{{18}})_[A-Za-z0-9_-]{{43}}")
ID: Final = r"^OQ[A-Z2-7]{18}$"
"""As long, and of such letters, as AWS's own, which clients that sign may insist on."""


class ApiKey(BaseModel):
    """What a key permits."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    id: Annotated[str, Field(pattern=ID)]
    tenant: Annotated[str, Field(pattern=TENANT)] = ""
    """Whose jobs it is about. Empty: jobs without a tenant; and with the scope admin, all: an operator's."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    engines: Annotated[tuple[Annotated[str, Field(pattern=ENGINE_NAME)], ...], Field(min_length=1)] | None = None
    """That its jobs may name; None: any."""
    rate: Rate | None = None
    """Requests in a time."""
    name: Annotated[str, Field(max_length=100)] = ""
    """For people: what it is for."""
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    """When it was last used, to the minute; None: never."""

    @property
    def is_operator(self) -> bool:
        """Whether it is about all tenants, and the installation itself."""
        return not self.tenant and "admin" in self.scopes


class _Stored(ApiKey):
    """As it stands in Redis."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]

    @computed_field
    def expires_at_ms(self) -> int | None:
        """For the script."""
        return None if self.expires_at is None else round(self.expires_at.timestamp() * 1000)


@dataclass(frozen=True)
class NewApiKey:
    """A key that was made just now: what is secret of it is here, and nowhere else."""

    key: ApiKey
    text: str = field(repr=False)
    """To be sent with requests."""
    signing_secret: str | None = field(repr=False)
    """To sign requests with, with the key's id; None where the setting gateway_secret is not set."""


def signing_secret(gateway_secret: str, key_id: str) -> str:
    """What requests of this key are signed with: HMAC-SHA256 of the id, in base64 of 43 letters."""
    made = hmac.digest(gateway_secret.encode(), f"ocrqueue-signing:{key_id}".encode(), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def create(  # each is an option of a key
    arguments: ScriptArguments,
    *,
    tenant: str,
    scopes: Sequence[str],
    engines: Sequence[str] | None,
    rate: str | None,
    expires_in_s: int | None,
    name: str,
) -> Steps[NewApiKey]:
    """Raises KeyRequestInvalid."""
    ((seconds, _),) = yield Commands([("TIME",)])
    now = datetime.fromtimestamp(seconds, UTC)
    key_id = "OQ" + "".join(secrets.choice(_ID_LETTERS) for _ in range(18))
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    try:
        stored = _Stored(
            id=key_id,
            tenant=tenant,
            scopes=tuple(scope for scope in SCOPES if scope in _known(scopes)),
            engines=None if engines is None else tuple(dict.fromkeys(engines)),
            rate=None if rate is None else Rate.parse(rate),
            name=name,
            created_at=now,
            expires_at=None if expires_in_s is None else now + timedelta(seconds=expires_in_s),
            sha256=_sum(text),
        )
    except ValidationError as error:
        raise KeyRequestInvalid(describe_validation_error(error)) from None
    except (ValueError, OverflowError) as error:
        raise KeyRequestInvalid(str(error)) from None
    yield Commands([("HSET", arguments.keys.api_keys(), key_id, stored.model_dump_json(exclude_none=True))])
    own = arguments.settings.gateway_secret
    signs = None if own is None else signing_secret(own.get_secret_value(), key_id)
    return NewApiKey(_public(stored), text, signs)


def _known(scopes: Sequence[str]) -> Sequence[str]:
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"{scope[:40]!r} is no scope: {', '.join(SCOPES)} are.")
    return scopes


def keys(arguments: ScriptArguments) -> Steps[list[ApiKey]]:
    """All, the newest first."""
    named = arguments.keys
    stored, used = yield Commands([("HGETALL", named.api_keys()), ("HGETALL", named.api_keys_used())])
    found = []
    for key_id, text in stored.items():
        try:
            key = _Stored.model_validate_json(text)
        except ValidationError:
            continue  # a newer version's, or damaged: `check` tells of the latter
        at = int(used.get(key_id, 0))
        used_at = datetime.fromtimestamp(at // 60_000 * 60, UTC) if at else None
        found.append(_public(key).model_copy(update={"used_at": used_at}))
    return sorted(found, key=lambda key: (key.created_at, key.id), reverse=True)


def revoke(arguments: ScriptArguments, key_id: str) -> Steps[None]:
    """From this moment on it is worth nothing. Raises KeyUnknown."""
    named = arguments.keys
    revoked, *_ = yield Commands(
        [
            ("HDEL", named.api_keys(), key_id),
            ("HDEL", named.api_keys_used(), key_id),
            ("DEL", named.key_rate(key_id)),
        ]
    )
    if not revoked:
        raise KeyUnknown(f"No API key {key_id[:80]}.")


def authenticate(arguments: ScriptArguments, text: str) -> Steps[ApiKey]:
    """Whose key this is. One round trip. Raises KeyInvalid, KeyExpired, KeyRateExceeded."""
    # a longer one, such as of a whole file, is not looked at
    found = _TEXT.fullmatch(text[:200])
    if found is None or len(text) > 200:
        raise KeyInvalid()
    return (yield from _authenticated(arguments, found[1], _sum(text)))


def authenticate_signed(arguments: ScriptArguments, key_id: str) -> Steps[ApiKey]:
    """The same for a request whose signature by `signing_secret` was found right. To be called only then."""
    if not re.fullmatch(ID, key_id):
        raise KeyInvalid()
    return (yield from _authenticated(arguments, key_id, ""))


def _authenticated(arguments: ScriptArguments, key_id: str, summed: str) -> Steps[ApiKey]:
    verdict, *facts = yield Move("authenticate", arguments.authenticate(key_id, summed))
    match verdict:
        case b"expired":
            raise KeyExpired()
        case b"too often":
            retry_after_s = max(1, -(-int(facts[0]) // 1000))
            raise KeyRateExceeded(
                f"The API key {key_id} is used more often than it may be; ask again in {retry_after_s} s.",
                retry_after_s=retry_after_s,
            )
        case b"valid":
            try:
                return _public(_Stored.model_validate_json(facts[0]))
            except ValidationError:
                raise KeyInvalid("This version of ocrqueue cannot read what the API key permits.") from None
    raise KeyInvalid()


def is_readable(key_id: str, text: str) -> bool:
    """Whether what stands in Redis is a key of this id."""
    try:
        return _Stored.model_validate_json(text).id == key_id
    except ValidationError:
        return False


def _sum(text: str) -> str:
    """Of 256 random bits: nobody can try them out, and no slow hash is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def _public(stored: _Stored) -> ApiKey:
    return ApiKey.model_validate(stored.model_dump(exclude={"sha256", "expires_at_ms"}))


def is_good(arguments: ScriptArguments, key_id: str) -> Steps[bool]:
    """Whether a key of this id is neither revoked nor expired, by Redis's clock; it does not count towards its rate."""
    stored, (seconds, _) = yield Commands([("HGET", arguments.keys.api_keys(), key_id), ("TIME",)])
    text = (stored or b"").decode(errors="replace")
    if not is_readable(key_id, text):
        return False
    # as the script has it
    expires_at_ms = json.loads(text).get("expires_at_ms")
    return expires_at_ms is None or expires_at_ms > seconds * 1000
