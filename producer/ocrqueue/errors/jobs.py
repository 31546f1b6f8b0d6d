"""The job and its message."""

from __future__ import annotations

from collections.abc import Sequence

from ocrqueue.errors.base import OcrQueueError


class JobMalformed(OcrQueueError):
    """The job is not what the schema asks for."""

    code = "job.malformed"
    remedy = "Compare it with `ocrqueue schema job`."


class JobSchemaUnsupported(OcrQueueError):
    """The job's schema_version is not one that this worker reads."""

    code = "job.schema_unsupported"
    remedy = "Upgrade the workers before the producers, or send the version that the workers read."


class JobExpired(OcrQueueError):
    """The message had expired (its `expires`) when it was taken in to become a job."""

    code = "job.expired"
    remedy = "Submit it again, with a later `expires` or none. To end a job that waits in its queue, cancel it."


class JobUnknown(OcrQueueError):
    """No job has this id: it was never submitted, or its record has expired."""

    code = "job.unknown"
    remedy = (
        "Check the id. Records are kept for OCRQUEUE_RECORD_TTL_S seconds after the end, "
        "of failed jobs for OCRQUEUE_DEAD_LETTER_TTL_S."
    )
    job_ids: Sequence[str] = ()
    """For a wait: all of its jobs that have no record."""


class JobEnded(JobUnknown):
    """The job has ended, and its record has expired."""

    code = "job.ended"
    remedy = "Its result, if it had one, may still be in storage: results/<id>/result.json."


class JobDeleted(JobEnded):
    """The job was deleted."""

    code = "job.deleted"
    remedy = "Submit the image again if you still want its result."


class DeletionPending(OcrQueueError):
    """The job is deleted, but some of its files are still in storage: their removal goes on, or was interrupted."""

    code = "job.deletion_pending"
    retryable = True
    remedy = (
        "A worker or `ocrqueue reconcile` removes them within minutes. Delete it again to see whether they are gone."
    )


class JobNotFailed(OcrQueueError):
    """Only a job that has failed can be replayed."""

    code = "job.not_failed"
    remedy = "Wait until it has ended. If it ended without a failure, submit it again as a new job."


class JobNotFinished(OcrQueueError):
    """The job has no result yet."""

    code = "job.not_finished"
    retryable = True
    remedy = "Wait for it: job.result(), job.wait(), or `ocrqueue wait ID`."


class JobWaitTimeout(OcrQueueError, TimeoutError):
    """The job did not end within the time given to wait()."""

    code = "job.wait_timeout"
    retryable = True
    remedy = "Wait longer. `ocrqueue queues` shows whether workers take jobs from the queue."
    job_ids: Sequence[str] = ()
    """All jobs of the wait that have not ended, and then those that have no record."""


class JobCancelled(OcrQueueError):
    """The job was cancelled and has no result."""

    code = "job.cancelled"
    remedy = "Submit it again if you still want the result."


class JobPoison(OcrQueueError):
    """Every delivery of the job killed its worker, and the limit of deliveries is reached."""

    code = "job.poison"
    remedy = (
        "Memory is a likely cause: look for the OOM killer in the workers' kernel log, and at the image. Give the "
        "workers more memory or lower OCRQUEUE_JOB_MEMORY_LIMIT_MIB, then replay the job: `ocrqueue dead replay ID`."
    )
