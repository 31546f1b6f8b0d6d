"""What is asked: a Job, its route over several engines, and the references that it names.

Nothing here knows of Redis, storage or workers.
"""

from ocrqueue.job.model import (
    BATCH,
    JOB_ID,
    REPLY_QUEUE,
    SCHEMA_VERSION,
    TENANT,
    CropMode,
    ExistingText,
    Job,
    describe_validation_error,
    engine_queues,
    is_lane,
    is_reserved_queue,
    new_job_id,
    parse_job,
    queue_name,
)
from ocrqueue.job.names import PREPARATION_STEPS, PreparationStep, Prepare

__all__ = [
    "BATCH",
    "JOB_ID",
    "PREPARATION_STEPS",
    "REPLY_QUEUE",
    "SCHEMA_VERSION",
    "TENANT",
    "CropMode",
    "ExistingText",
    "Job",
    "PreparationStep",
    "Prepare",
    "describe_validation_error",
    "engine_queues",
    "is_lane",
    "is_reserved_queue",
    "new_job_id",
    "parse_job",
    "queue_name",
]
