"""What the main process of a worker does before it forks a child: once for all of them, and before threads work.

What a thread does under a lock when a child is forked, such as an import or the building of a model, that child can
never do (see ocrqueue_worker.fork_gate). And what the first job would import counts against its time limit, which may
interrupt it: some libraries cannot be imported again after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Final

from pydantic import BaseModel

from ocrqueue.core.celery_messages import prepare_messages
from ocrqueue.errors import SettingsInvalid
from ocrqueue.settings import WorkerSettings
from ocrqueue.storage import open_storage

_FIRST_JOBS: Final = (
    "PIL.ImageFile",
    "encodings.ascii",
    "encodings.idna",
    "ocrqueue_worker.preparation.ink",
    "ocrqueue_worker.preparation.repainting",
    "ocrqueue_worker.sources.gs",
    "ocrqueue_worker.sources.s3",
)
"""Imported where they are needed only, since commands and small workers start faster without."""


def prepare_for_children(settings: WorkerSettings) -> None:
    """Import, build and open what children and threads of the main process both use."""
    with suppress(SettingsInvalid):
        open_storage(settings).prepare()
    for name in _FIRST_JOBS:
        # not every engine brings NumPy
        with suppress(ImportError):
            import_module(name)
    for model in models():
        model.model_rebuild()
    prepare_messages()


def models() -> Iterator[type[BaseModel]]:
    """The models of data that are imported by now. Most are built when they are first used (pydantic's defer_build)."""
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        found = waiting.pop().__subclasses__()
        waiting += found
        yield from (model for model in found if model.__module__.partition(".")[0] in ("ocrqueue", "ocrqueue_worker"))
