"""What `import ocrqueue` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ocrqueue


def test_every_name_is_there() -> None:
    assert set(ocrqueue._MODULES) == set(ocrqueue.__all__)
    for name in ocrqueue.__all__:
        assert getattr(ocrqueue, name).__name__ == name
    assert set(ocrqueue.__all__) <= set(dir(ocrqueue))
    with pytest.raises(AttributeError):
        _ = ocrqueue.Nonsense  # type: ignore[attr-defined]


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, ocrqueue; print(sorted({'redis', 'celery', 'pydantic', 'boto3', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


def test_reading_a_status_needs_no_celery() -> None:
    code = "import sys; from ocrqueue import OcrQueue; print('celery' in sys.modules, 'boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"False False\n"
