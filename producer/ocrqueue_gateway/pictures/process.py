"""Asking the process that opens files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Final, cast

from ocrqueue.errors import OcrQueueError, PictureUnavailable, error_classes
from ocrqueue.isolation.environment import isolated_environment
from ocrqueue_gateway.pictures.task import Task

_MOST_SAID: Final = 64 * 1024


class Processes:
    """For one event loop. Each task has a process of its own; the next one is started meanwhile, for that takes longer
    than most tasks."""

    def __init__(self) -> None:
        self._spare: asyncio.Task[asyncio.subprocess.Process] | None = None

    async def carry_out(self, task: Task, timeout_s: float) -> None:
        """Raises PictureUnavailable, with the reason why the file cannot be shown."""
        process = await self._taken()
        try:
            async with asyncio.timeout(timeout_s):
                said = await _said(process, task.model_dump_json().encode())
        except TimeoutError:
            raise PictureUnavailable("The page takes too long to draw.") from None
        finally:
            await _end(process)
        if said:
            raise _told(said)
        if process.returncode:
            raise PictureUnavailable("The page cannot be drawn within the limits of memory, time and disk.")

    async def close(self) -> None:
        spare, self._spare = self._spare, None
        with suppress(OSError):
            if spare is not None:
                await _end(await spare)

    async def _taken(self) -> asyncio.subprocess.Process:
        spare, self._spare = self._spare, None
        found = None
        with suppress(OSError):
            found = None if spare is None else await spare
        if found is None or found.returncode is not None:  # somebody has ended it
            found = await _started()
        if self._spare is None:
            self._spare = asyncio.create_task(_started())
        return found


async def _started() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ocrqueue_gateway.pictures.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env=isolated_environment(),
    )


async def _said(process: asyncio.subprocess.Process, task: bytes) -> bytes:
    """What it says, until it ends. What has got hold of it by a hostile file says no more than it may."""
    stdin, stdout = cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)
    with suppress(ConnectionError):
        stdin.write(task)
        await stdin.drain()
    stdin.close()
    said = b""
    while piece := await stdout.read(_MOST_SAID):
        said += piece
        if len(said) > _MOST_SAID:
            raise PictureUnavailable()
    await process.wait()
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    # with what it may have started, which would keep its output open
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()


def _told(said: bytes) -> PictureUnavailable:
    try:
        told = json.loads(said)
        known = error_classes().get(told["code"], OcrQueueError)
        return PictureUnavailable(f"The page cannot be drawn: {str(told['message'])[:300]}", cause=known.code)
    except (ValueError, KeyError, TypeError):
        return PictureUnavailable()
