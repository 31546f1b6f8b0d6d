"""Files in a folder that is this replica's own, of a limited size together: those that were not used for long go."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from ocrqueue.errors import UploadNoRoom
from ocrqueue_gateway.pictures.folders import OwnFolder


class DiskCache:
    """For one event loop. Who opens a file at once can read it to its end, even if it goes meanwhile."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._own: OwnFolder | None = None
        self._sizes: OrderedDict[str, int] = OrderedDict()
        """Name -> bytes; those used of late at the end."""
        self._made: dict[str, asyncio.Task[Path]] = {}
        self._asking: Counter[str] = Counter()
        """How many wait for what is being made."""
        self._number = 0

    async def file(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        """The file of this name. Where it is not there `make` writes it, once for all who ask meanwhile; it is given up
        when all have left. Raises what `make` raises."""
        if name in self._sizes:
            if self._path(name).exists():
                self._sizes.move_to_end(name)
                return self._path(name)
            del self._sizes[name]  # somebody has cleared the folder for temporary files
        made = self._made.get(name)
        if made is None or made.cancelling():
            made = self._made[name] = asyncio.create_task(self._make(name, make))
            made.add_done_callback(lambda done: self._done(name, done))
        self._asking[name] += 1
        try:
            return await asyncio.shield(made)
        finally:
            self._asking[name] -= 1
            if not self._asking[name]:
                del self._asking[name]
                made.cancel()  # does nothing to what is done

    def forget(self, name: str) -> None:
        if self._sizes.pop(name, None) is not None:
            self._path(name).unlink(missing_ok=True)

    async def close(self) -> None:
        for task in list(self._made.values()):
            task.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)
        if self._own is not None:
            await asyncio.to_thread(self._own.remove)
            self._own = None

    @property
    def _folder(self) -> Path:
        """Made when it is needed: not every replica has a disk to write to."""
        if self._own is None or not self._own.path.is_dir():
            if self._own is not None:
                self._own.remove()
                self._own = None
            self._own = OwnFolder.make()
        return self._own.path

    @property
    def used_bytes(self) -> int:
        return sum(self._sizes.values())

    def _path(self, name: str) -> Path:
        return self._folder / name

    async def _make(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        self._number += 1
        try:
            unfinished = self._folder / f"{self._number}.part"
        except OSError:  # full, or none that may be written to
            raise UploadNoRoom() from None
        try:
            await make(unfinished)
            size = unfinished.stat().st_size
            if size > self.most_bytes:
                raise UploadNoRoom("The page's picture is larger than OCRQUEUE_GATEWAY_PICTURES_BYTES.")
            self._make_room(self.most_bytes - size)
            unfinished.replace(self._path(name))
            self._sizes[name] = size
        finally:
            unfinished.unlink(missing_ok=True)
        return self._path(name)

    def _make_room(self, least: int) -> None:
        used = self.used_bytes
        while used > least:
            oldest, size = self._sizes.popitem(last=False)
            self._path(oldest).unlink(missing_ok=True)
            used -= size

    def _done(self, name: str, done: asyncio.Task[Path]) -> None:
        if self._made.get(name) is done:
            del self._made[name]
        if not done.cancelled():
            done.exception()  # who asked was told; nobody may be there any more
