"""Files of a user's own that are written whole, or are left as they were."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

_NO_NEW_FILE: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_NO_REPLACING: Final = frozenset((errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM))
"""A single file that is mounted, such as a container's, keeps its place, and so does another's in a shared folder."""
_DESCRIPTORS: Final = Path("/proc")
_LONGEST_SUFFIX: Final = 16


@contextmanager
def written_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write, which takes the place of `path` when the block ends.

    If the block raises, or is interrupted, `path` is what it was before. A file that is replaced keeps its mode, a new
    one gets that of any new file, and a link stays a link. What is no regular file, such as a pipe, a terminal or
    /dev/stdout, is written at once.

    Raises OSError, with `path` as its file name, where nothing can be written there.
    """
    before = _status(path)
    if _is_stream(path, before):
        with path.open("wb") as stream:
            yield stream
        return
    if before is not None and not os.access(path, os.W_OK):
        # it could be replaced all the same, which its owner did not mean
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    target = Path(os.path.realpath(path))
    suffix = target.suffix if len(target.suffix) <= _LONGEST_SUFFIX else ""
    # hidden: who watches the folder does not take it for a document
    temporary = target.with_name(f".ocrqueue-{secrets.token_hex(8)}{suffix}")
    try:
        try:
            # until it has the mode of the one that it replaces, nobody else may read it
            file = open(temporary, "x+b", opener=None if before is None else _private)  # noqa: SIM115  # Path.open() has no opener; closed below
        except OSError as error:
            if before is None or error.errno not in _NO_NEW_FILE:
                error.filename = str(path)
                raise
            with _copied_into(target) as kept:
                yield kept
            return
        with file:
            is_alike = before is None or _liken(file.fileno(), before)
            yield cast("BinaryIO", file)
        _put(temporary, target, is_alike)
    finally:
        # after it has got its name, there is nothing to remove
        with suppress(OSError):
            temporary.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """The same of what is at hand."""
    with written_file(path) as file:
        file.write(data)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_stream(path: Path, status: os.stat_result | None) -> bool:
    """Whether others hold it open, or it is no file on a disk: another file under its name would not be the same."""
    if status is None:
        return False
    if not stat.S_ISREG(status.st_mode):
        return True
    # /dev/stdout may be a file: the shell's, which writes on after us
    while path.is_symlink():
        if path.parent.resolve().is_relative_to(_DESCRIPTORS):
            return True
        path = path.parent / path.readlink()
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _liken(descriptor: int, before: os.stat_result) -> bool:
    """Give the new file owner, group and mode of the one that it replaces. Returns whether the system allows it."""
    # not everywhere is there an owner
    with suppress(OSError, AttributeError):
        made = os.fstat(descriptor)
        if made.st_uid != before.st_uid:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        elif made.st_gid != before.st_gid:
            os.fchown(descriptor, -1, before.st_gid)
    with suppress(OSError, AttributeError):
        os.fchmod(descriptor, before.st_mode & 0o777)
    made = os.fstat(descriptor)
    return (made.st_uid, made.st_gid) == (before.st_uid, before.st_gid)


def _put(temporary: Path, target: Path, is_alike: bool) -> None:
    """In the place of `target`; over it, where it would be another's then, or it cannot be replaced."""
    try:
        if is_alike:
            temporary.replace(target)
            return
    except OSError as error:
        if error.errno not in _NO_REPLACING:
            error.filename, error.filename2 = str(target), None
            raise
    with temporary.open("rb") as written:
        _copy(cast("BinaryIO", written), target)


@contextmanager
def _copied_into(target: Path) -> Iterator[BinaryIO]:
    """For a file in a folder where no other can be made: only what is complete is copied over it."""
    with TemporaryFile(prefix="ocrqueue-") as file:
        yield cast("BinaryIO", file)
        file.seek(0)
        _copy(cast("BinaryIO", file), target)


def _copy(written: BinaryIO, target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(written, file)
