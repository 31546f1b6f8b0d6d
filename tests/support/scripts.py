"""The Lua scripts that the packages hold."""

from __future__ import annotations

from importlib import resources
from typing import Final

import pytest

PACKAGES: Final = ("ocrqueue.core", "ocrqueue.webhooks", "ocrqueue_worker.engines.vision")
SCRIPTS: Final = [
    (package, file.name.removesuffix(".lua"))
    for package in PACKAGES
    for file in sorted(resources.files(package).joinpath("scripts").iterdir(), key=lambda file: file.name)
    if file.name.endswith(".lua")
]
"""Package and name of each."""
PIECES: Final = {
    file.name.removesuffix(".lua"): file.read_text(encoding="utf-8")
    for file in resources.files("ocrqueue.core").joinpath("scripts", "shared").iterdir()
}
"""What scripts share, by name."""

each_script = pytest.mark.parametrize(("package", "name"), SCRIPTS, ids=[name for _, name in SCRIPTS])
