"""Storage in a folder: one machine, or a mount that all machines share."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ocrqueue.errors import SourceInvalid, StorageDenied, StorageNotFound, StorageUnavailable
from ocrqueue.job.references import split_uri
from ocrqueue.storage.base import RESULT, Storage, StoredObject, check_key, folder_prefix

_TEMPORARY = ".ocrqueue-put-"
_PIECE_BYTES: Final = 1_000_000
_DRIVE: Final = re.compile(r"/[A-Za-z]:")
_ATTEMPTS = 50
"""Of a put whose folder is missing at first, and which a concurrent delete_prefix may remove again and again."""

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What link(2) says on a file system without them; EPERM is FAT's word."""


class FileStorage(Storage):
    """Objects are files below `root`. The content type is not kept: the key's ending tells it."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  # Path.resolve() would follow a symlinked mount
        self._root_uri = self.root.as_uri().removesuffix("/")

    def put(self, key: str, data: bytes, content_type: str) -> str:
        path = self._path(key)
        self._write(key, path, data, os.replace)
        return self.uri(key)

    def _put_file(self, key: str, file: BinaryIO, content_type: str) -> str:
        path = self._path(key)

        def step() -> None:
            file.seek(0)
            _copy_open_file(file, path)

        with self._errors(key):
            self._in_its_folder(path, step)
        return self.uri(key)

    def _create(self, key: str, data: bytes, content_type: str) -> bool:
        try:
            self._write(key, self._path(key), data, _link)
        except _ThereAlready:
            return False
        return True

    def _write(self, key: str, path: Path, data: bytes, place: Callable[[str, str], object]) -> None:
        with self._errors(key):
            # result.json says that a job is complete: it must not be lost once it was reported.
            durable = path.name == RESULT
            if durable:
                # a folder of its own, which mostly is not there yet
                with suppress(FileExistsError, FileNotFoundError):
                    os.mkdir(path.parent)  # noqa: PTH102
            self._in_its_folder(path, lambda: _write_atomically(str(path), data, place, durable=durable))

    def copy(self, source: str, key: str) -> str:
        """A hard link where the file system has them: what is stored is never changed in its place."""
        original, path = self._path(source), self._path(key)
        with self._errors(source):
            self._in_its_folder(path, lambda: _copy_atomically(original, path), unless_missing=original)
        return self.uri(key)

    def _in_its_folder(self, path: Path, step: Callable[[], None], unless_missing: Path | None = None) -> None:
        """Do the step, which stores something at `path`, and make the folder first where it is missing."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if attempt > 1:
                    path.parent.mkdir(parents=True, exist_ok=True)
                step()
                break
            except (FileNotFoundError, FileExistsError):  # the latter: mkdir() lost a race with delete_prefix()
                # A root that vanished is an unmounted share: making it again would fill the disk below it.
                if attempt == _ATTEMPTS or not self.root.is_dir():
                    raise
                if unless_missing is not None and not unless_missing.exists():
                    raise

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with self._errors(key):
            return path.is_file()

    def modified_at(self, key: str) -> float | None:
        path = self._path(key)
        with self._errors(key), suppress(FileNotFoundError, NotADirectoryError):
            found = path.stat()
            return found.st_mtime if stat.S_ISREG(found.st_mode) else None
        return None

    def stored(self, prefix: str) -> Iterator[StoredObject]:
        for key in self.list(prefix):
            with self._errors(key), suppress(FileNotFoundError):
                found = self._path(key).lstat()
                yield StoredObject(key, found.st_mtime, found.st_size)

    def remove_folders(self, prefixes: Iterable[str]) -> None:
        for prefix in prefixes:
            below = self._path(folder_prefix(prefix).rstrip("/"))
            with self._errors(prefix):
                for folder, _, names in os.walk(below, topdown=False):
                    for name in names:
                        if name.startswith(_TEMPORARY):
                            (Path(folder) / name).unlink(missing_ok=True)
                    _remove_folder(Path(folder))

    def list(self, prefix: str) -> Iterator[str]:
        below = self._path(folder_prefix(prefix).rstrip("/")) if prefix else self.root
        with self._errors(prefix):
            for folder, _, names in os.walk(below, onerror=_unless_absent):
                for name in names:
                    if not name.startswith(_TEMPORARY):
                        yield (Path(folder) / name).relative_to(self.root).as_posix()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            with self._errors(key):
                path.unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> int:
        below = self._path(folder_prefix(prefix).rstrip("/"))
        deleted = 0
        with self._errors(prefix):
            if (below / RESULT).is_file():
                (below / RESULT).unlink(missing_ok=True)
                deleted += 1
            for folder, folders, names in os.walk(below, topdown=False, onerror=_unless_absent):
                for name in names:
                    (Path(folder) / name).unlink(missing_ok=True)
                    deleted += not name.startswith(_TEMPORARY)
                for name in folders:
                    path = Path(folder) / name
                    if path.is_symlink():
                        path.unlink(missing_ok=True)
                    _remove_folder(path)
            emptied = below
            while emptied != self.root and _remove_folder(emptied):
                emptied = emptied.parent
        return deleted

    def uri(self, key: str) -> str:
        # what Path.as_uri() makes, without a Path: a job's end waits for this
        return f"{self._root_uri}/{quote_from_bytes(os.fsencode(check_key(key)))}"

    def check(self) -> None:
        if not self.root.is_dir():
            raise StorageNotFound(
                f"The storage folder {self.root} does not exist.",
                remedy=f"Create it (mkdir -p {self.root}), mount it, or correct OCRQUEUE_STORAGE.",
            )
        probe = self.root / f"{_TEMPORARY}{secrets.token_hex(8)}"
        with self._errors("the write probe"):
            probe.touch()
            probe.unlink()

    def ensure(self) -> None:
        with self._errors("the folder"):
            self.root.mkdir(parents=True, exist_ok=True)

    def _read(self, key: str, offset: int, length: int | None) -> bytes:
        with self._errors(key), self._path(key).open("rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)

    def _key(self, uri: str) -> str | None:
        try:
            path = file_uri_path(uri)
            return check_key(Path(path).relative_to(self.root).as_posix()) if ".." not in path.split("/") else None
        except (SourceInvalid, StorageDenied, ValueError):
            return None

    def keys_behind(self, uri: str) -> tuple[str, ...]:
        try:
            path = os.path.realpath(file_uri_path(uri))
        except (SourceInvalid, OSError, ValueError):
            return ()
        key = self.key_of_path(path)
        return () if key is None else (key,)

    def key_of_path(self, real_path: str) -> str | None:
        """The key of a path without symlinks, by whatever name the folder is reached; None outside of it.

        Compared are the folders themselves: a bind mount, or a file system that does not tell `A` from `a`, gives one
        folder several names.
        """
        own = [(found, name) for name in ("results", "") if (found := _status(self.root / name)) is not None]
        path = Path(real_path)
        for folder in (path, *path.parents):
            if (status := _status(folder)) is None:
                continue
            for mine, name in own:
                if os.path.samestat(status, mine):
                    return (Path(name) / path.relative_to(folder)).as_posix().removeprefix(".")
        return None

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the name is not valid text"
            number = error.errno if isinstance(error, OSError) else errno.ENOENT
            message = f"{key[:200]!r} in {self.root}: {reason}."
            if number in _DENIED:
                raise StorageDenied(
                    message, remedy=f"Give the user of this process read and write access to {self.root}."
                ) from None
            if number not in _ABSENT:
                raise StorageUnavailable(message, remedy=self._remedy(number)) from None
            if not self.root.is_dir():
                raise StorageNotFound(
                    f"The storage folder {self.root} does not exist.",
                    remedy=f"Create it (mkdir -p {self.root}), mount it, or correct OCRQUEUE_STORAGE.",
                ) from None
            raise StorageNotFound(message) from None

    def _remedy(self, number: int | None) -> str:
        if number in _FULL:
            return f"Make room below {self.root}, or raise the limit on its size."
        if number in _TOO_MANY_FILES:
            return "Raise the limit on open files (ulimit -n) of this process, or of the machine."
        return f"Check that {self.root} is mounted, and the health of its disk or file server."


_OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FOLDER_FLAG = getattr(os, "O_DIRECTORY", 0)
"""0 where the system has none."""


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


class _ThereAlready(Exception):
    """An object has the name already."""


def file_uri_path(uri: str, *, windows: bool = os.name == "nt") -> str:
    """The absolute path of a file:// URI (RFC 8089), percent-decoded. Raises SourceInvalid.

    On Windows it has a drive, file:///C:/path, or names a share: file://server/share/path.
    """
    parts = split_uri(uri)
    share = parts.netloc if windows and parts.netloc != "localhost" else ""
    if parts.scheme != "file" or parts.netloc not in {"", "localhost", share} or not parts.path.startswith("/"):
        raise SourceInvalid("Not a file:///path reference.")
    if parts.query or parts.fragment:
        raise SourceInvalid("A file:// reference has a `?` or `#`.", remedy="Write them %3F and %23 in file names.")
    path = unquote_to_bytes(parts.path)
    if b"\0" in path:
        raise SourceInvalid("A file:// reference holds a NUL.")
    decoded = os.fsdecode(path)
    if share:
        return f"//{share}{decoded}"
    return decoded[1:] if windows and _DRIVE.match(decoded) else decoded


# Texts instead of Paths, and calls of the system instead of file objects: a job's end waits for this, and would spend
# more on those than on the disk.
def _write_atomically(path: str, data: bytes, place: Callable[[str, str], object], *, durable: bool) -> None:
    """Write a temporary file and `place` it at `path`."""
    folder = os.path.dirname(path)  # noqa: PTH120
    temporary = f"{folder}/{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        _write_new(temporary, data, durable=durable)
        place(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    if durable:
        _sync_folder(folder)


def _write_new(path: str, data: bytes, *, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: str) -> None:
    if not _FOLDER_FLAG:
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY | _FOLDER_FLAG | _OPEN_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_atomically(original: Path, path: Path) -> None:
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        try:
            temporary.hardlink_to(original)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            shutil.copyfile(original, temporary)
        temporary.replace(path)
    finally:
        # where both were the same file already, replace() has done nothing
        temporary.unlink(missing_ok=True)


def _copy_open_file(file: BinaryIO, path: Path) -> None:
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as target:
            shutil.copyfileobj(file, target, _PIECE_BYTES)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: str, path: str) -> None:
    """Give the file its name, unless the name is taken. Raises _ThereAlready."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise _ThereAlready from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.exists(path):  # noqa: PTH110
            raise _ThereAlready from None
        os.replace(temporary, path)  # noqa: PTH105
    else:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108


def _unless_absent(error: OSError) -> None:
    """What os.walk() is to do with a folder that it cannot read: one that has gone has nothing in it."""
    if error.errno not in _ABSENT:
        raise error


def _remove_folder(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # absent, a symlink, or filled again by another process
        return False
    return True
