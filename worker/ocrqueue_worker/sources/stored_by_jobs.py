"""What jobs have stored is no source: a reference to it could be a way to what another tenant has had read."""

from __future__ import annotations

from ocrqueue.errors import SourcePathNotAllowed
from ocrqueue.storage import Storage, is_of_a_job


def check_bucket_reference(uri: str, storage: Storage) -> None:
    """Of s3:// or gs://, for what is fetched here or by an engine. Raises SourcePathNotAllowed."""
    for key in storage.keys_behind(uri):
        check_key(key)


def check_key(key: str) -> None:
    """Of the storage. Raises SourcePathNotAllowed."""
    if is_of_a_job(key):
        raise SourcePathNotAllowed(
            "The reference leads to what a job has stored.", remedy="Refer to the image itself, or submit its bytes."
        )
