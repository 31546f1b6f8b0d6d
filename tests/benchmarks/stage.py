"""What a benchmark runs on: a private Redis, an S3 server, a bucket of its own, real workers."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

import click

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage.s3_client import s3_client
from ocrqueue.submitting.submission import upload
from tests.support.processes import RedisServer, as_environment, redis_server, worker
from tests.support.servers import S3_ENDPOINT_VARIABLE, s3_environment, s3_server

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "samples"
CORES = 2
"""Jobs at a time, of every contestant."""

_ENDINGS = {".jpg", ".jpeg", ".png"}

images_option = click.option(
    "--images",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=SAMPLES,
    help="Folder of JPEG and PNG images.  [default: the samples]",
)
s3_option = click.option(
    "--s3-endpoint",
    envvar=S3_ENDPOINT_VARIABLE,
    help="URL of an S3 server; keys in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.  [default: a moto server]",
)


@dataclass(frozen=True)
class Stage:
    redis: RedisServer
    settings: WorkerSettings
    folder: Path


def jobs_left(queue: OcrQueue) -> int:
    """Jobs that wait or run."""
    registry = registry_of(queue)
    waiting = cast("list[bytes]", registry.client.hvals(registry.keys.waiting()))
    return sum(map(int, waiting)) + cast("int", registry.client.zcard(registry.keys.leases()))


def image_files(folder: Path) -> list[Path]:
    """The images of a folder. Raises click.ClickException where there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    if not found:
        raise click.ClickException(f"No .jpg or .png in {folder}.")
    return found


@contextmanager
def file_stage(**settings: object) -> Iterator[Stage]:
    """Storage in a folder."""
    with tempfile.TemporaryDirectory(prefix="ocrqueue-bench-") as name, redis_server(Path(name)) as redis:
        storage = Path(name) / "storage"
        storage.mkdir()
        yield Stage(redis, _settings(redis, f"file://{quote(str(storage))}", settings), Path(name))


@contextmanager
def s3_stage(endpoint: str | None, **settings: object) -> Iterator[Stage]:
    """Storage in a new bucket, deleted at the end; this process's AWS_* lead to it from now on."""
    with (
        tempfile.TemporaryDirectory(prefix="ocrqueue-bench-") as name,
        redis_server(Path(name)) as redis,
        nullcontext(endpoint) if endpoint else s3_server() as url,
    ):
        os.environ.update(s3_environment(url))
        made = _settings(redis, f"s3://ocrqueue-bench-{uuid.uuid4().hex[:12]}", settings | {"s3_endpoint": url})
        with OcrQueue(made) as queue:
            queue.storage.ensure()
            try:
                yield Stage(redis, made, Path(name))
            finally:
                clear(queue)
                queue.storage.delete_prefix("inputs")
                s3_client(made).delete_bucket(Bucket=made.storage.removeprefix("s3://"))


def _settings(redis: RedisServer, storage: str, more: dict[str, object]) -> WorkerSettings:
    return load_worker_settings(**{"redis_url": redis.url, "storage": storage, "log_level": "warning", **more})


def clear(queue: OcrQueue) -> None:
    """Delete all results, so that no run works in a fuller store than the one before."""
    queue.storage.delete_prefix("results")


def store_images(queue: OcrQueue, files: Sequence[Path]) -> list[str]:
    """The images' URIs in storage."""
    return [upload(path.read_bytes(), queue.storage) for path in files]


@contextmanager
def system_worker(stage: Stage, engine: str, children: int = CORES) -> Iterator[int]:
    """Yields the pid of its main process."""
    arguments = ("--engine", engine, "--concurrency", str(children))
    with worker(as_environment(stage.settings), stage.folder, *arguments) as started:
        yield started.pid
