"""Registry: the memory of all jobs, for code that blocks. Every method but those said otherwise is one round trip."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ocrqueue.core.admission import Admission
from ocrqueue.core.records import JobStatus, State, parse_record, stored_job
from ocrqueue.core.redis_errors import app_errors
from ocrqueue.core.script_arguments import PIPELINE, Arguments, ScriptArguments
from ocrqueue.core.scripts import load_script
from ocrqueue.errors import JobDeleted, JobEnded, JobUnknown
from ocrqueue.job import Job

if TYPE_CHECKING:
    import redis

    from ocrqueue.settings import ClientSettings

Answer = TypeVar("Answer")

MOVES: Final = (
    "submit",
    "peek",
    "take_in",
    "set_aside",
    "take",
    "begin",
    "progress",
    "split",
    "release",
    "send_on",
    "finish",
    "cancel",
    "lost",
    "reclaim",
    "heartbeat",
    "replay",
    "pause",
    "resume",
    "take_back",
    "announce_input",
    "claim_removal",
    "end_removal",
    "find",
    "drop",
    "drain",
    "ring",
    "note_leftovers",
    "note_action",
    "delete",
    "remember_reading",
    "readmit",
    "close_batch",
    "authenticate",
    "ask_action",
    "take_action",
    "keep_action",
    "end_action",
)
"""A script each."""


class Registry:
    """What apps and operators ask of it. Every call raises BrokerUnavailable if Redis does not answer."""

    def __init__(self, settings: ClientSettings, client: redis.Redis | None = None) -> None:
        # redis-py comes with it, and is not imported before somebody has a client
        from ocrqueue.core.connection import connect

        self.settings = settings
        self.arguments = ScriptArguments(settings)
        self.keys = self.arguments.keys
        self.client = client or connect(settings)
        self._scripts = {name: self.client.register_script(load_script(name)) for name in MOVES}

    def errors(self) -> AbstractContextManager[None]:
        """Around what Redis is asked: its failures become errors of ocrqueue."""
        return app_errors()

    def submit(self, jobs: Iterable[Job], wait_for_room: float | None = 0) -> Iterator[str]:
        """Queue the jobs, 500 in a round trip; yields the id that stands for each, in order.

        The id differs from the job's where its idempotency key belongs to an earlier job. Raises QueueFull at the first
        job that finds its queue full, once no room was found for `wait_for_room` seconds (None: waits without limit);
        a job that is queued or has ended already is never refused. Raises NotReplicated in the end where the setting
        `submit_replicas` asks for more replicas than had the jobs in time.
        """
        remaining = iter(jobs)
        admission = Admission(self.arguments, wait_for_room)
        while admission.take(islice(remaining, PIPELINE)):
            while admission.pending:
                yield from admission.settle(*self.run_replicated("submit", admission.call()))
                time.sleep(admission.pause_s())
        if (fault := admission.not_replicated()) is not None:
            raise fault

    def run_replicated(self, move: str, arguments: Arguments) -> tuple[Any, int]:
        """The answer of a script that adds jobs, and how many replicas have them, if the settings ask for any."""
        if not self.settings.submit_replicas:
            return self.run(move, arguments), 0

        def ask(sha: str) -> tuple[Any, int]:
            with self.client.pipeline(transaction=False) as pipeline:
                pipeline.evalsha(sha, 0, *arguments)
                pipeline.wait(*self.arguments.wait())
                answer, replicas = pipeline.execute()
            return answer, replicas

        return self._with_script(move, ask)

    def status(self, job_id: str) -> JobStatus:
        """Raises JobUnknown, and JobEnded where only that is remembered."""
        (status,) = self.statuses([job_id])
        if status is not None:
            return status
        raise self.why_unknown(job_id)

    def why_unknown(self, job_id: str) -> JobUnknown:
        """The error for a job without a record: that it has ended, or was deleted, is remembered for a while. Two round
        trips."""
        with self.errors():
            days = cast("set[bytes]", self.client.smembers(self.keys.ended_days()))
            with self.client.pipeline(transaction=False) as pipeline:
                for day in days:
                    for entry in end_entries(job_id):
                        pipeline.sismember(self.keys.ended_ids(day.decode()), entry)
                return unknown(job_id, pipeline.execute())

    def statuses(self, job_ids: Sequence[str]) -> Iterator[JobStatus | None]:
        """One JobStatus for each id, None where there is no record; a round trip for each 500."""
        for start in range(0, len(job_ids), PIPELINE):
            chunk = job_ids[start : start + PIPELINE]
            with self.errors(), self.client.pipeline(transaction=False) as pipeline:
                for job_id in chunk:
                    pipeline.hgetall(self.keys.record(job_id))
                records = pipeline.execute()
            for job_id, record in zip(chunk, records, strict=True):
                yield parse_record(job_id, record) if record else None

    def fields(self, job_id: str, names: Sequence[str]) -> list[bytes | None]:
        """Fields of the record; None if there is no record."""
        with self.errors():
            return cast("list[bytes | None]", self.client.hmget(self.keys.record(job_id), list(names)))

    def parts_done(self, job_id: str, fields: Sequence[str]) -> list[bytes | None]:
        """The error of each part of a split job: empty if it has none, None if the part is not done."""
        with self.errors():
            return cast("list[bytes | None]", self.client.hmget(self.keys.parts_done(job_id), list(fields)))

    def cancel(self, job_id: str) -> State:
        """Cancel a waiting job, ask a running one to stop; a finished one stays as it is.

        Returns the state after it. Raises JobUnknown, JobEnded.
        """
        (answer,) = self.run("cancel", self.arguments.cancel([job_id]))
        return cancelled_state(job_id, answer)

    def jobs(self, job_ids: Sequence[str]) -> list[Job | None]:
        """The jobs as they were submitted; None where there is no record."""
        with self.errors(), self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hget(self.keys.record(job_id), "job")
            stored = pipeline.execute()
        return [
            None if text is None else stored_job(job_id, text.decode(errors="replace"))
            for job_id, text in zip(job_ids, stored, strict=True)
        ]

    def remember_reading(self, cache_key: str, result_uri: str, job_id: str) -> None:
        """The result of an image, which the job has read, is at `result_uri`, should the same be asked again."""
        self.run("remember_reading", self.arguments.remember_reading(cache_key, result_uri, job_id))

    def earlier_reading(self, cache_key: str) -> str | None:
        with self.errors():
            uri = cast("bytes | None", self.client.get(self.keys.read(cache_key)))
        return uri.decode() if uri else None

    def announce_input(self, name: str, job_id: str) -> bool:
        """A job that is about to be submitted will refer to an image of this name, which is uploaded or is next:
        it stays. False where the image is being removed at this moment."""
        return bool(self.run("announce_input", self.arguments.announce_input(name, job_id)))

    def forget_deleted(self, jobs: Sequence[tuple[str, str | None]]) -> None:
        """What these deleted jobs, each with its uploaded image's name, had stored is removed."""
        with self.errors():
            self.client.zrem(self.keys.deleted(), *(f"{job_id} {name or ''}" for job_id, name in jobs))

    def close(self) -> None:
        self.client.close()

    def run(self, move: str, arguments: Arguments) -> Any:
        """One of the scripts."""
        with self.errors():
            return self._scripts[move](args=arguments)

    def run_each(self, move: str, calls: Sequence[Arguments]) -> list[Any]:
        """One of the scripts, with each of these arguments. The first error of any is raised, when all were called."""
        if len(calls) == 1:
            return [self.run(move, calls[0])]

        def ask(sha: str) -> list[Any]:
            with self.client.pipeline(transaction=False) as pipeline:
                for arguments in calls:
                    pipeline.evalsha(sha, 0, *arguments)
                return list(pipeline.execute())

        return self._with_script(move, ask)

    def _with_script(self, move: str, ask: Callable[[str], Answer]) -> Answer:
        """`ask` with the SHA-1 of a script; once more where Redis did not have the script, and has it now."""
        from redis.exceptions import NoScriptError

        script = self._scripts[move]
        with self.errors():
            try:
                return ask(script.sha)
            except NoScriptError:
                self.client.script_load(script.script)
                return ask(script.sha)


def end_entries(job_id: str) -> list[str]:
    """What may be remembered of a day: that the job ended, and that it was deleted."""
    return [job_id, f"{job_id} deleted"]


def unknown(job_id: str, found: Sequence[int] = ()) -> JobUnknown:
    """The error for a job without a record, from the answers about its `end_entries`, of each day after the other."""
    if any(found[1::2]):
        return JobDeleted(f"Job {job_id} was deleted.")
    if any(found[::2]):
        return JobEnded(f"Job {job_id} has ended; its record has expired.")
    return JobUnknown(f"No job {job_id}.")


def cancelled_state(job_id: str, answer: bytes | None) -> State:
    """The state in CANCEL's answer. Raises JobUnknown, JobEnded."""
    if answer is None:
        raise unknown(job_id)
    if answer in (b"ended", b"deleted"):
        raise unknown(job_id, [1, int(answer == b"deleted")])
    return cast("State", answer.decode())


def parse_deleted(entry: bytes) -> tuple[str, str | None]:
    """The deleted jobs that are still in storage: the id, and the name of its uploaded image."""
    job_id, _, name = entry.decode(errors="replace").partition(" ")
    return job_id, name or None
