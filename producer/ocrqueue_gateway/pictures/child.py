"""The process that opens files: `python -m ocrqueue_gateway.pictures.child`, with a Task as JSON on its standard input.

It writes one archive, and says on its standard output what went wrong: an error's code and message, or nothing.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Final

from ocrqueue.errors import OcrQueueError, PageNotFound
from ocrqueue.isolation.limits import limit_own
from ocrqueue_gateway.pictures.archive import ArchiveWriter
from ocrqueue_gateway.pictures.opening import pages_of
from ocrqueue_gateway.pictures.pyramid import THUMBNAIL, thumbnail, write_tiles
from ocrqueue_gateway.pictures.task import Task

_SPARE_BYTES: Final = 768 * 1024 * 1024
"""Of addresses: the programs themselves, and a file of the largest size."""
_OF_A_PIXEL: Final = 16
"""Bytes, while a picture is opened, turned upright and put on white."""


def main() -> None:
    task = Task.model_validate_json(sys.stdin.buffer.read())
    _limit(task)
    try:
        _work(task)
    except OcrQueueError as error:
        json.dump({"code": error.code, "message": error.message}, sys.stdout)
    except (MemoryError, OSError):
        json.dump({"code": "picture.unavailable", "message": "the limits of memory or disk are reached."}, sys.stdout)


def _limit(task: Task) -> None:
    memory = _SPARE_BYTES + _OF_A_PIXEL * task.max_pixels
    limit_own(resource.RLIMIT_AS, memory)
    limit_own(resource.RLIMIT_CPU, task.cpu_s, over=5)
    limit_own(resource.RLIMIT_FSIZE, task.max_bytes)
    limit_own(resource.RLIMIT_CORE, 0)


def _work(task: Task) -> None:
    source, target = Path(task.source), Path(task.target)
    with pages_of(source, task.max_pixels) as draw, target.open("wb") as file:
        archive = ArchiveWriter(file)
        if task.kind == "tiles":
            write_tiles(draw(task.pages[0], task.size), archive)
            return
        failed = []
        for number in task.pages:
            try:
                archive.add(str(number), thumbnail(draw(number, (2 * THUMBNAIL, 2 * THUMBNAIL))))
            except PageNotFound:
                break
            except OcrQueueError:
                failed.append(number)
        archive.close({"failed": failed})


if __name__ == "__main__":
    main()
