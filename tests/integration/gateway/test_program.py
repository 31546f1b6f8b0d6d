"""The command `ocrqueue-gateway`: what keeps it from starting is told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ocrqueue_gateway.program import main


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://127.0.0.1:1/0?foo=bar", "an option that redis-py does not know"),
        ("redis://127.0.0.1:1/abc", "must end in /NUMBER"),
        ("nonsense", "must begin with redis://"),
    ],
)
def test_settings_of_redis_that_cannot_be_end_it_with_a_line(tmp_path: Path, url: str, told: str) -> None:
    environment = {"OCRQUEUE_REDIS_URL": url, "OCRQUEUE_STORAGE": tmp_path.as_uri()}
    result = CliRunner().invoke(main, ["--port", "0"], env=environment)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: settings.invalid: redis_url ")
    assert told in line
