"""Documents that are read in parts, on this machine's disk: fetched once, not once a part.

Files are named by the SHA-256 of what is in them, and lie in a folder that is this user's alone. What has not been used
for an hour goes, and the longest unused of what is more than the cache may hold.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from ocrqueue.settings import WorkerSettings

_log = structlog.get_logger(__name__)

_UNUSED_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class SourceCache:
    folder: Path
    most_bytes: int

    @classmethod
    def of(cls, settings: WorkerSettings) -> SourceCache | None:
        """None where there is to be none, or its folder is not this user's alone."""
        if settings.source_cache_mib == 0:
            return None
        name = f"ocrqueue-sources-{os.getuid()}"
        folder = Path(settings.source_cache_dir or Path(tempfile.gettempdir()) / name)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat(follow_symlinks=False)
        except OSError as error:
            _log.warning("documents are fetched for each part: no folder to keep them", reason=error.strerror)
            return None
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
            _log.warning("documents are fetched for each part: the folder is not this user's alone", folder=str(folder))
            return None
        return cls(folder, settings.source_cache_mib << 20)

    def find(self, sha256: str) -> BinaryIO | None:
        """The file, open: it can be read though it is removed meanwhile."""
        try:
            found = (self.folder / sha256).open("rb")
        except OSError:
            return None
        with suppress(OSError):
            os.utime(found.fileno())
        return found

    @contextmanager
    def alone(self, sha256: str) -> Iterator[None]:
        """One process of the machine at a time fetches it; the others find it then."""
        try:
            lock = os.open(self.folder / f"{sha256}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def keep(self, sha256: str, data: bytes) -> None:
        """Best effort: a full disk costs a fetch a part."""
        if len(data) > self.most_bytes:
            return
        try:
            self._make_room(len(data))
            if shutil.disk_usage(self.folder).free < 2 * len(data):
                return  # others write temporary files there, too
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix="new-", delete=False) as made:
                try:
                    made.write(data)
                    made.flush()
                    Path(made.name).replace(self.folder / sha256)
                except BaseException:
                    Path(made.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            _log.warning("a document cannot be kept for its other parts", reason=error.strerror)

    def forget(self, sha256: str) -> None:
        """Its job has ended here. On other machines it goes when it is unused."""
        for name in (sha256, f"{sha256}.lock"):
            with suppress(OSError):
                (self.folder / name).unlink()

    def _make_room(self, wanted: int) -> None:
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                found = path.stat()
                files.append((found.st_mtime, found.st_size, path))
        held = sum(size for _, size, _ in files)
        for used_at, size, path in sorted(files):
            if held + wanted <= self.most_bytes and time.time() - used_at < _UNUSED_S:
                break
            with suppress(OSError):
                path.unlink()
            held -= size
