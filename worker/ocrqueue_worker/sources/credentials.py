"""Whether this worker's credentials for a bucket are such that its server knows them, whatever they may read."""

from __future__ import annotations

from ocrqueue.job.references import split_uri
from ocrqueue.settings import Settings


def check_credentials(source: str, settings: Settings) -> None:
    """`source`: s3://bucket or gs://bucket. Raises SourceCredentials where they are not."""
    parts = split_uri(source)
    if parts.scheme == "s3":
        from ocrqueue_worker.sources.s3 import check_s3_credentials

        check_s3_credentials(parts.netloc, settings)
    elif parts.scheme == "gs":
        from ocrqueue_worker.sources.gs import check_gs_credentials

        check_gs_credentials(settings)
