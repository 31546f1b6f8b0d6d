"""Model directories: finding one, the files that it consists of, and whether they are the ones that it names.

Nothing heavy is imported here: worker parents and the command line look at models too.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from pydantic import ValidationError

from ocrqueue.errors import EngineModelInvalid, EngineWeightsCorrupt, EngineWeightsMissing
from ocrqueue.job import describe_validation_error
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.keras.devices import Device
from ocrqueue_worker.engines.keras.manifest import Manifest, ModelFile
from ocrqueue_worker.engines.keras.runtimes import Runtime, bfloat16_is_faster, chosen_runtime

MANIFEST: Final = "manifest.json"
SHIPPED: Final = Path(__file__).parent / "shipped"
"""The models that come with the package, a directory each."""

_LARGEST_MANIFEST: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files for one runtime are all there; whether they are the right ones, `verify` tells."""

    manifest: Manifest
    folder: Path
    runtime: Runtime
    detector: Path
    recognizer: Path
    taken: tuple[Path, ...] = ()
    """The weights that the ONNX files take, in the same order."""

    @property
    def files(self) -> tuple[tuple[ModelFile, Path], ...]:
        """What the runtime loads, the detector's first, and where each lies."""
        paths = (self.detector, self.recognizer, *self.taken)
        return tuple(zip(self.manifest.files(self.runtime), paths, strict=True))

    @property
    def tensors(self) -> tuple[Path | None, Path | None]:
        """Of detector and recogniser, the file whose tensors their ONNX file takes; None where it has its own."""
        left = list(self.taken)
        parts = (self.manifest.detector.onnx, self.manifest.recognizer.onnx)
        first, second = (left.pop(0) if left and part is not None and part.takes_weights else None for part in parts)
        return first, second

    @property
    def identity(self) -> str:
        """Name, version, and twelve hex digits that change with all that decides what is read."""
        detector, recognizer = self.manifest.detector, self.manifest.recognizer
        decisive = (
            *(file.sha256 for file in self.manifest.files(self.runtime)),
            detector.backbone,
            str(detector.channel_divisor),
            recognizer.alphabet,
            recognizer.build.model_dump_json(),
        )
        digest = hashlib.sha256("\n".join(decisive).encode()).hexdigest()
        return f"{self.manifest.name} {self.manifest.version} {digest[:12]}"

    def detects_in_bfloat16(self, device: Device) -> bool:
        """What it finds then differs a little from what it finds in float32."""
        return self.runtime == "tensorflow" and device.gpu is None and bfloat16_is_faster(self.manifest)


