"""Who is told of ends, and what comes in by itself."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class WebhookInvalid(OcrQueueError):
    """This URL cannot be told of ends."""

    code = "webhook.invalid"
    remedy = "Give an http:// or https:// URL without a user, a password or a fragment, such as https://host/path."


class WebhookUnknown(OcrQueueError):
    """There is no such webhook, or no such notice: it was never made, or has expired."""

    code = "webhook.unknown"
    remedy = "`ocrqueue webhooks` shows the tenants' webhooks, `ocrqueue webhooks failed` the notices that nobody took."


class WebhookOff(OcrQueueError):
    """The URL has answered 410, and is told nothing more."""

    code = "webhook.off"
    remedy = "Once its receiver wants to be told again: `ocrqueue webhooks enable`."


class WebhooksExtraMissing(OcrQueueError):
    """A package is not installed that is needed to sign and send webhooks."""

    code = "webhook.extra_missing"
    remedy = "Install it: pip install 'ocrqueue[webhooks]'."


class EventRefused(OcrQueueError):
    """The message is not from a topic of Amazon SNS that may send events."""

    code = "event.refused"
    remedy = "Name the topic's ARN in OCRQUEUE_GATEWAY_SNS_TOPICS, if it is yours."


class EventUnverifiable(OcrQueueError):
    """Amazon SNS does not give the certificate that its message is signed with."""

    code = "event.unverifiable"
    retryable = True
    remedy = "Let the gateway reach https://sns.REGION.amazonaws.com. Amazon SNS sends the message again."
