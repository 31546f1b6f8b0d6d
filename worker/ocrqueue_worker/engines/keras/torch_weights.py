"""The tensors of a file of PyTorch's, read without PyTorch: nothing in the file is called, and nothing else is made.

`torch.save` writes one of two formats (torch/serialization.py): a zip with `data.pkl` and a member for each storage,
or, before version 1.6, four pickles and then the storages one behind the other. The pickle of both names tensors by
storage, offset, size and strides. Only the names that such a pickle needs are known here; any other ends the reading.
"""

from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from io import BytesIO
from math import prod
from pathlib import Path
from pickletools import genops
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ocrqueue.errors import EngineModelInvalid

Tensor = NDArray[np.float32] | NDArray[np.int64]

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_LARGEST_PICKLE: Final = 1024 * 1024
_MOST_BYTES: Final = 4 * 1024**3
_TYPES: Final[Mapping[str, str]] = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_MOST_AXES: Final = 8
_PARALLEL: Final = "module."
"""Before every name where a network was trained on several GPUs."""
_COUNTER: Final = "num_batches_tracked"
"""Of a batch normalisation: for training only."""

_OPCODES: Final = frozenset(
    {"PROTO", "STOP", "MARK", "POP", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "NONE", "NEWTRUE", "NEWFALSE"}
    | {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
    | {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"}
    | {"EMPTY_DICT", "SETITEM", "SETITEMS"}
)
"""What PyTorch writes, in protocol 2 of pickle."""
_MOST_REMEMBERED: Final = 100_000
"""Of values to which a pickle refers back: the unpickler makes room for as many as it names."""
_MOST_TUPLES: Final = 10_000
"""Four for each tensor. Tuples that are nested much deeper than that overflow the stack when they are hashed."""
_ENCRYPTED: Final = 0x1
"""Bit of a zip member's flags."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dictionary, by name. Raises EngineModelInvalid for what is none, or is damaged."""
    try:
        with path.open("rb") as file:
            tensors = _of_zip(file) if zipfile.is_zipfile(file) else _of_legacy(file)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OverflowError) as error:
        raise _unreadable(path, error) from error
    return tensors


def state_tensors(path: Path) -> dict[str, Tensor]:
    """The same for inference: called as in a network that was not trained on several GPUs. Raises as read_tensors()."""
    tensors = read_tensors(path)
    return {name.removeprefix(_PARALLEL): value for name, value in tensors.items() if not name.endswith(_COUNTER)}


def _unreadable(path: Path, error: Exception) -> EngineModelInvalid:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return EngineModelInvalid(f"{path.name} is not a file of PyTorch weights that can be read: {reason}.")


# What a pickle can get hold of has no attributes that its instruction BUILD could set, for this file or for later ones.


class _Storage(NamedTuple):
    """As a persistent id of the pickle names it."""

    type: str
    key: str
    elements: int


class _View(NamedTuple):
    """A tensor before its storage has been read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]

    def of(self, elements: Tensor) -> Tensor:
        """Raises ValueError where the storage ends before it."""
        count = prod(self.shape)
        if len(elements) < self.offset + count:
            raise ValueError("a tensor is larger than its storage")
        # a copy: what was read is not to be kept alive by each of its tensors
        return elements[self.offset : self.offset + count].reshape(self.shape).copy()


class _Rebuild:
    """In the place of `torch._utils._rebuild_tensor_v2`: of tensors that lie in their storage row by row."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor has no storage")
        numbers = (offset, *shape, *strides)
        if len(shape) > _MOST_AXES or not all(type(number) is int and 0 <= number < 2**40 for number in numbers):
            raise ValueError("a tensor has no sizes that can be")
        expected, step = [], 1
        for size in reversed(shape):
            expected.append(step)
            step *= size
        if any(size > 1 and one != other for size, one, other in zip(shape, strides, reversed(expected), strict=True)):
            raise ValueError("a tensor does not lie row by row")
        return _View(storage, offset, tuple(shape))


_KNOWN: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    # the classes of storages are only named
    **{("torch", name): name for name in _TYPES},
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors, storages and dictionaries, and calls nothing else. What it is given has been looked through."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module[:60]}.{name[:60]}, which no weights need") from None

    def persistent_load(self, identity: Any) -> _Storage:
        kind, name, key, _, elements = identity[:5]
        if kind != "storage" or name not in _TYPES or type(key) is not str or type(elements) is not int:
            raise pickle.UnpicklingError("it names a storage of another kind")
        return _Storage(name, key, elements)


