"""One file of many small pictures: those one after the other, then an index as JSON, then the index's length."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

_LENGTH: Final = 8
_MOST_INDEX: Final = 64 * 1024 * 1024


@dataclass
class ArchiveWriter:
    """Writes to `file`."""

    file: BinaryIO
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, name: str, data: bytes) -> None:
        self._places[name] = (self.file.tell(), len(data))
        self.file.write(data)

    def close(self, about: Mapping[str, Any]) -> None:
        """`about`: what is to be known of them all, as JSON."""
        index = json.dumps({"about": about, "places": self._places}).encode()
        self.file.write(index)
        self.file.write(len(index).to_bytes(_LENGTH, "big"))


@dataclass(frozen=True)
class Archive:
    """What stands in such a file. Its pictures are read when they are asked for."""

    path: Path
    about: Mapping[str, Any]
    places: Mapping[str, tuple[int, int]]

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Raises OSError, ValueError where it is not whole."""
        with path.open("rb") as file:
            end = file.seek(-_LENGTH, os.SEEK_END)
            length = int.from_bytes(file.read(_LENGTH), "big")
            if length > min(end, _MOST_INDEX):
                raise ValueError("the file has no index")
            file.seek(end - length)
            index = json.loads(file.read(length))
        places = {name: (int(start), int(size)) for name, (start, size) in index["places"].items()}
        return cls(path, index["about"], places)

    def read(self, name: str) -> bytes | None:
        """None: there is no such picture. Raises OSError where the file was removed."""
        place = self.places.get(name)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place[0])
            return file.read(place[1])
