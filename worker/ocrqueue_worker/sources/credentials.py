"""This worker's credentials for buckets: whether their server knows them, and when they are to be read again."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from ocrqueue.job.references import split_uri
from ocrqueue.settings import WorkerSettings

_FILES: Final = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
    "GOOGLE_APPLICATION_CREDENTIALS": "~/.config/gcloud/application_default_credentials.json",
}
"""Variables that name a file of credentials, and the file where they do not."""
_LOOK_EVERY_S: Final = 1.0


def check_credentials(source: str, settings: WorkerSettings) -> None:
    """`source`: s3://bucket or gs://bucket. Raises SourceCredentials where they are not."""
    parts = split_uri(source)
    if parts.scheme == "s3":
        from ocrqueue_worker.sources.s3 import check_s3_credentials

        check_s3_credentials(parts.netloc, settings)
    elif parts.scheme == "gs":
        from ocrqueue_worker.sources.gs import check_gs_credentials

        check_gs_credentials(settings)


class Credentials:
    """Those that this process has read from files, and the files as they were then."""

    def __init__(self) -> None:
        self._files = _states()
        self._next_look = 0.0
        """By time.monotonic()."""

    def renew_soon(self) -> None:
        """The same as renew() within a second: for every job. One that is denied access meanwhile asks renew()."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self.renew()

    def renew(self) -> bool:
        """Have them read again where a file has changed. Returns whether one has, since this was made or last asked."""
        before, self._files = self._files, _states()
        if before == self._files:
            return False
        self.forget()
        return True

    @staticmethod
    def forget() -> None:
        """What this process asks next, of storage or sources, reads them again."""
        if "ocrqueue.storage.s3_client" in sys.modules:  # it has asked nothing of S3 otherwise, and boto3 is large
            from ocrqueue.storage.s3_client import forget_s3_clients

            forget_s3_clients()
        from ocrqueue_worker.sources.gs import forget_gs_credentials

        forget_gs_credentials()


def _states() -> tuple[object, ...]:
    return tuple(_state(os.environ.get(name) or file) for name, file in _FILES.items())


def _state(file: str) -> object:
    # texts instead of Paths: every job asks, and these take a tenth of the time
    try:
        found = os.stat(os.path.expanduser(file))  # noqa: PTH111, PTH116
    except OSError:
        # also where there is no home, which stays a `~` then
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


CREDENTIALS: Final = Credentials()
"""Those of this process: made before it, or the one that it was forked from, has read any."""
