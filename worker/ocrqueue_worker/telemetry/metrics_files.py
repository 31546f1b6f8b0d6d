"""The files into which a worker's processes count, and what they say together.

Each process of a pool has files of its own, and what it counted is to stay when it is gone. Since children are replaced
for as long as a worker runs, the files of those that are gone are added up into one set, or there would be ever more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_GONE: Final = "gone"
"""In place of a process id, in the names of the files of all that are gone."""


class CountedByProcesses(Collector):
    """What all processes of a worker have counted, those that are gone included."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """So that registering it reads nothing."""
        return []

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            self._add_up()
            # one that a child has just made is empty for a moment
            files = [str(path) for path in self.folder.glob("*.db") if path.stat().st_size]
            found: Any = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]  # the client leaves it so
        return list(found)

    def add_up(self) -> None:
        """Leave no files of processes that are gone."""
        with self._lock:
            self._add_up()

    def _add_up(self) -> None:
        for path in self.folder.glob("*_*.db"):
            kind, _, process = path.stem.rpartition("_")
            if process == _GONE or _is_there(int(process)):
                continue
            if not path.stat().st_size:
                path.unlink()
                continue
            total = MmapedDict(str(self.folder / f"{kind}_{_GONE}.db"))  # type: ignore[no-untyped-call]  # as above
            try:
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                    before, _ = total.read_value(key)  # type: ignore[no-untyped-call]  # as above
                    total.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]  # as above
            finally:
                total.close()  # type: ignore[no-untyped-call]  # as above
            path.unlink()


def _is_there(process: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
