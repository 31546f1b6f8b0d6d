"""This worker's credentials for buckets: whether their server knows them, and when they are to be read again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from ocrqueue.job.references import split_uri
from ocrqueue.settings import WorkerSettings

_FILES: Final = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
    "GOOGLE_APPLICATION_CREDENTIALS": "~/.config/gcloud/application_default_credentials.json",
}
"""Variables that name a file of credentials, and the file where they do not."""


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
    try:
        found = Path(file).expanduser().stat()
    except (OSError, RuntimeError):
        # the latter: there is no home
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


CREDENTIALS: Final = Credentials()
"""Those of this process: made before it, or the one that it was forked from, has read any."""
