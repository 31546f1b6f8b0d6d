"""Messages of Amazon SNS: unwrapped once their signature is AWS's, and their topic one that is allowed.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ocrqueue.errors import EventRefused, EventUnverifiable
from ocrqueue_gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)

_HOST: Final = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE: Final = re.compile(_HOST + r"/SimpleNotificationService-[A-Za-z0-9]{1,80}\.pem")
_CONFIRMATION: Final = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[!-~]{1,2000}")
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_LARGEST_CERTIFICATE: Final = 65_536
_MOST_CERTIFICATES: Final = 16
_TIMEOUT_S: Final = 10.0


def is_sns(message: Any) -> bool:
    return isinstance(message, dict) and message.get("Type") in _SIGNED and "SigningCertURL" in message


class Topics:
    """Those that may send, and the certificates by which that is seen."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._allowed, self._confirms = frozenset(settings.sns_topics), settings.sns_confirm
        self._certificates: OrderedDict[str, x509.Certificate] = OrderedDict()

    async def unwrapped(self, envelope: Mapping[str, Any]) -> Any:
        """What the message says; None where it is about the subscription itself.

        Raises EventRefused, EventUnverifiable.
        """
        topic = envelope.get("TopicArn")
        if topic not in self._allowed:
            raise EventRefused("The message is of a topic that OCRQUEUE_GATEWAY_SNS_TOPICS does not name.")
        await self._verify(envelope)
        if envelope["Type"] == "Notification":
            try:
                return json.loads(str(envelope.get("Message")))
            except (ValueError, RecursionError):
                return None
        if envelope["Type"] == "SubscriptionConfirmation":
            await self._confirm(str(topic), str(envelope.get("SubscribeURL")))
        return None

    async def _verify(self, envelope: Mapping[str, Any]) -> None:
        url, version = envelope.get("SigningCertURL"), envelope.get("SignatureVersion")
        if not isinstance(url, str) or not _CERTIFICATE.fullmatch(url) or version not in _HASHES:
            raise EventRefused("The message is not signed as Amazon SNS signs.")
        certificate = await self._certificate(url)
        key = certificate.public_key()
        in_time = certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc
        try:
            signature = base64.b64decode(str(envelope.get("Signature")), validate=True)
            if not isinstance(key, RSAPublicKey) or not in_time:
                raise InvalidSignature
            key.verify(signature, signed_text(envelope), PKCS1v15(), _HASHES[str(version)]())
        except (InvalidSignature, binascii.Error):
            raise EventRefused("The signature of the message is not that of Amazon SNS.") from None

    async def _certificate(self, url: str) -> x509.Certificate:
        if url not in self._certificates:
            try:
                self._certificates[url] = x509.load_pem_x509_certificate(await fetched(url, _LARGEST_CERTIFICATE))
            except ValueError:
                raise EventUnverifiable("What Amazon SNS's address has is no certificate.") from None
            while len(self._certificates) > _MOST_CERTIFICATES:
                self._certificates.popitem(last=False)
        return self._certificates[url]

    async def _confirm(self, topic: str, url: str) -> None:
        if not self._confirms:
            _log.warning("the topic %s asks to be confirmed: set OCRQUEUE_GATEWAY_SNS_CONFIRM, or do so at AWS", topic)
        elif _CONFIRMATION.fullmatch(url):
            await fetched(url, _LARGEST_CERTIFICATE)
            _log.warning("the subscription of the topic %s is confirmed", topic)
        else:
            raise EventRefused("The address for the confirmation is not Amazon SNS's.")


def signed_text(envelope: Mapping[str, Any]) -> bytes:
    """What the signature is of: names and values in this order, a line each."""
    names = (name for name in _SIGNED[str(envelope["Type"])] if name in envelope)
    return "".join(f"{name}\n{envelope[name]}\n" for name in names).encode(errors="surrogatepass")


async def fetched(url: str, most: int) -> bytes:
    """From an address of AWS that was checked. Raises EventUnverifiable."""
    body = b""
    try:
        # no proxy and no credentials of the environment; a redirect is an answer like any other, and refused
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > most:
                    break
    except httpx.HTTPError as error:
        raise EventUnverifiable(f"Amazon SNS does not answer ({type(error).__name__}).") from None
    if response.status_code != httpx.codes.OK or len(body) > most:
        raise EventUnverifiable(f"Amazon SNS answers with HTTP status {response.status_code}.")
    return body
