"""Fixtures for tests of faults: a test module asks for them with `pytest_plugins = ["tests.faults.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.faults import Fault
from tests.faults.installation import Installation, installation
from tests.faults.schedule import ALL_FAULTS


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers, and quick settings; whatever a test did to it is healed before the next."""
    with installation(tmp_path_factory.mktemp("faults") / "system", workers=2) as into:
        yield into


@pytest.fixture(params=ALL_FAULTS, ids=lambda kind: kind.__name__)
def fault_kind(request: pytest.FixtureRequest) -> type[Fault]:
    """Every kind of fault; a test that wants some of them parametrises it itself."""
    kind: type[Fault] = request.param
    return kind
