"""What signs: secrets as Standard Webhooks writes them. They are in Redis, and nowhere else of ours."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from ocrqueue.errors import WebhooksExtraMissing

Kind = Literal["hmac", "ed25519"]
SYMMETRIC: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
_BYTES: Final = 32


class StoredSecret(BaseModel):
    """As it is kept in Redis."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: SecretStr
    made_at: datetime

    @property
    def kind(self) -> Kind:
        return "ed25519" if self.key.get_secret_value().startswith(PRIVATE) else "hmac"

    @property
    def shown(self) -> str:
        """What its receiver is given: the secret itself, or the public key of a pair."""
        text = self.key.get_secret_value()
        return public_key(text) if self.kind == "ed25519" else text


_STORED: Final = TypeAdapter(tuple[StoredSecret, ...])


def new_secret(kind: Kind) -> StoredSecret:
    """Raises WebhooksExtraMissing for an ed25519 key that nobody here can sign with."""
    prefix = PRIVATE if kind == "ed25519" else SYMMETRIC
    key = prefix + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
    if kind == "ed25519":
        public_key(key)
    return StoredSecret(key=SecretStr(key), made_at=datetime.now(UTC))


def public_key(private: str) -> str:
    """Raises WebhooksExtraMissing."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError as error:
        raise WebhooksExtraMissing(f"{error}.") from None
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private.removeprefix(PRIVATE)))
    return PUBLIC + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def dump(found: tuple[StoredSecret, ...]) -> bytes:
    """For Redis."""
    stored = [{"key": each.key.get_secret_value(), "made_at": each.made_at.isoformat()} for each in found]
    return TypeAdapter(list[dict[str, str]]).dump_json(stored)


def parse(text: bytes | None) -> tuple[StoredSecret, ...]:
    """The newest first; what is no list of secrets is none."""
    try:
        return _STORED.validate_json(text) if text else ()
    except ValidationError:
        return ()
