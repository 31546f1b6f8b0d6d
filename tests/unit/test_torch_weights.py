"""Files of PyTorch's are read without PyTorch, and whatever else they hold is refused."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocrqueue.errors import EngineModelInvalid
from ocrqueue_worker.engines.keras.torch_weights import read_tensors
from tests.support.torch_files import write_legacy, write_zip

ARRAYS = {
    "module.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "module.conv.bias": np.array([0.5, -1], np.float32),
    "module.norm.num_batches_tracked": np.array(7, np.int64),
}


def refused(path: Path, reason: str) -> None:
    with pytest.raises(EngineModelInvalid, match=reason) as caught:
        read_tensors(path)
    assert path.name in caught.value.message


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_tensors_are_read_as_they_were_written(tmp_path: Path, write: Any) -> None:
    tensors = read_tensors(write(tmp_path / "a.pth", ARRAYS))
    assert tensors.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert tensors[name].dtype == array.dtype
        assert np.array_equal(tensors[name], array)


class Called:
    """Runs a program when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_nothing_that_a_file_names_is_called(tmp_path: Path) -> None:
    mark = tmp_path / "called"
    path = write_zip(tmp_path / "a.pth", ARRAYS, pickled=pickle.dumps({"weight": Called(mark)}, 2))
    refused(path, r"it names posix\.mkdir, which no weights need")
    path.write_bytes(pickle.dumps(Called(mark), 2))
    refused(path, r"it names posix\.mkdir")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"", "pickle exhausted before seeing STOP"),
        (pickle.dumps({"weight": 1}, 2), "something else than tensors"),
        (pickle.dumps([1, 2], 2), "no state dictionary"),
        (pickle.dumps({}, 2), "no state dictionary"),
        (pickle.dumps({"weight": 1.5}, 2), "the instruction BINFLOAT"),
        (pickle.dumps({"weight": b"x" * 300}, 4), "the instruction FRAME"),
        (b"\x80\x02K\x01r\xff\xff\xff\xff.", "the instruction LONG_BINPUT"),
        (b"\x80\x02S'\\q'\n.", "a damaged text"),
        (b"\x80\x02" + b"(" * 2_000_000, "its pickle is larger than weights need"),
        (b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.", "more tuples than weights need"),
    ],
)
def test_a_pickle_that_is_none_of_weights_is_refused(tmp_path: Path, pickled: bytes, reason: str) -> None:
    refused(write_zip(tmp_path / "a.pth", ARRAYS, pickled=pickled), reason)


def test_a_tensor_that_is_not_in_its_storage_is_refused(tmp_path: Path) -> None:
    refused(write_zip(tmp_path / "a.pth", {"w": np.zeros((2, 3), np.float32)}, strides=(1, 2)), "row by row")
    refused(write_zip(tmp_path / "b.pth", {"w": np.zeros((2, 3), np.float32)}, strides=(3,)), "shorter|argument")


def test_what_a_file_names_stays_as_it_is_for_later_files(tmp_path: Path) -> None:
    """BUILD sets attributes of whatever it is given."""
    state = b"N}X\x08\0\0\0__name__X\x0b\0\0\0LongStorages\x86b"
    for name in (b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n"):
        pickled = b"\x80\x02}X\x01\0\0\0x" + name + state + b"s."
        refused(write_zip(tmp_path / "bad.pth", {}, pickled=pickled), "no attribute '__name__'")
    assert read_tensors(write_zip(tmp_path / "good.pth", ARRAYS)).keys() == ARRAYS.keys()


def test_tensors_that_would_take_more_than_the_file_are_refused(tmp_path: Path) -> None:
    """Compressed, or all of one storage."""
    zeros = {f"w{number}": np.zeros(1000, np.float32) for number in range(9)}
    with zipfile.ZipFile(write_zip(tmp_path / "a.pth", zeros)) as archive:
        shared = re.sub(rb"X\x01\0\0\0[0-9]", b"X\x01\0\0\x000", archive.read("archive/data.pkl"))
    refused(write_zip(tmp_path / "b.pth", {"w0": zeros["w0"]}, pickled=shared), "larger than the file")
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        refused(write_zip(tmp_path / "c.pth", zeros, compression=method), "is compressed or encrypted")


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", ARRAYS)
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for found in re.finditer(re.escape(header), bytes(content)):
            content[found.start() + flags] |= 1
    path.write_bytes(content)
    refused(path, "is compressed or encrypted")


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    for write in (write_zip, write_legacy):
        whole = write(tmp_path / "whole.pth", ARRAYS).read_bytes()
        for end in range(0, len(whole) - 1, 7):
            (tmp_path / "cut.pth").write_bytes(whole[:end])
            refused(tmp_path / "cut.pth", "is not a file of PyTorch weights")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_ends_in_an_error_or_in_tensors(tmp_path: Path, data: st.DataObject) -> None:
    write = data.draw(st.sampled_from([write_zip, write_legacy]))
    path = write(tmp_path / "a.pth", ARRAYS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tensors = read_tensors(path)
    except EngineModelInvalid:
        return
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
