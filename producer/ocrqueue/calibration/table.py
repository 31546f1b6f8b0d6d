"""The table of calibrations: a JSON file with a curve for each engine, and what it was learned on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocrqueue.calibration.curve import LEAST_WORDS, Curve, Sample, fitted
from ocrqueue.calibration.measuring import as_given, calibration_error, held_out
from ocrqueue.document import EngineInfo
from ocrqueue.errors import CalibrationInvalid
from ocrqueue.job import describe_validation_error
from ocrqueue.job.route import EngineName

_MOST_BYTES: Final = 1_000_000
_MOST_ENGINES: Final = 100
_DIGITS: Final = 12
_LONGEST_NAME: Final = 200
_LONGEST_TEXT: Final = 300
_WITH_DIGEST: Final = re.compile(" [0-9a-f]{12}$")
_PACKS: Final = re.compile(r"[\w-]+:[0-9a-f]+(\+[\w-]+:[0-9a-f]+)*")

Error = Annotated[float, Field(ge=0, le=1)]


class Calibration(Curve):
    """The curve of one engine, with where it comes from."""

    engine: EngineName
    model: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)] | None = Field(
        default=None, description="Name of the engine's model, without its digest; null: whatever its model."
    )
    learned_on: Annotated[str, Field(max_length=_LONGEST_TEXT)] = Field(description="The labelled pages.")
    languages: Annotated[tuple[str, ...], Field(max_length=50)] = Field(description="Of the jobs that read them.")
    version: Annotated[str, Field(max_length=_LONGEST_TEXT)] = Field(description="Of the engine.")
    pages: Annotated[int, Field(ge=2)]
    words: Annotated[int, Field(ge=1)]
    error_before: Error = Field(description="Expected calibration error of the engine's own confidences.")
    error: Error = Field(description="The same of calibrated ones, each page by a curve learned on other pages.")

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that change with the curve."""
        return hashlib.sha256(repr(self.points).encode()).hexdigest()[:_DIGITS]

    def is_of(self, info: EngineInfo) -> bool:
        """Whether it was learned from this engine and model."""
        return self.engine == info.name and self.model in (None, model_name(info))

    @classmethod
    def learned(
        cls, info: EngineInfo, pages: Sequence[Sequence[Sample]], learned_on: str, languages: Sequence[str]
    ) -> Self:
        """What these pages teach. Raises CalibrationInvalid where they are too few."""
        pages = [page for page in pages if page]
        words = sum(map(len, pages))
        if len(pages) < 2 or words < LEAST_WORDS:
            raise CalibrationInvalid(
                f"{info.name} has read {words} words with a confidence on {len(pages)} pages.",
                remedy=f"Give it two labelled pages with {LEAST_WORDS} words at least; 30 pages are a good number.",
            )
        return cls(
            points=fitted(sample for page in pages for sample in page).points,
            engine=info.name,
            model=model_name(info),
            learned_on=learned_on[:_LONGEST_TEXT],
            languages=tuple(languages),
            version=info.version[:_LONGEST_TEXT],
            pages=len(pages),
            words=words,
            error_before=round(calibration_error(as_given(pages)), 4),
            error=round(calibration_error(held_out(pages)), 4),
        )


class Table(BaseModel):
    """Calibrations by engine and model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    calibrations: Annotated[tuple[Calibration, ...], Field(max_length=_MOST_ENGINES)]

    def names(self, engine: str) -> bool:
        """Whether there is one for any model of this engine."""
        return any(known.engine == engine for known in self.calibrations)

    def find(self, info: EngineInfo) -> Calibration | None:
        """That of this engine and model; the first of several."""
        return next((known for known in self.calibrations if known.is_of(info)), None)

    def to_json(self) -> str:
        """As the file has it: a calibration a line."""
        lines = ",\n".join(known.model_dump_json() for known in self.calibrations)
        return f'{{"version": {self.version}, "calibrations": [\n{lines}\n]}}\n'

    def with_calibrations(self, others: Sequence[Calibration]) -> Table:
        """The same with these, in the place of those of the same engines and models."""
        replaced = {(other.engine, other.model) for other in others}
        kept = [known for known in self.calibrations if (known.engine, known.model) not in replaced]
        return self.model_copy(update={"calibrations": (*kept, *others)})

    def before(self, other: Table) -> Table:
        """This one, and `other` for engines that it does not name."""
        more = (known for known in other.calibrations if not self.names(known.engine))
        return self.model_copy(update={"calibrations": (*self.calibrations, *more)})


def model_name(info: EngineInfo) -> str | None:
    """Without the digest at its end, `small 1 02b37772b0e9`; None of language packs, `eng:8aa9e1a6a2a0`, which have no
    other name."""
    if _PACKS.fullmatch(info.model):
        return None
    return _WITH_DIGEST.sub("", info.model)[:_LONGEST_NAME] or None


def parse_table(data: bytes, name: str) -> Table:
    """Raises CalibrationInvalid. `name` is what the error calls it."""
    try:
        return Table.model_validate_json(data)
    except ValidationError as error:
        raise CalibrationInvalid(f"{name} is no table of calibrations: {describe_validation_error(error)}") from None


def read_table(path: Path) -> Table:
    """Raises CalibrationInvalid where there is none that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CalibrationInvalid(f"{path} cannot be read: {reason}.") from None
    if len(data) > _MOST_BYTES:
        raise CalibrationInvalid(f"{path} has more than {_MOST_BYTES} bytes.")
    return parse_table(data, str(path))
