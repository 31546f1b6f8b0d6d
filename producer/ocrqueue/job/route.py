"""Route: which engines a job goes through, in what order and why, and how each of them fared.

A job has one where it asks for more than one engine by its name: `engine="auto"`, `fallback`, or `compare`. The route
is made once, by `ocrqueue.routing`, and travels in the job; `Job.engine` is the engine whose turn it is.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ocrqueue.job.names import ENGINE_NAME

MOST_ENGINES: Final = 6
"""In one route; each is asked once."""

EngineName = Annotated[str, Field(pattern=ENGINE_NAME)]
Share = Annotated[float, Field(ge=0, le=1)]


class Step(BaseModel):
    """What came of one engine of the route."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore")

    engine: EngineName
    version: str | None = None
    model: str | None = None
    attempt: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The job's attempt that it was; 0: the engine was passed over."
    )
    stored_as: str = Field(
        default="",
        description="What its files in storage are named by, where the attempt's number alone is not enough.",
    )
    pages: int = Field(default=0, description="Pages that it read.")
    pages_sent_on: int = Field(default=0, description="Of these, how many went on to the next engine as a whole.")
    lines_sent_on: int = Field(default=0, description="Single lines of other pages that went on to the next engine.")
    mean_confidence: Share | None = Field(default=None, description="Of the words that have one.")
    seconds: float = Field(default=0.0, description="That the engine took.")
    error: str | None = Field(default=None, description="Code of the error for which the next engine was asked.")
    result: str | None = Field(
        default=None, description="URI of the Document of this engine alone, where it read every page as a whole."
    )
    remember_as: str | None = Field(
        default=None,
        description="Of a page that goes by itself, until all are gathered: the sum of what decides such a reading.",
    )


class Route(BaseModel):
    """The engines of one job."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    asked: EngineName = Field(description="What the job named: auto, or an engine.")
    mode: Literal["fallback", "compare"] = Field(
        default="fallback", description="fallback: what one is not sure of goes on to the next. compare: all read all."
    )
    engines: Annotated[tuple[EngineName, ...], Field(min_length=1, max_length=MOST_ENGINES)]
    reason: Annotated[str, Field(max_length=1000)] = Field(description="Why these, and in this order.")
    trail: Annotated[tuple[Step, ...], Field(max_length=MOST_ENGINES)] = Field(
        default=(), description="Of each engine that has had its turn, in order."
    )

    @model_validator(mode="after")
    def _one_turn_each(self) -> Route:
        if len(set(self.engines)) != len(self.engines):
            raise ValueError("an engine is named twice")
        if len(self.trail) >= len(self.engines) and self.trail:
            raise ValueError("no engine is left")
        return self

    @property
    def step(self) -> int:
        """How many engines have had their turn: the place of the one whose turn it is."""
        return len(self.trail)

    @property
    def engine(self) -> str:
        """The one whose turn it is."""
        return self.engines[self.step]

    @property
    def following(self) -> str | None:
        """The one after it."""
        return self.engines[self.step + 1] if self.step + 1 < len(self.engines) else None

    def without_trail(self) -> Route:
        """The route before its first turn."""
        return self.model_copy(update={"trail": ()})

    def after(self, step: Step) -> Route:
        """The route once the engine whose turn it is has had it; there must be one after it."""
        return self.model_validate({**self.model_dump(), "trail": (*self.trail, step)})