def _load(pickled: BytesIO) -> Any:
    """The next value. Raises UnpicklingError for an instruction that no weights need."""
    start = pickled.tell()
    try:
        with warnings.catch_warnings():
            # Python only warns of a text with an escape sequence that there is not
            warnings.simplefilter("error", DeprecationWarning)
            _check_instructions(pickled)
    except DeprecationWarning as warning:
        raise pickle.UnpicklingError(f"it has a damaged text ({warning})") from None
    pickled.seek(start)
    return _Unpickler(pickled).load()


def _check_instructions(pickled: BytesIO) -> None:
    tuples = 0
    for opcode, argument, _ in genops(pickled):
        tuples += opcode.name.startswith("TUPLE")
        if tuples > _MOST_TUPLES:
            raise pickle.UnpicklingError("it has more tuples than weights need")
        if opcode.name not in _OPCODES or (opcode.name == "LONG_BINPUT" and int(argument or 0) > _MOST_REMEMBERED):
            raise pickle.UnpicklingError(f"it has the instruction {opcode.name}, which no weights need")


def _of_zip(file: IO[bytes]) -> dict[str, Tensor]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"there are {len(names)} files data.pkl in it, and not one")
        folder = names[0].removesuffix("data.pkl")
        if archive.getinfo(names[0]).file_size > _LARGEST_PICKLE:
            raise ValueError("its pickle is larger than weights need")
        views = _views(_load(BytesIO(_member(archive, names[0]))))

        def elements(storage: _Storage) -> Tensor:
            member = f"{folder}data/{storage.key}"
            size = _size_of(storage)
            if archive.getinfo(member).file_size != size:
                raise ValueError(f"{member} has not the size that the pickle names")
            return np.frombuffer(_member(archive, member), _TYPES[storage.type])

        return _filled(views, elements, file)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Raises ValueError for one that PyTorch would not write: it compresses nothing, which keeps all below the file."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name} is compressed or encrypted")
    return archive.read(info)


def _of_legacy(file: IO[bytes]) -> dict[str, Tensor]:
    file.seek(0)
    pickles = BytesIO(file.read(_LARGEST_PICKLE))
    if _load(pickles) != _LEGACY_MAGIC or _load(pickles) != _LEGACY_PROTOCOL:
        raise ValueError("it is neither of PyTorch's formats")
    _load(pickles)  # of the machine that wrote it
    views = _views(_load(pickles))
    keys = _load(pickles)
    file.seek(pickles.tell())
    named = {view.storage.key: view.storage for view in views.values()}
    read: dict[str, Tensor] = {}
    for key in keys:
        storage = named[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.elements:
            raise ValueError(f"storage {key[:40]} has not the size that the pickle names")
        data = file.read(_size_of(storage))
        read[key] = np.frombuffer(data, _TYPES[storage.type])
    return _filled(views, lambda storage: read[storage.key], file)


def _size_of(storage: _Storage) -> int:
    size = storage.elements * np.dtype(_TYPES[storage.type]).itemsize
    if not 0 <= size <= _MOST_BYTES:
        raise ValueError("a storage has no size that can be")
    return size


def _views(loaded: Any) -> dict[str, _View]:
    """Raises ValueError where a state dictionary has something else than tensors."""
    if not isinstance(loaded, dict) or not loaded:
        raise ValueError("it holds no state dictionary")
    # an OrderedDict may have been given an attribute `items`
    views = dict(dict.items(loaded))
    if not all(type(name) is str and isinstance(view, _View) for name, view in views.items()):
        raise ValueError("its state dictionary has something else than tensors")
    return views


def _filled(views: Mapping[str, _View], elements: Callable[[_Storage], Tensor], file: IO[bytes]) -> dict[str, Tensor]:
    """Raises ValueError where tensors share what they are made of, so that they have more bytes than the file."""
    wanted = sum(prod(view.shape) * np.dtype(_TYPES[view.storage.type]).itemsize for view in views.values())
    if wanted > os.fstat(file.fileno()).st_size:
        raise ValueError("its tensors are larger than the file")
    read: dict[_Storage, Tensor] = {}
    for view in views.values():
        if view.storage not in read:
            read[view.storage] = elements(view.storage)
    return {name: view.of(read[view.storage]) for name, view in views.items()}
