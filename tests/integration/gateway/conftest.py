"""One gateway for the tests of this folder, over the installation of the end-to-end tests.

Test modules ask for `pytest_plugins = ["tests.support.server_fixtures"]`, whose S3 server the installation has.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.conftest import Installation
from tests.support.gateways import gateway_of


@pytest.fixture(scope="session")
def gateway(installation: Installation) -> Iterator[str]:
    """Its base URL."""
    with gateway_of(installation.settings) as url:
        yield url


@pytest.fixture
def http(gateway: str) -> Iterator[httpx.Client]:
    """Speaks to the gateway."""
    with httpx.Client(base_url=gateway, timeout=60, trust_env=False) as client:
        yield client
