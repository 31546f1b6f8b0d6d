"""An installation as anybody meets it: by the command line, the public API, and Redis as its keys are documented."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from click.testing import CliRunner

from ocrqueue import OcrQueue
from ocrqueue.cli.program import program
from ocrqueue.settings import WorkerSettings
from tests.support.pictures import png, text_picture
from tests.support.processes import Worker, as_environment, environment, worker

HASTY = {"worker_heartbeat_s": 0.2, "lost_after_s": 1}
"""WorkerSettings under which the jobs of a lost worker are soon back."""


@dataclass(frozen=True)
class Outside:
    settings: WorkerSettings
    queue: OcrQueue
    client: redis.Redis
    folder: Path

    def command(self, *arguments: str, status: int = 0) -> str:
        """What `ocrqueue ARGUMENTS` prints."""
        variables: dict[str, str | None] = {**environment(as_environment(self.settings))}
        result = CliRunner(env=variables).invoke(program, arguments, prog_name="ocrqueue")
        assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
        return result.stdout

    def worker(self, *arguments: str, **settings: object) -> AbstractContextManager[Worker]:
        return worker(as_environment(self.settings) | settings, self.folder, *arguments)

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}ocrqueue:{name}"

    def waiting(self, lane: str) -> int:
        return next(found.waiting for found in self.queue.queues() if found.name == lane)

    def forget_record(self, job_id: str) -> None:
        """As when its time is over."""
        assert self.client.delete(self.key(f"job:{job_id}")) == 1

    def stored_page(self) -> str:
        """The reference of an image that many jobs can share."""
        return self.queue.storage.put("inputs/page.png", png(text_picture("Hello 42")), "image/png")

    def results(self, job_id: str) -> set[str]:
        """The keys of all that is stored of a job."""
        return set(self.queue.storage.list(f"results/{job_id}"))


@contextmanager
def from_outside(settings: WorkerSettings, folder: Path) -> Iterator[Outside]:
    """At its end `ocrqueue check` must have nothing to say."""
    with OcrQueue(settings) as queue, redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        outside = Outside(settings, queue, client, folder)
        yield outside
        assert outside.command("check") == ""
