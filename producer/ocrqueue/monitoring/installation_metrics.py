"""The metrics of `ocrqueue metrics`."""

from __future__ import annotations

from typing import Final

from ocrqueue.monitoring.metric import Metric

UP: Final = Metric("ocrqueue_up", "gauge", "1 if Redis answers; 0 if not, and then there are no other metrics.")

METRICS: Final = (
    Metric(
        "ocrqueue_queue_jobs", "gauge", "Parts of jobs, mostly one a job, that no worker has taken.", ("engine", "lane")
    ),
    Metric(
        "ocrqueue_queue_messages",
        "gauge",
        "Messages of Celery apps that have not become jobs yet.",
        ("engine", "lane"),
    ),
    Metric(
        "ocrqueue_queue_messages_set_aside",
        "gauge",
        "Messages of Celery apps that Redis did not take in, and that somebody has to put back.",
        ("engine", "lane"),
    ),
    Metric(
        "ocrqueue_tenant_jobs",
        "gauge",
        "Jobs of ocrqueue_queue_jobs by tenant, for the 100 tenants with most. Empty: no tenant.",
        ("tenant",),
    ),
    Metric(
        "ocrqueue_queue_oldest_age_seconds",
        "gauge",
        "How long ago the oldest of them was submitted; 0 for an empty lane.",
        ("engine", "lane"),
    ),
    Metric(
        "ocrqueue_queue_limit_jobs",
        "gauge",
        "Jobs that may wait in an engine's three lanes together.",
        ("engine",),
    ),
    Metric(
        "ocrqueue_queue_paused",
        "gauge",
        "1 if no job is taken from the lane, since it or its engine is paused.",
        ("engine", "lane"),
    ),
    Metric("ocrqueue_tenants_paused", "gauge", "Tenants that are paused."),
    Metric("ocrqueue_workers_draining", "gauge", "Workers that take no more jobs, and end when their jobs have ended."),
    Metric("ocrqueue_workers", "gauge", "Workers that are alive.", ("engine",)),
    Metric("ocrqueue_worker_slots", "gauge", "Jobs that these workers do at a time.", ("engine",)),
    Metric(
        "ocrqueue_workers_stopped",
        "gauge",
        "Workers of ocrqueue_workers that cannot do jobs of the engine, since their own access is broken; "
        "by its error.",
        ("engine", "error"),
    ),
    Metric("ocrqueue_jobs_running", "gauge", "Parts of jobs that workers have in hand."),
    Metric("ocrqueue_jobs_delayed", "gauge", "Parts of jobs that are delayed before their next attempt."),
    Metric("ocrqueue_dead_letters", "gauge", "Jobs that failed for a reason that may pass."),
    Metric(
        "ocrqueue_webhooks_overdue_seconds",
        "gauge",
        "How long the notice that is due for longest has waited for `ocrqueue webhooks send`; failing hosts aside.",
    ),
    Metric("ocrqueue_webhooks_failing_hosts", "gauge", "Hosts that notices wait for, and that failed the last time."),
    Metric("ocrqueue_webhooks_failed", "gauge", "Notices that nobody took within 75 hours, or that met a 410."),
    Metric(
        "ocrqueue_bucket_events",
        "gauge",
        "Events of buckets since the beginning, by what became of them: submitted, known or ignored.",
        ("became",),
    ),
    Metric(
        "ocrqueue_billed_pages",
        "gauge",
        "Pages sent to a service that costs money, in this calendar month (UTC).",
        ("engine",),
    ),
    Metric(
        "ocrqueue_billed_cost",
        "gauge",
        "What these pages cost, in the currency of OCRQUEUE_ENGINE_PAGE_COST.",
        ("engine",),
    ),
    *(
        Metric(
            f"ocrqueue_tenant_month_{name}",
            "gauge",
            f"{what} of a tenant in this calendar month (UTC); of the 100 tenants that have used something last.",
            ("tenant",),
        )
        for name, what in (
            ("jobs", "Jobs that have ended,"),
            ("pages", "Pages that were read,"),
            ("cpu_seconds", "Processor time,"),
            ("bytes", "Bytes of what was read,"),
            ("cost", "What its pages have cost, in the currency of OCRQUEUE_ENGINE_PAGE_COST,"),
        )
    ),
)
"""In the order in which they are served."""