def shipped_models() -> tuple[str, ...]:
    """The names by which the models of the package are chosen."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}")))


def find_model(settings: WorkerSettings) -> Model:
    """The model that the settings name, for the runtime that `chosen_runtime` says. Never fetches anything.

    Raises EngineModelInvalid, EngineWeightsMissing.
    """
    folder = model_folder(settings.keras_model)
    manifest = read_manifest(folder)
    runtime = chosen_runtime(settings, manifest)
    needed = manifest.files(runtime)
    if runtime == "onnx" and not manifest.has_onnx:
        raise EngineModelInvalid(
            f"The model {manifest.name} has no ONNX files, or only one, and OCRQUEUE_KERAS_RUNTIME is onnx.",
            remedy=f"Run `ocrqueue-worker keras export {quote(settings.keras_model)} --output FOLDER` and set "
            "OCRQUEUE_KERAS_MODEL to FOLDER, or set OCRQUEUE_KERAS_RUNTIME=tensorflow.",
        )
    places = [locate(file, folder, settings) for file in needed]
    found = [place for place in places if place is not None]
    if len(found) < len(needed):
        missing = [file for file, place in zip(needed, places, strict=True) if place is None]
        raise _missing(manifest, missing, folder, settings)
    return Model(manifest, folder, runtime, found[0], found[1], tuple(found[2:]))


def model_folder(name: str) -> Path:
    """The directory of a shipped model by its name, or of another by its path. Raises EngineModelInvalid."""
    shipped = shipped_models()
    if name in shipped:
        return SHIPPED / name
    if not os.path.isdir(name):  # noqa: PTH112 -- Path.is_dir raises where a folder above may not be entered
        raise EngineModelInvalid(
            f"There is no model {name!r}: it is neither {' nor '.join(shipped)} nor a folder here.",
            remedy="Set OCRQUEUE_KERAS_MODEL to one of these, or to the folder of a model: docs/keras-models.md.",
        )
    return Path(name)


def read_manifest(folder: Path) -> Manifest:
    """Raises EngineModelInvalid."""
    path = folder / MANIFEST
    if not _is_file(path):  # to open a FIFO would be to wait for whoever writes to it
        raise EngineModelInvalid(f"There is no {MANIFEST} in {folder}.")
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_MANIFEST + 1)
    except OSError as error:
        raise EngineModelInvalid(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > _LARGEST_MANIFEST:
        raise EngineModelInvalid(f"{path} is larger than {_LARGEST_MANIFEST} bytes, so it cannot be a manifest.")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise EngineModelInvalid(f"{path}: {describe_validation_error(error)}") from None


def locate(file: ModelFile, folder: Path, settings: WorkerSettings) -> Path | None:
    """Where a file of the model in `folder` lies; None if it is nowhere. Raises EngineWeightsMissing."""
    beside = folder / file.file
    if not file.is_remote or _is_file(beside):
        return beside if _is_file(beside) else None
    fetched = weights_dir(settings) / file.file
    return fetched if _is_file(fetched) else None


def weights_dir(settings: WorkerSettings) -> Path:
    """Where `keras fetch` puts files: keras-ocr's own cache, unless another folder is set.

    As `keras_ocr.tools.get_default_cache_dir`, so that what keras-ocr has fetched serves here, and the reverse.
    Raises EngineWeightsMissing where the user has no home.
    """
    named = settings.keras_weights_dir or os.environ.get("KERAS_OCR_CACHE_DIR") or Path("~/.keras-ocr")
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise EngineWeightsMissing(
            "No folder is named for weights, and this user has no home for ~/.keras-ocr.",
            remedy="Set OCRQUEUE_KERAS_WEIGHTS_DIR to the folder where the weights are or are to be.",
        ) from None


def verify(model: Model) -> None:
    """Compare every file's sha256 with the manifest's: 0.3 s for `stock`.

    Raises EngineWeightsCorrupt, and EngineWeightsMissing for a file that cannot be read.
    """
    for file, path in model.files:
        verify_file(file, path)


def verify_file(file: ModelFile, path: Path) -> None:
    """Raises EngineWeightsCorrupt, EngineWeightsMissing."""
    try:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise EngineWeightsMissing(
            f"{path} cannot be read: {error.strerror}.",
            remedy="Let the worker's user read the file, or fetch or copy it again.",
        ) from None
    if found != file.sha256:
        raise corrupt(file, str(path), found)


def corrupt(file: ModelFile, place: str, found: str) -> EngineWeightsCorrupt:
    return EngineWeightsCorrupt(
        f"{place} is not the file that the manifest names: its sha256 is {found}, and {file.sha256} is wanted.",
        file=file.file,
        wanted=file.sha256,
        found=found,
    )


def _missing(
    manifest: Manifest, files: list[ModelFile], folder: Path, settings: WorkerSettings
) -> EngineWeightsMissing:
    names = " and ".join(file.file for file in files)
    if not all(file.is_remote for file in files):
        return EngineWeightsMissing(
            f"{names} of the model {manifest.name} must lie in {folder}, beside its {MANIFEST}.",
            remedy="Copy the model's whole directory, or mount it.",
        )
    target = weights_dir(settings)
    return EngineWeightsMissing(
        f"{names} of the model {manifest.name} lie neither in {target} nor in {folder}.",
        remedy=f"Run `ocrqueue-worker keras fetch {quote(settings.keras_model)}` on the worker. Without a network "
        f"mount a folder that has them at {target}, or set OCRQUEUE_KERAS_WEIGHTS_DIR to one: docs/keras-models.md.",
    )


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 -- Path.is_file raises where a folder above may not be entered
