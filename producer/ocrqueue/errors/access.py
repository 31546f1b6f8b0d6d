"""API keys, limits and pauses."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class KeyMissing(OcrQueueError):
    """The request has no API key."""

    code = "key.missing"
    remedy = "Send `Authorization: Bearer KEY`; an operator makes a key with `ocrqueue keys create`."


class KeyInvalid(OcrQueueError):
    """No API key is like this one: it was never made, or was revoked."""

    code = "key.invalid"
    remedy = "Check that the key was copied whole, or have another one made with `ocrqueue keys create`."


class KeyExpired(KeyInvalid):
    """The API key has expired."""

    code = "key.expired"
    remedy = "Have another one made with `ocrqueue keys create`."


class SignatureWrong(KeyInvalid):
    """The signature of the request is not that of this request by this API key."""

    code = "key.signature_wrong"
    remedy = (
        "Give the client the key's id and its signing secret, as `ocrqueue keys create` shows them, and let no proxy "
        "change the Host header or the body."
    )


class SignatureExpired(OcrQueueError):
    """The request was signed at another time than now."""

    code = "key.signature_expired"
    remedy = "Set the clock of the client's machine, or the gateway's; they may differ by five minutes."


class KeyForbidden(OcrQueueError):
    """The API key does not permit this.

    `details`: scope, or engine, that it would take.
    """

    code = "key.forbidden"
    remedy = "Use a key that permits it: `ocrqueue keys list` shows scopes and engines."


class KeyRateExceeded(OcrQueueError):
    """The API key is used more often than it may be.

    `details`: retry_after_s.
    """

    code = "key.rate_exceeded"
    retryable = True
    remedy = "Ask again after the seconds in Retry-After; wait for a job with one long request instead of many."


class KeyAttemptsExceeded(OcrQueueError):
    """Too many requests of this address had wrong API keys.

    `details`: retry_after_s.
    """

    code = "key.attempts_exceeded"
    retryable = True
    remedy = "Correct the key, and ask again after the seconds in Retry-After."


class KeyUnknown(OcrQueueError):
    """No API key has this id."""

    code = "key.unknown"
    remedy = "`ocrqueue keys list` shows the ids of all keys."


class KeyRequestInvalid(OcrQueueError):
    """No API key can be made as asked for."""

    code = "key.invalid_request"
    remedy = "`ocrqueue keys create --help` tells what a key can have."


class TenantLimitInvalid(OcrQueueError):
    """A tenant's limit is no such number, or the tenant no such name."""

    code = "tenant.limit_invalid"
    remedy = "`ocrqueue tenants limit --help` tells what each limit can be."


class PauseInvalid(OcrQueueError):
    """Nothing that can be paused or resumed has such a name."""

    code = "pause.invalid"
    remedy = "`ocrqueue queues` shows engines and lanes, `ocrqueue tenants` the tenants."
