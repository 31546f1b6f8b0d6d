"""Where RabbitMQ is: the setting `broker_url`, one URL or those of a cluster's nodes with `;` between them.

Parameters in the URL are those of https://www.rabbitmq.com/docs/uri-query-parameters that concern TLS.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import Settings

_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_TLS_OPTIONS: Final = {
    "cacertfile": "ca_certs",
    "certfile": "certfile",
    "keyfile": "keyfile",
    "server_name_indication": "server_hostname",
}
"""Parameter of the URL -> py-amqp's option."""
_VERIFY: Final = {"verify_peer": ssl.CERT_REQUIRED, "verify_none": ssl.CERT_NONE}


@dataclass(frozen=True, slots=True)
class Server:
    """One node."""

    host: str
    port: int
    user: str
    password: str
    virtual_host: str
    tls: dict[str, Any] | None
    """py-amqp's options; None: not encrypted."""

    def url_with(self, scheme: str) -> str:
        """For Celery, which takes its transport by the scheme and is told of TLS otherwise. Holds the password."""
        user, password, virtual_host = (quote(part, safe="") for part in (self.user, self.password, self.virtual_host))
        return f"{scheme}://{user}:{password}@{self.host}:{self.port}/{virtual_host}"


def servers(settings: Settings) -> list[Server]:
    """Those that the setting names, [] where Redis is the broker. Raises SettingsInvalid."""
    if settings.broker_url is None:
        return []
    return [_server(url) for url in settings.broker_url.get_secret_value().split(";")]


def _server(url: str) -> Server:
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    try:
        port = parts.port or _PORTS[parts.scheme]
        verify = _VERIFY[given.pop("verify", "verify_peer")]
        tls: dict[str, Any] = {_TLS_OPTIONS[name]: value for name, value in given.items()}
    except (KeyError, ValueError) as error:
        raise SettingsInvalid(f"broker_url: {error} is no scheme, port or parameter of a URL of RabbitMQ.") from None
    host = parts.hostname or "127.0.0.1"
    if verify is ssl.CERT_REQUIRED:
        # by which the certificate is checked
        tls.setdefault("server_hostname", host)
    return Server(
        f"[{host}]" if ":" in host else host,
        port,
        unquote(parts.username or "guest"),
        unquote(parts.password or "guest"),
        unquote(parts.path[1:]) or "/",
        {**tls, "cert_reqs": verify} if parts.scheme == "amqps" else None,
    )
