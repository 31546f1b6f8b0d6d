"""Which library computes the networks: ONNX Runtime, or OpenVINO, which takes less time on CPUs of Intel's.

Neither is imported before a network is loaded, nor is NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ocrqueue.errors import EngineModelInvalid, EngineUnavailable
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.bfloat16 import multiplies_bfloat16
from ocrqueue_worker.engines.onnx_runtime import session_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Runtime = Literal["onnxruntime", "openvino"]
Network: TypeAlias = "Callable[[NDArray[np.float32]], NDArray[np.float32]]"
"""From a batch to the only output."""

_SHAPES: Final = 64
"""For which OpenVINO keeps what it has prepared. Its default are 5,000, and pages have ever new ones."""


def chosen_runtime(settings: WorkerSettings) -> Runtime:
    """What OCRQUEUE_RAPID_RUNTIME names. Raises EngineUnavailable where OpenVINO is named and not installed."""
    if settings.rapid_runtime == "openvino" and find_spec("openvino") is None:
        raise EngineUnavailable(
            "The package openvino is not installed.",
            remedy="On the worker: pip install 'ocrqueue-worker[rapid-openvino]'.",
        )
    return settings.rapid_runtime


def runtime_version(runtime: Runtime) -> str:
    """Its name and version, and in which precision OpenVINO computes. ONNX Runtime has several distributions."""
    precision = ", bfloat16" if runtime == "openvino" and multiplies_bfloat16() else ""
    for distribution in ("openvino",) if runtime == "openvino" else ("onnxruntime", "onnxruntime-gpu"):
        with suppress(PackageNotFoundError):
            return f"{runtime} {version(distribution)}{precision}"
    return f"{runtime} ?{precision}"


def onnx_session(path: Path, threads: int) -> Any:
    """Raises EngineModelInvalid."""
    import onnxruntime

    options = session_options(onnxruntime, threads)
    # an arena keeps the largest page's memory forever
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's own have no common class but this
        raise _invalid(path, "ONNX Runtime", error) from error


def network_of(session: Any) -> Network:
    """Of ONNX Runtime."""
    import numpy as np

    name = session.get_inputs()[0].name
    return lambda batch: np.asarray(session.run(None, {name: batch})[0], np.float32)


def openvino_network(path: Path, threads: int) -> Network:
    """It computes in bfloat16 where the CPU has units for that, else in float32. Raises EngineModelInvalid."""
    import numpy as np
    import openvino

    wanted = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # children would be tied to the same core
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if multiplies_bfloat16() else "f32",
        "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
    }
    try:
        compiled = openvino.Core().compile_model(path, "CPU", wanted)
        request, output = compiled.create_infer_request(), compiled.output(0)
    except MemoryError:
        raise
    except Exception as error:  # OpenVINO raises RuntimeError
        raise _invalid(path, "OpenVINO", error) from error
    # the request writes the next output to the same place
    return lambda batch: np.array(request.infer([batch])[output], np.float32)


def _invalid(path: Path, library: str, error: Exception) -> EngineModelInvalid:
    return EngineModelInvalid(f"{path} is not a model for {library}: {' '.join(str(error).split())[:300]}")
