"""Redis, the queue, and messages by name."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class BrokerUnavailable(OcrQueueError):
    """Redis does not answer, or not in time, or takes no writes."""

    code = "broker.unavailable"
    retryable = True
    remedy = "Check OCRQUEUE_REDIS_URL, which names it, and that the server is up."
    may_pass: bool = True
    """Whether it may answer later, by itself. Not so where it refuses the user, or is too old."""


class BrokerRefused(OcrQueueError):
    """Redis refuses this request as one that it cannot carry out. Others are not concerned."""

    code = "broker.refused"
    remedy = "Report it with what was submitted or asked: no retry helps. The exception's cause has Redis's own words."


class ConnectionsExhausted(BrokerUnavailable):
    """All connections to Redis that this client may have are in use: too many threads or tasks ask at once."""

    code = "broker.connections_exhausted"
    remedy = "Have fewer threads or tasks ask at once, or raise OCRQUEUE_REDIS_MAX_CONNECTIONS."


class ClientClosed(OcrQueueError):
    """The client was closed while this call waited."""

    code = "client.closed"
    remedy = "Close a client after all that uses it has ended."


class IntakeUnavailable(OcrQueueError):
    """The server from which `ocrqueue intake` takes jobs does not answer."""

    code = "intake.unavailable"
    retryable = True
    remedy = "Check the address that `ocrqueue intake` was given, and the server."


class IntakeDenied(OcrQueueError):
    """The server from which `ocrqueue intake` takes jobs refuses access."""

    code = "intake.denied"
    remedy = (
        "Check the user, password and virtual host in the address that `ocrqueue intake` was given; the user needs to "
        "read the queues ocr.<engine>, and nothing else."
    )


class NotReplicated(OcrQueueError):
    """The jobs are queued, but too few replicas of Redis have them. A failover may lose them.

    `details`: wanted, and replicas (how many had all of the jobs in time).
    """

    code = "broker.not_replicated"
    retryable = True
    remedy = (
        "Submit the same again, as the same Job or with the same idempotency_key: it stays one job, and the replicas "
        "are waited for again. If it persists, look at them, or at OCRQUEUE_SUBMIT_REPLICAS."
    )


class QueueFull(OcrQueueError):
    """The engine's queue is full.

    `details`: engine, waiting and limit (jobs), retry_after_s (when there should be room, in whole seconds), submitted
    (how many jobs of the call were queued: always its first ones).
    """

    code = "queue.full"
    retryable = True
    remedy = (
        "Submit the rest later or wait for room (wait_for_room, --wait-for-room), start more workers, "
        "or raise OCRQUEUE_MAX_QUEUE_LENGTH."
    )
    not_replicated: NotReplicated | None = None
    """Set if too few replicas have the jobs in `submitted`."""

    @property
    def retry_after_s(self) -> float:
        """Seconds after which there should be room, by the rate at which the engine's jobs end."""
        value = self.info.details.get("retry_after_s")
        return float(value) if isinstance(value, int | float) else 0.0


class TenantLimited(QueueFull):
    """The tenant has reached a limit of its own.

    `details`: tenant; limit: rate (jobs in a time), waiting (jobs that wait), pages_a_month, budget_a_month, or calls
    (by gRPC, under way at once); used and allowed of it; retry_after_s (when there should be room, in whole seconds);
    submitted (how many jobs of the call were queued: always its first ones).
    """

    code = "tenant.limited"
    remedy = (
        "Submit the rest later, or wait for room (wait_for_room, --wait-for-room); an operator raises the limit with "
        "`ocrqueue tenants limit`."
    )
