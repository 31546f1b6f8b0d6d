"""Files as `torch.save` writes them, made without PyTorch: what its pickles name stands in for it."""

from __future__ import annotations

import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class _Stored:
    """A tensor on its way into a pickle."""

    def __init__(self, key: str, array: NDArray[Any], torch: ModuleType, strides: tuple[int, ...] | None) -> None:
        self.key, self.array, self.torch = key, array, torch
        self.strides = strides or tuple(stride // array.itemsize for stride in array.strides)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (_Storage(self), 0, self.array.shape, self.strides, False, OrderedDict())
        return self.torch._utils._rebuild_tensor_v2, arguments


class _Storage:
    def __init__(self, stored: _Stored) -> None:
        self.stored = stored


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, _Storage):
            return None
        stored = value.stored
        kind = stored.torch.LongStorage if stored.array.dtype == np.int64 else stored.torch.FloatStorage
        return "storage", kind, stored.key, "cpu", stored.array.size


@contextmanager
def _torch() -> Iterator[ModuleType]:
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    vars(utils)["_rebuild_tensor_v2"] = _rebuild_tensor_v2
    kinds = {name: type(name, (), {"__module__": "torch"}) for name in ("FloatStorage", "LongStorage")}
    vars(torch).update(_utils=utils, **kinds)
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _pickled(arrays: Arrays, torch: ModuleType, strides: tuple[int, ...] | None) -> bytes:
    stored = ((name, _Stored(str(n), array, torch, strides)) for n, (name, array) in enumerate(arrays.items()))
    out = BytesIO()
    _Pickler(out, 2).dump(OrderedDict(stored))
    return out.getvalue()


def write_zip(
    path: Path,
    arrays: Arrays,
    *,
    pickled: bytes | None = None,
    strides: tuple[int, ...] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """As since PyTorch 1.6; `pickled` in the place of the right data.pkl, and `compression` in that of none."""
    with _torch() as torch, zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", _pickled(arrays, torch, strides) if pickled is None else pickled)
        for number, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{number}", array.tobytes())
    return path


def write_legacy(path: Path, arrays: Arrays) -> Path:
    """As before PyTorch 1.6."""
    with _torch() as torch, path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(value, file, 2)
        file.write(_pickled(arrays, torch, None))
        pickle.dump([str(number) for number in range(len(arrays))], file, 2)
        for array in arrays.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path
