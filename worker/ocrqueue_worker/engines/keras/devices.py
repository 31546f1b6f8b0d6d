"""Which GPUs this machine has, and which of them a worker child computes on. No TensorFlow: parents look here too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from billiard import current_process

from ocrqueue.errors import EngineDeviceMissing

_log = structlog.get_logger(__name__)

_QUERY: Final = ("nvidia-smi", "--query-gpu=index,uuid,memory.total,name", "--format=csv,noheader,nounits")
_QUERY_TIMEOUT_S: Final = 30.0
"""Without its persistence mode the driver takes seconds for each GPU."""

_VISIBLE_AT_START: Final = os.environ.get("CUDA_VISIBLE_DEVICES")
"""As the operator set it: a child narrows the variable down to its own GPU."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or the CPU where `gpu` is None."""

    gpu: int | None = None
    """Its number in `nvidia-smi -L`."""
    uuid: str = ""
    name: str = ""
    memory_mib: int | None = None
    """None where the driver does not say."""

    def __str__(self) -> str:
        """As shown to users: "cpu" or "gpu:0 NVIDIA H100"."""
        return "cpu" if self.gpu is None else f"gpu:{self.gpu} {self.name}".rstrip()


CPU: Final = Device()


def resolve_devices(setting: str) -> tuple[Device, ...]:
    """The devices that `OCRQUEUE_KERAS_DEVICE` means on this machine, one worker child each.

    Raises EngineDeviceMissing where it names a GPU that is not here.
    """
    if setting == "cpu":
        return (CPU,)
    gpus = installed_gpus()
    if setting == "auto":
        return gpus or (CPU,)
    wanted = dict.fromkeys(int(name.removeprefix("gpu:")) for name in setting.split(","))
    found = {gpu.gpu: gpu for gpu in gpus}
    if missing := [number for number in wanted if number not in found]:
        raise _missing(missing, gpus)
    return tuple(found[number] for number in wanted)


def _missing(numbers: Sequence[int], gpus: Sequence[Device]) -> EngineDeviceMissing:
    there_is = ", ".join(f"gpu:{gpu.gpu} ({gpu.name})" for gpu in gpus)
    return EngineDeviceMissing(
        f"There is no {' and no '.join(f'gpu:{number}' for number in numbers)} here.",
        remedy=f"Set OCRQUEUE_KERAS_DEVICE to auto, cpu, or what there is: {there_is}."
        if gpus
        else "There is no GPU that nvidia-smi lists and CUDA_VISIBLE_DEVICES allows. Set OCRQUEUE_KERAS_DEVICE to auto "
        "or cpu, install the driver, or let the container see the GPU (docker run --gpus all).",
    )


def device_of_child(devices: Sequence[Device]) -> Device:
    """The device of this process: child i of a worker's pool has the i-th, as has the child that replaces it.

    billiard counts the children of a pool from 0 and gives a new child the least free number.
    """
    return devices[(getattr(current_process(), "index", None) or 0) % len(devices)]


def installed_gpus() -> tuple[Device, ...]:
    """The GPUs that the driver lists and CUDA_VISIBLE_DEVICES leaves to this worker; none where there is no driver."""
    gpus = _listed_gpus()
    return gpus if _VISIBLE_AT_START is None else tuple(_visible(gpus, _VISIBLE_AT_START))


def _visible(gpus: Sequence[Device], variable: str) -> list[Device]:
    """Those that CUDA_VISIBLE_DEVICES names, in its order; what comes after a name that means none does not count.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars: numbers, or the beginnings of UUIDs.
    """
    visible: list[Device] = []
    for position, name in enumerate(entry.strip() for entry in variable.split(",")):
        if name.startswith("MIG-"):
            # a part of a GPU, which the query does not list
            visible.append(Device(gpu=position, uuid=name, name="MIG"))
            continue
        found = [gpu for gpu in gpus if name == str(gpu.gpu) or (name.startswith("GPU-") and gpu.uuid.startswith(name))]
        if not found:
            break
        visible.append(found[0])
    return visible


def _listed_gpus() -> tuple[Device, ...]:
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True)
    except FileNotFoundError:
        return ()
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stdout", None) or getattr(error, "stderr", None) or error).strip()
        _log.warning("nvidia-smi lists no GPU", said=said[:300])
        return ()
    return tuple(device for line in done.stdout.splitlines() if (device := _device(line)) is not None)


def _device(line: str) -> Device | None:
    """`0, GPU-1d2c..., 81559, NVIDIA H100 80GB HBM3`; the memory is "[N/A]" where it is the machine's."""
    number, _, rest = line.partition(", ")
    uuid, _, rest = rest.partition(", ")
    memory, _, name = rest.partition(", ")
    if not number.strip().isdecimal() or not uuid:
        return None
    return Device(int(number), uuid, name.strip(), int(memory) if memory.isdecimal() else None)
