"""An installation in which much goes on, as Redis tells of it: no worker is there. For the operator's pages."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Sequence
from typing import Final

from ocrqueue.core import EngineOffer, Hold, Outcome, WorkerInfo, WorkerRegistry
from ocrqueue.core.records import Trouble
from ocrqueue.core.tenants import set_weights
from ocrqueue.document import Timings
from ocrqueue.errors import EngineFailed, EngineTimeout, ErrorInfo, ImageEmpty, LanguageMissing, SourceUnavailable
from ocrqueue.job import Job, engine_queues
from ocrqueue.job.route import Route, Step
from ocrqueue.webhooks.endpoints import set_endpoint

CHILDREN: Final = 4
_NAMES: Final = ("invoice-2041.pdf", "receipt.jpg", "contract, signed.pdf", "IMG_20260105_0912.heic", "계약서.pdf")
_TAGS: Final = ("invoices", "receipts", "archive 2019", None)


def job(number: int = 0, **fields: object) -> Job:
    """As an app submits it."""
    given = {"image": f"s3://scans/2026/{number:05d}.png", "engine": "tesseract", "tag": _TAGS[number % len(_TAGS)]}
    return Job.model_validate({**given, "name": _NAMES[number % len(_NAMES)], **fields})


def announce(registry: WorkerRegistry, name: str, engine: str, troubles: Sequence[Trouble] = ()) -> str:
    """A worker, which is live for as long as the setting worker_heartbeat_s says; its holder."""
    holder = f"holder of {name}"
    offer = EngineOffer(name=engine, version="5.5.0", model="tessdata_fast", languages=("eng", "kor"))
    seconds, _ = registry.client.time()
    info = WorkerInfo(
        name=name,
        holder=holder,
        queues=tuple(engine_queues(engine)),
        engines=(offer,),
        concurrency=CHILDREN,
        pid=1,
        started_at=seconds - 7300,
        running=3,
        memory_bytes=612_000_000,
        troubles=tuple(troubles),
    )
    registry.heartbeat(holder, info.model_dump_json(), [])
    return holder


def taken(registry: WorkerRegistry, holder: str, engine: str = "tesseract") -> Hold:
    """The next part of the engine, whose attempt has begun."""
    answer = registry.take(uuid.uuid4().hex, holder, [(lane, 1) for lane in engine_queues(engine)])
    (part,) = answer.parts
    assert registry.begin(part.hold, holder.removeprefix("holder of "), engine).verdict == "run"
    return part.hold


def finish(registry: WorkerRegistry, given: Job, holder: str = "holder of ocr1", error: ErrorInfo | None = None) -> str:
    """The job is read, or fails; it is alone in its lane. Its id."""
    list(registry.submit([given]))
    hold = taken(registry, holder, given.engine)
    assert hold.job_id == given.id
    registry.finish(hold, given, outcome(given, error))
    return given.id


def outcome(given: Job, error: ErrorInfo | None = None) -> Outcome:
    if error is not None:
        return Outcome(job_id=given.id, state="failed", error=error, timings=Timings(total_s=1.5, fetch_s=1.4))
    timings = Timings(queue_wait_s=1.2, fetch_s=0.21, decode_s=0.3, ocr_s=3.4, crop_s=0.5, upload_s=0.2, total_s=4.7)
    return Outcome(
        job_id=given.id,
        state="succeeded",
        result="file:///result.json",
        pages=3,
        words=1204,
        mean_confidence=0.94,
        timings=timings,
    )


def fail_some(registry: WorkerRegistry, count: int = 12) -> list[str]:
    """Jobs that failed, half of them for good; their ids."""
    errors = (
        EngineFailed("Tesseract ended with signal 11 on page 2."),
        EngineTimeout("tesseract took longer than 60 s for page 1."),
        SourceUnavailable("https://scans.example.org/17.png: HTTP status 503."),
        ImageEmpty("The file has no bytes."),
    )
    return [
        finish(registry, job(number, tenant=("acme", "globex")[number % 2]), error=errors[number % len(errors)].info)
        for number in range(count)
    ]


def routed(registry: WorkerRegistry) -> str:
    """A job that went on from one engine to the next, failed, and was replayed; a webhook waits for its end."""
    set_endpoint(registry, "initech", "https://hooks.example.org/ocr?token=x")
    route = Route(asked="fallback", engines=("tesseract", "rapid"), reason="Korean; rapid reads faint print.")
    given = job(4, tenant="initech", route=route, tag="archive 2019", batch="2019")
    list(registry.submit([given]))
    first = taken(registry, "holder of ocr1")
    step = Step(engine="tesseract", version="5.5.0", model="tessdata_fast", attempt=1, pages=3, pages_sent_on=2)
    going_on = given.model_copy(
        update={
            "engine": "rapid",
            "route": route.after(step.model_copy(update={"mean_confidence": 0.58, "seconds": 2.1})),
        }
    )
    assert registry.send_on(first, going_on, "tesseract", 3) == "sent"
    second = taken(registry, "holder of ocr2", "rapid")
    registry.finish(second, going_on, outcome(going_on, EngineFailed("RapidOCR ran out of memory.").info))
    return given.id


def count_hours(registry: WorkerRegistry, hours: int = 24) -> None:
    """Jobs ended, some failed, and pages were read, more by day than by night."""
    seconds, _ = registry.client.time()
    chosen = random.Random(7)
    with registry.client.pipeline(transaction=False) as pipeline:
        for minute in range(seconds // 60 - hours * 60, seconds // 60):
            day = 1 + math.sin(minute / 240)
            ended = int(12 * day + chosen.random() * 6)
            failed = chosen.randint(1, 4) if minute % 97 < 9 else 0
            counts = {"tesseract:ended": ended, "tesseract:failed": min(failed, ended), "tesseract:pages": 3 * ended}
            pipeline.hset(registry.keys.minute(minute), mapping={**counts, "rapid:ended": ended // 4})
        pipeline.execute()


def make_busy(registry: WorkerRegistry) -> dict[str, str]:
    """All of it; ids of jobs by what is special about them."""
    trouble = Trouble(
        what="languages of rapid", error=LanguageMissing("No pack for fra.").info, since=0, engine="rapid", stops=False
    )  # type: ignore[arg-type]  # pydantic reads a number as a time
    ocr1 = announce(registry, "ocr1", "tesseract")
    announce(registry, "ocr2", "rapid", [trouble])
    set_weights(registry, {"acme": 3})
    failed = fail_some(registry)
    of_route = routed(registry)
    succeeded = [finish(registry, job(number, tenant="acme")) for number in range(20)]
    registry.cancel(*registry.submit([job(3, tenant="globex")]))
    list(registry.submit([job(number, tenant=("acme", "acme", "globex", "")[number % 4]) for number in range(240)]))
    list(registry.submit([job(number, priority="high", tenant="acme") for number in range(4)]))
    list(registry.submit([job(number, engine="vision", tenant="globex") for number in range(12)]))
    running = [taken(registry, ocr1) for _ in range(3)]
    for number, hold in enumerate(running):
        registry.progress(hold, number, 5)
    count_hours(registry)
    return {"failed": failed[0], "routed": of_route, "succeeded": succeeded[0], "running": running[1].job_id}
