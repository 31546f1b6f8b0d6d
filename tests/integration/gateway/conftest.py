"""One gateway for the tests of this folder, over the installation of the end-to-end tests.

Test modules ask for `pytest_plugins = ["tests.support.server_fixtures"]`, whose S3 server the installation has.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ocrqueue.settings import WorkerSettings
from tests.integration.conftest import Installation
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import PATIENT_S
from tests.support.gateways import gateway_of


@pytest.fixture(scope="session")
def gateway(installation: Installation) -> Iterator[str]:
    """Its base URL."""
    with gateway_of(patient(installation.settings)) as url:
        yield url


@pytest.fixture
def http(gateway: str) -> Iterator[httpx.Client]:
    """Speaks to the gateway."""
    with httpx.Client(base_url=gateway, timeout=2 * PATIENT_S, trust_env=False) as client:
        yield client


@pytest.fixture
def idle(settings: WorkerSettings) -> Iterator[httpx.Client]:
    """Speaks to the gateway of an installation of its own, with a folder as its storage and no worker."""
    with (
        gateway_of(patient(settings)) as url,
        httpx.Client(base_url=url, timeout=2 * PATIENT_S, trust_env=False) as client,
    ):
        yield client


def patient(settings: WorkerSettings) -> WorkerSettings:
    """What a busy machine answers late is not an outage."""
    return settings.model_copy(update={"redis_timeout_s": float(PATIENT_S)})


@pytest.fixture
def sign(installation: Installation) -> str:
    """A reference to an image with some words on it."""
    return _readable(installation, "street-sign.jpg")


@pytest.fixture
def letter(installation: Installation) -> str:
    """A reference to a PDF of several pages."""
    return _readable(installation, "letter.pdf")


def _readable(installation: Installation, name: str) -> str:
    path: Path = installation.file_root / name
    if not path.exists():
        shutil.copyfile(ROOT / "samples" / name, path)
    return path.as_uri()
