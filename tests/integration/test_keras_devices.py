"""Where the keras engine computes: the GPUs that a driver lists, and the cores that a container may use."""

from __future__ import annotations

import gc
import os
import posix
import sys
from pathlib import Path

import billiard
import pytest
from celery import _state, current_app

from ocrqueue.errors import EngineDeviceMissing, EngineUnavailable
from ocrqueue_worker.engines.cpu_threads import children_of_worker, threads_of_child
from ocrqueue_worker.engines.keras import devices
from ocrqueue_worker.engines.keras.devices import CPU, Device, device_of_child, resolve_devices
from ocrqueue_worker.engines.keras.tensorflow_start import start_tensorflow
from ocrqueue_worker.limits.cpus import usable_cores
from tests.support.processes import wait_until

H100 = "0, GPU-11111111-aaaa, 81559, NVIDIA H100 80GB HBM3"
L4 = "1, GPU-22222222-bbbb, 23034, NVIDIA L4"
GB10 = "2, GPU-33333333-cccc, [N/A], NVIDIA GB10"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(devices, "_VISIBLE_AT_START", None)


def driver_says(folder: Path, *lines: str, status: int = 0) -> None:
    """An nvidia-smi that answers the one query that is asked of it."""
    program = folder / "nvidia-smi"
    wanted = "--query-gpu=index,uuid,memory.total,name --format=csv,noheader,nounits"
    said = "\n".join(lines)
    program.write_text(f'#!/bin/sh\n[ "$*" = "{wanted}" ] || exit 2\ncat <<END\n{said}\nEND\nexit {status}\n')
    program.chmod(0o755)


def shown(setting: str) -> list[str]:
    return [str(device) for device in resolve_devices(setting)]


def test_without_a_driver_there_is_the_cpu() -> None:
    assert resolve_devices("auto") == resolve_devices("cpu") == (CPU,)
    with pytest.raises(EngineDeviceMissing, match=r"no gpu:0 here.*auto or cpu, install the driver"):
        resolve_devices("gpu:0")


def test_auto_means_all_gpus_and_a_list_those_that_it_names(tmp_path: Path) -> None:
    driver_says(tmp_path, H100, L4, GB10)
    assert shown("auto") == ["gpu:0 NVIDIA H100 80GB HBM3", "gpu:1 NVIDIA L4", "gpu:2 NVIDIA GB10"]
    assert [device.memory_mib for device in resolve_devices("auto")] == [81559, 23034, None]
    assert shown("gpu:2,gpu:0,gpu:2") == ["gpu:2 NVIDIA GB10", "gpu:0 NVIDIA H100 80GB HBM3"]
    assert shown("cpu") == ["cpu"]


def test_a_gpu_that_is_not_there_is_refused_by_what_there_is(tmp_path: Path) -> None:
    driver_says(tmp_path, H100, L4)
    with pytest.raises(EngineDeviceMissing) as caught:
        resolve_devices("gpu:1,gpu:2,gpu:7")
    assert caught.value.message == "There is no gpu:2 and no gpu:7 here."
    assert "gpu:0 (NVIDIA H100 80GB HBM3), gpu:1 (NVIDIA L4)" in caught.value.info.remedy


@pytest.mark.parametrize(
    ("variable", "seen"),
    [
        ("", ["cpu"]),
        ("-1", ["cpu"]),
        ("1", ["gpu:1 NVIDIA L4"]),
        ("1, 0", ["gpu:1 NVIDIA L4", "gpu:0 NVIDIA H100 80GB HBM3"]),
        ("0,9,1", ["gpu:0 NVIDIA H100 80GB HBM3"]),
        ("GPU-2222", ["gpu:1 NVIDIA L4"]),
        ("MIG-4444", ["gpu:0 MIG"]),
    ],
)
def test_cuda_visible_devices_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, seen: list[str]
) -> None:
    driver_says(tmp_path, H100, L4)
    monkeypatch.setattr(devices, "_VISIBLE_AT_START", variable)
    assert shown("auto") == seen


def test_a_hidden_gpu_cannot_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver_says(tmp_path, H100, L4)
    monkeypatch.setattr(devices, "_VISIBLE_AT_START", "0")
    with pytest.raises(EngineDeviceMissing, match="what there is: gpu:0"):
        resolve_devices("gpu:1")


@pytest.mark.parametrize("lines", [["No devices were found"], ["NVIDIA-SMI has failed, it couldn't communicate"]])
def test_a_driver_that_fails_lists_nothing(tmp_path: Path, lines: list[str]) -> None:
    driver_says(tmp_path, *lines, status=9)
    assert resolve_devices("auto") == (CPU,)


def test_a_driver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(devices, "_QUERY_TIMEOUT_S", 0.2)
    assert resolve_devices("auto") == (CPU,)


def test_lines_that_are_no_gpu_are_left_out(tmp_path: Path) -> None:
    driver_says(tmp_path, "warning: something", H100, "", "x, y, z")
    assert shown("auto") == ["gpu:0 NVIDIA H100 80GB HBM3"]


TWO_GPUS = (Device(gpu=0, uuid="GPU-1", name="L4"), Device(gpu=1, uuid="GPU-2", name="L4"))


def of_child(meeting: Path) -> tuple[int, str, int]:
    """What a child of a pool computes on, and how many siblings it thinks it has with itself.

    Two must be there at once: else one that is replaced quickly could have the work of both.
    """
    # at once: who saves what was covered may meet what other tests left, such as pools of threads that are not here
    os._exit = posix._exit
    (meeting / str(os.getpid())).touch()
    wait_until(lambda: len(list(meeting.iterdir())) == 2, 60, "the other child is there")
    return os.getpid(), str(device_of_child(TWO_GPUS)), children_of_worker()


def test_each_child_of_a_pool_has_its_own_gpu_and_the_child_that_replaces_it_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    meetings = [tmp_path / str(number) for number in range(3)]
    for meeting in meetings:
        meeting.mkdir()
    # the pool's thread, which starts the replacements, may see another app as the current one than this thread
    for app in {current_app._get_current_object(), *_state._get_active_apps()}:
        monkeypatch.setitem(app.conf, "worker_concurrency", 2)
    # a child that collected the garbage of other tests would wait for threads that it has not
    gc.collect()
    with billiard.Pool(2, maxtasksperchild=1) as pool:
        rounds = [pool.map(of_child, [meeting] * 2, chunksize=1) for meeting in meetings]
    assert len({pid for found in rounds for pid, _, _ in found}) == 6
    assert [sorted(device for _, device, _ in found) for found in rounds] == [["gpu:0 L4", "gpu:1 L4"]] * 3
    assert {children for found in rounds for _, _, children in found} == {2}


def test_outside_of_a_pool_the_first_device_and_no_siblings() -> None:
    assert device_of_child(TWO_GPUS) == TWO_GPUS[0]
    assert children_of_worker() == 1


def test_threads_are_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = os.sched_getaffinity(0)
    assert threads_of_child(0, children=1) == usable_cores() <= len(cores)
    assert threads_of_child(0, children=1000) == 1
    assert threads_of_child(7, children=2) == 7
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert threads_of_child(0, children=1) == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_without_tensorflow_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EngineUnavailable, match=r"ocrqueue-worker\[keras\]"):
        start_tensorflow(CPU, 1)
