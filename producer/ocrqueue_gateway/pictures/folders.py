"""A folder for temporary files that is one replica's own.

Those of replicas that were killed are removed: a container that is started again has the disk of the one before.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PREFIX: Final = "ocrqueue-gateway-pictures-"


@dataclass(frozen=True)
class OwnFolder:
    """It is locked for as long as its process lives."""

    path: Path
    lock: int

    @classmethod
    def make(cls) -> OwnFolder:
        """Raises OSError."""
        remove_left()
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _opened(path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cls(path, lock)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def remove_left() -> None:
    """Folders of processes that live no more, of this user."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _opened(path)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
