"""One gateway for the tests of this folder, as the clouds' clients want it: with TLS, by an authority of its own.

It listens on all addresses, so that it answers nobody without a key.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from ocrqueue import OcrQueue
from ocrqueue.core.api_keys import SCOPES
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import Storage, open_storage
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.settings import GatewaySettings
from tests.integration.conftest import Installation
from tests.integration.gateway.conftest import patient
from tests.support.certificates import Certificate, make_certificate
from tests.support.gateway_jobs import PATIENT_S
from tests.support.gateways import served
from tests.support.textract_gateway import SigningGateway, signing_gateway

RULES = """
[[rule]]
protocol = "google"
tenant = "slow"
engine = "null"
options = { delay_s = 1.0, words = 3 }

[[rule]]
protocol = "google"
tag = "google"

[[bucket]]
name = "gs://scans/"
place = "s3://BUCKET/clouds/scans/"

[[bucket]]
name = "gs://results/"
place = "s3://BUCKET/clouds/results/"
write = true
"""


@dataclass(frozen=True)
class Clouds:
    """A gateway, and what its clients need."""

    app: FastAPI
    url: str
    certificate: Certificate | None
    queue: OcrQueue
    buckets: Storage
    """What the rules lead to."""
    tenant: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:8]}")

    @property
    def rest(self) -> str:
        """host:port."""
        return self.url.partition("://")[2]

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.app.state.grpc_port}"

    def key(self, tenant: str | None = None, **limits: str) -> str:
        """A new one, with all scopes."""
        made = self.queue.api_keys.create(tenant=self.tenant if tenant is None else tenant, scopes=SCOPES, **limits)
        return made.text

    def http(self) -> httpx.Client:
        """Speaks to the gateway, without a key."""
        authority = None if self.certificate is None else self.certificate.authority
        verify = ssl.create_default_context(cafile=authority)
        return httpx.Client(base_url=self.url, verify=verify, timeout=2 * PATIENT_S, trust_env=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def clouds_with(
    installation: Installation, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Clouds]]:
    """Gateways over the installation, with these rules and settings of GatewaySettings."""
    rules = tmp_path_factory.mktemp("rules") / "clouds.toml"
    rules.write_text(RULES.replace("BUCKET", s3_bucket))
    buckets = open_storage(installation.settings.model_copy(update={"storage": f"s3://{s3_bucket}/clouds"}))
    client: WorkerSettings = patient(installation.settings)

    @contextmanager
    def make(certificate: Certificate | None = None, **given: object) -> Iterator[Clouds]:
        tls = {} if certificate is None else {"tls_certificate": certificate.certificate, "tls_key": certificate.key}
        settings = GatewaySettings.model_validate({"cloud_rules": rules, "grpc_port": 0, **tls, **given})
        app = create_app(settings, client)
        with served(app) as url:
            yield Clouds(app, url, certificate, installation.queue, buckets)

    return make


@pytest.fixture(scope="session")
def clouds(clouds_with: Callable[..., AbstractContextManager[Clouds]], certificate: Certificate) -> Iterator[Clouds]:
    with clouds_with(certificate, host="0.0.0.0") as made:
        yield made


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture(scope="session")
def node_project(scratch: Path) -> Path:
    """The folder of the clients for Node."""
    from tests.integration.gateway.clouds.node_clients import installed

    return installed(scratch / "node")


@pytest.fixture(scope="session")
def signing(
    installation: Installation, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SigningGateway]:
    with signing_gateway(patient(installation.settings), s3_bucket, tmp_path_factory.mktemp("signing")) as made:
        yield made
