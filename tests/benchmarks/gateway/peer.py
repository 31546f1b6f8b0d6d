"""The peer of POST /v1/jobs: a bare FastAPI route with the same validation and one Redis script.

OCRQUEUE_REDIS_URL=... uvicorn tests.benchmarks.gateway.peer:app
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from fastapi import FastAPI, Request

from ocrqueue_gateway.jobs.request import JobRequest

SCRIPT = """
redis.call('HSET', 'peer:job:' .. ARGV[1], 'state', 'queued', 'job', ARGV[2])
redis.call('RPUSH', 'peer:queue', ARGV[1])
return 1
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with redis.asyncio.Redis.from_url(os.environ["OCRQUEUE_REDIS_URL"]) as client:
        app.state.submit = client.register_script(SCRIPT)
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/jobs", status_code=202)
async def submit(request: Request, job: JobRequest) -> dict[str, Any]:  # type: ignore[valid-type]  # made at run time
    job_id = str(uuid.uuid4())
    await request.app.state.submit(args=[job_id, json.dumps(job.model_dump(mode="json", exclude_unset=True))])  # type: ignore[attr-defined]  # as above
    return {"id": job_id, "state": "queued"}
