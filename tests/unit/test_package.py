"""What `import ocrqueue` offers, and what it costs."""

from __future__ import annotations

import pytest

import ocrqueue


def test_every_name_is_there() -> None:
    assert set(ocrqueue._MODULES) == set(ocrqueue.__all__)
    for name in ocrqueue.__all__:
        assert getattr(ocrqueue, name).__name__ == name
    assert set(ocrqueue.__all__) <= set(dir(ocrqueue))
    with pytest.raises(AttributeError):
        _ = ocrqueue.Nonsense  # type: ignore[attr-defined]
