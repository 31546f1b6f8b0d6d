"""Workers, and the whole system on one machine."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class WorkerStopping(OcrQueueError):
    """The worker stopped in the middle of the job. The job waits for another worker."""

    code = "worker.stopping"
    retryable = True
    remedy = "You need do nothing. A longer OCRQUEUE_SHUTDOWN_GRACE_S lets more jobs finish."


class WorkerLost(OcrQueueError):
    """The process that read the job is gone: killed, or out of memory."""

    code = "worker.lost"
    retryable = True
    remedy = "You need do nothing if the job is read again. Otherwise the worker's log shows what ended the process."


class WorkerAccessBroken(OcrQueueError):
    """The worker cannot reach what every job needs. The job waits for another worker, or until this one can."""

    code = "worker.access_broken"
    retryable = True
    remedy = "The job needs nothing. `ocrqueue top` and the worker's log say what is wrong with the worker."


class WorkerUnknown(OcrQueueError):
    """No live worker has this name."""

    code = "worker.unknown"
    remedy = "`ocrqueue workers` lists those that are alive."


class WorkerDiskFull(OcrQueueError):
    """The worker could not write a temporary file: its disk or quota is full."""

    code = "worker.disk_full"
    retryable = True
    remedy = "Free space in the worker's folder for temporary files (TMPDIR, else /tmp), or give it a larger one."


class LocalSystemFailed(OcrQueueError):
    """A part of the local system did not start, or ended by itself."""

    code = "local.failed"
    remedy = "Read its log in the folder `logs` of the data folder."
