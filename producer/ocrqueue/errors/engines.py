"""The engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ocrqueue.errors.base import OcrQueueError

ENGINE_EXTRAS: Final = frozenset({"tesseract", "keras", "rapid", "vision"})
"""The engines that are extras of ocrqueue-worker. `null` needs none; others are packages of their own."""


class EngineUnknown(OcrQueueError):
    """No engine has this name here."""

    code = "engine.unknown"
    remedy = "Choose one of `ocrqueue engines`; name an engine of your own in OCRQUEUE_ENGINES."


class EngineUnavailable(OcrQueueError):
    """The engine is known but cannot run on this worker."""

    code = "engine.unavailable"
    remedy = "Install what it needs: pip install 'ocrqueue-worker[ENGINE]' and the system packages in docs/engines.md."


class EngineDeviceMissing(OcrQueueError):
    """The worker does not have the device that the engine should run on."""

    code = "engine.device_missing"
    remedy = "Set OCRQUEUE_KERAS_DEVICE to a GPU that `nvidia-smi -L` lists, or to auto or cpu."


class EngineWeightsMissing(OcrQueueError):
    """The model's weights are not on this worker."""

    code = "engine.weights_missing"
    remedy = (
        "Run `ocrqueue-worker keras fetch MODEL` on the worker; without a network mount the files into "
        "OCRQUEUE_KERAS_WEIGHTS_DIR."
    )


class EngineWeightsCorrupt(OcrQueueError):
    """A file of the model is not the one that its manifest names."""

    code = "engine.weights_corrupt"
    remedy = "Fetch or copy it again: its sha256 must be the manifest's."


class EngineModelInvalid(OcrQueueError):
    """The model directory or its manifest cannot be used."""

    code = "engine.model_invalid"
    remedy = "Compare the directory with docs/keras-models.md; `ocrqueue-worker keras check MODEL` says what is wrong."


class CalibrationInvalid(OcrQueueError):
    """A table of calibrations cannot be used, or there are too few labelled words to make one."""

    code = "calibration.invalid"
    remedy = "Make it anew with `ocrqueue calibrate`, or set OCRQUEUE_CALIBRATION=shipped."


class EngineThrottled(OcrQueueError):
    """The engine's service takes no more requests for now."""

    code = "engine.throttled"
    retryable = True
    remedy = (
        "The worker tries again after a pause. If it persists, lower the engine's requests a minute or raise its quota."
    )


class EngineUnreachable(OcrQueueError):
    """The engine's service does not answer, or has a fault."""

    code = "engine.unreachable"
    retryable = True
    remedy = "The worker tries again later. If it persists, check the service's status page and the network."


class EngineAccessDenied(OcrQueueError):
    """The engine's service refuses this worker."""

    code = "engine.access_denied"
    remedy = "Check the credentials, their permissions and the project's billing; docs/engines.md lists them."


class EngineBudgetExhausted(OcrQueueError):
    """The engine's budget for this month is used up."""

    code = "engine.budget_exhausted"
    remedy = "Raise OCRQUEUE_VISION_IMAGES_PER_MONTH, choose another engine, or replay the job next month."


class EngineImageRefused(OcrQueueError):
    """The engine's service does not take this image."""

    code = "engine.image_refused"
    remedy = "Convert or scale down the image, or choose another engine."


class EngineFailed(OcrQueueError):
    """The engine failed on this page."""

    code = "engine.failed"
    remedy = "Try another engine or other options; report the image if it persists."


class EngineTimeout(OcrQueueError):
    """The engine did not finish within its time limit."""

    code = "engine.timeout"
    remedy = (
        "Split or scale down the image, or allow more time: the job's time_limit_s, or OCRQUEUE_SOFT_TIME_LIMIT_S and "
        "OCRQUEUE_HARD_TIME_LIMIT_S on the workers."
    )


class EngineOutOfMemory(OcrQueueError):
    """The engine ran out of memory."""

    code = "engine.out_of_memory"
    remedy = "Scale the image down, or raise OCRQUEUE_JOB_MEMORY_LIMIT_MIB on workers that have the memory."


class LanguageMissing(OcrQueueError):
    """The worker lacks the language pack that the job asks for."""

    code = "language.missing"
    remedy = "Install the pack on the workers."


class LanguageUnsupported(OcrQueueError):
    """The engine does not read this language."""

    code = "language.unsupported"
    remedy = "Choose another engine for it; `ocrqueue engines` lists their languages."


class OptionUnknown(OcrQueueError):
    """The engine has no option of this name."""

    code = "option.unknown"
    remedy = "docs/engines.md lists each engine's options."


class OptionInvalid(OcrQueueError):
    """An engine option has a value that it cannot take."""

    code = "option.invalid"
    remedy = "docs/engines.md lists each option's values."


def how_to_install(engines: Iterable[str]) -> str:
    """A remedy: how to install workers for these engines."""
    names = list(dict.fromkeys(engines))
    extras = ",".join(name for name in names if name in ENGINE_EXTRAS)
    others = ", ".join(name for name in names if name not in {*ENGINE_EXTRAS, "null"})
    told = f"pip install 'ocrqueue-worker[{extras}]'." if extras else "pip install ocrqueue-worker."
    return f"{told} It does not bring {others}: install the package that does." if others else told
