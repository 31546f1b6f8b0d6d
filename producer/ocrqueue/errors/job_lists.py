"""Lists of jobs, actions on many, and batches."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class FilterMissing(OcrQueueError):
    """An action on many jobs names none of them."""

    code = "filter.missing"
    remedy = "Name a tag, a tenant, a state, an error's code or a time, or ask for all jobs explicitly."


class FilterInvalid(OcrQueueError):
    """No job can match a filter, or the limit is not a positive number."""

    code = "filter.invalid"
    remedy = "Leave the filter out to take jobs of any kind. The tenant `-` means jobs without a tenant."


class ActionUnknown(OcrQueueError):
    """No action on many jobs has this id: it was never asked for, or what came of it has expired."""

    code = "action.unknown"
    remedy = (
        "Check the id; what came of an action is kept for OCRQUEUE_RECORD_TTL_S seconds. Its line in the audit stays."
    )


class ActionsFull(OcrQueueError):
    """Too many actions on many jobs wait to be done."""

    code = "action.too_many"
    retryable = True
    remedy = "Wait until some are done, and ask again. Name more jobs in one action rather than few in many."


class BatchInvalid(OcrQueueError):
    """This is not a valid name of a batch."""

    code = "batch.invalid"
    remedy = "A name has at most 128 letters, digits and the characters _ . - and begins with a letter or digit."


class BatchUnknown(OcrQueueError):
    """No batch has this name and tenant, or the records of all its jobs have expired."""

    code = "batch.unknown"
    remedy = "Check the name and the tenant: the name of a batch belongs to its tenant."


class BatchClosed(OcrQueueError):
    """The batch is closed: nothing more comes into it.

    `details`: submitted (how many jobs of the call were queued: always its first ones).
    """

    code = "batch.closed"
    remedy = "Submit to another batch, or without one."


class CursorInvalid(OcrQueueError):
    """This is not a place where a list of jobs goes on."""

    code = "cursor.invalid"
    remedy = "Give the `next` of the page before, or begin at the start."
