"""A folder of this machine, or of a mount."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ocrqueue.errors import ErrorInfo, SourceChanged, SourceInvalid
from ocrqueue.submitting.image_input import HashedFile, ImageInput
from ocrqueue.watching.places import Found, reason

_UNFINISHED: Final = (".part", ".partial", ".crdownload", ".tmp", ".filepart", "~")
"""Ends of names that programs give to files that they still write."""
_PIECE: Final = 1024 * 1024


class FolderPlace:
    """Regular files; hidden ones, links, and those that are still written are not looked at."""

    settles = True

    def __init__(self, folder: Path, done: Path, failed: Path, *, recursive: bool = False) -> None:
        """`done`, `failed`: where files go, made if they are not there. Raises SourceInvalid."""
        self._folder, self._recursive = folder.absolute(), recursive
        self._done, self._failed = done.absolute(), failed.absolute()
        self._left_out = {self._done, self._failed}
        if self._folder in self._left_out:
            raise SourceInvalid("What was read cannot be moved to where it is watched.")

    @property
    def shown(self) -> str:
        return str(self._folder)

    def found(self) -> Iterator[Found]:
        yield from self._in(self._folder)

    def _in(self, folder: Path) -> Iterator[Found]:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if self._recursive and path not in self._left_out:
                        yield from self._in(path)
                elif entry.is_file(follow_symlinks=False):
                    try:
                        seen = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield Found(str(path.relative_to(self._folder)), _state(seen))

    @contextmanager
    def opened(self, found: Found) -> Iterator[ImageInput]:
        descriptor = os.open(self._folder / found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            seen = os.fstat(file.fileno())
            if not stat.S_ISREG(seen.st_mode) or _state(seen) != found.state:
                raise SourceChanged(f"{found.name} is not what it was a moment ago.")
            summed = hashlib.sha256()
            while piece := file.read(_PIECE):
                summed.update(piece)
            yield HashedFile(file, summed.hexdigest(), Path(found.name).name)

    def move(self, found: Found, job_id: str, failure: ErrorInfo | None) -> bool:
        path = self._folder / found.name
        try:
            if _state(path.lstat()) != found.state:
                return False
        except FileNotFoundError:
            return False
        target = _free((self._failed if failure else self._done) / found.name, job_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        if failure is not None:
            # first: a file that was set aside has its reason
            target.with_name(f"{target.name}.error.txt").write_text(reason(failure, job_id), encoding="utf-8")
        # by renaming where that can be; else it is copied
        shutil.move(path, target)
        return True


def _state(seen: os.stat_result) -> str:
    # the last one changes when it is moved: a file that is put back is a new one
    return f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ctime_ns}"


def _free(target: Path, job_id: str) -> Path:
    """Nothing is overwritten."""
    number, free = 1, target
    while free.exists() or free.is_symlink():
        more = job_id or "failed" if number == 1 else f"{job_id or 'failed'}-{number}"
        number, free = number + 1, target.with_name(f"{target.stem}-{more}{target.suffix}")
    return free
