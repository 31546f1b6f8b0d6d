"""AsyncRegistry: Registry for an event loop. Every method but those said otherwise is one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import NoScriptError

from ocrqueue.core.connection import connect_async
from ocrqueue.core.records import JobStatus, parse_record
from ocrqueue.core.redis_errors import app_errors
from ocrqueue.core.registry import MOVES, end_entries, unknown
from ocrqueue.core.script_arguments import PIPELINE, Arguments, ScriptArguments
from ocrqueue.core.scripts import load_script
from ocrqueue.errors import JobUnknown
from ocrqueue.job import Job

if TYPE_CHECKING:
    from ocrqueue.settings import ClientSettings

Command = Sequence[str | bytes | int | float]


class AsyncRegistry:
    """What apps ask of the memory of all jobs, in one event loop. Every call raises BrokerUnavailable if Redis does not
    answer."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.arguments = ScriptArguments(settings)
        self.keys = self.arguments.keys
        self.client = connect_async(settings)
        self._scripts = {name: self.client.register_script(load_script(name)) for name in MOVES}

    async def close(self) -> None:
        await self.client.aclose()
        # redis-py below 8.1 disconnects its pool there, and does not close it
        await self.client.connection_pool.aclose()

    async def run(self, move: str, arguments: Arguments) -> Any:
        """One of the scripts."""
        with app_errors():
            return await self._scripts[move](args=arguments)

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands of Redis."""
        with app_errors():
            async with self.client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

    async def hmget(self, key: str, fields: Sequence[str]) -> list[bytes | None]:
        with app_errors():
            return cast("list[bytes | None]", await self.client.hmget(key, list(fields)))

    # --- submitting -------------------------------------------------------------------------------------------------

    async def submit(self, arguments: Arguments) -> tuple[Any, int]:
        """The answer of SUBMIT, and how many replicas have its jobs, if the settings ask for any."""
        if not self.settings.submit_replicas:
            return await self.run("submit", arguments), 0
        answer, replicas, _ = await self._submit_with(arguments, ())
        return answer, replicas

    async def submit_jobs(self, jobs: Sequence[Job]) -> tuple[Any, int, list[list[bytes | None]]]:
        """As submit(), and `state` and `queued_at` of each job's record after it."""
        reading = [("HMGET", self.keys.record(job.id), "state", "queued_at") for job in jobs]
        return await self._submit_with(self.arguments.submit(jobs), reading)

    async def _submit_with(self, arguments: Arguments, reading: Sequence[Command]) -> tuple[Any, int, list[Any]]:
        script = self._scripts["submit"]
        with app_errors():
            try:
                return await self._submit_pipeline(script.sha, arguments, reading)
            except NoScriptError:
                await self.client.script_load(script.script)
                return await self._submit_pipeline(script.sha, arguments, reading)

    async def _submit_pipeline(
        self, sha: str, arguments: Arguments, reading: Sequence[Command]
    ) -> tuple[Any, int, list[Any]]:
        async with self.client.pipeline(transaction=False) as pipeline:
            pipeline.evalsha(sha, 0, *arguments)
            if self.settings.submit_replicas:
                pipeline.wait(*self.arguments.wait())
            for command in reading:
                pipeline.execute_command(*command)
            answer, *read = await pipeline.execute()
        return answer, read.pop(0) if self.settings.submit_replicas else 0, read

    async def announce_input(self, name: str, job_id: str) -> bool:
        """See Registry.announce_input."""
        return bool(await self.run("announce_input", self.arguments.announce_input(name, job_id)))

    # --- asking -----------------------------------------------------------------------------------------------------

    async def status(self, job_id: str) -> JobStatus:
        """Raises JobUnknown, and JobEnded where only that is remembered."""
        (status,) = await self.statuses([job_id])
        if status is not None:
            return status
        raise await self.why_unknown(job_id)

    async def why_unknown(self, job_id: str) -> JobUnknown:
        """See Registry.why_unknown. Two round trips."""
        with app_errors():
            days = cast("set[bytes]", await self.client.smembers(self.keys.ended_days()))
        ended = [self.keys.ended_ids(day.decode()) for day in days]
        asked = [("SISMEMBER", key, entry) for key in ended for entry in end_entries(job_id)]
        return unknown(job_id, await self.commands(asked))

    async def statuses(self, job_ids: Sequence[str]) -> list[JobStatus | None]:
        """One JobStatus for each id, None where there is no record; a round trip for each 500."""
        found: list[JobStatus | None] = []
        for start in range(0, len(job_ids), PIPELINE):
            chunk = job_ids[start : start + PIPELINE]
            records = await self.commands([("HGETALL", self.keys.record(job_id)) for job_id in chunk])
            found += [parse_record(i, record) if record else None for i, record in zip(chunk, records, strict=True)]
        return found
