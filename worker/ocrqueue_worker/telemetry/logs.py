"""Log lines: JSON with the job's id, one line an event; never an image reference, which can hold a secret."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from celery.worker.consumer import consumer

from ocrqueue.settings import WorkerSettings

# Celery logs the whole body of a message that it cannot take, and a presigned URL could be in it: its lines, without
_WITHOUT_BODY: Final = {
    "Connected to %s": "Connected to Redis.",  # less the name of a class
    consumer.UNKNOWN_FORMAT: "Dropped a message of unknown form.",
    consumer.UNKNOWN_TASK_ERROR: "Dropped a message for a task that is not registered: %s",
    consumer.INVALID_TASK_ERROR: "Dropped an invalid task message: %s",
    consumer.MESSAGE_DECODE_ERROR: "Dropped a message whose body cannot be decoded: %r",
}


def without_body(record: logging.LogRecord) -> bool:
    """A logging filter that lets every record pass, less the message's body."""
    text = _WITHOUT_BODY.get(record.msg) if isinstance(record.msg, str) else None
    if text is not None:
        record.msg = text
        record.args = record.args[:1] if isinstance(record.args, tuple) and "%" in text else ()
    return True


def configure_logging(settings: WorkerSettings) -> None:
    """Send structlog's and the standard library's records (Celery's, botocore's) to stderr in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # what is below the level costs nothing: it is not put together first
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor]
    # tracebacks are without local variables: they hold references and settings
    if settings.log_format == "json":
        tracebacks = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
        last = [tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(without_body)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # what these say at INFO repeats our own lines, httpx's with the whole URL
    for noisy in (
        "httpx",
        "httpcore",
        "botocore",
        "boto3",
        "urllib3",
        "PIL",
        "celery.app.trace",
        "celery.worker.strategy",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
