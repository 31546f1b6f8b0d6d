"""The engine interface: what an engine promises, and what it may rely on."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from ocrqueue.document import EngineInfo, Line, Page
from ocrqueue.errors import OcrQueueError, OptionInvalid, OptionUnknown
from ocrqueue.job import describe_validation_error
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.images.page import PageImage


class EngineOptions(BaseModel):
    """Base of an engine's options; a field is an option, its docs and its check."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Options = TypeVar("Options", bound=EngineOptions)


@dataclass(frozen=True, slots=True)
class Reading(Generic[Options]):
    """How the pages are to be read."""

    languages: tuple[str, ...]
    options: Options
    deadline: float = float("inf")
    """time.monotonic() at which the engine must have given up, in seconds."""

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()


class Engine(ABC, Generic[Options]):
    """Reads pages.

    Process contract: an Engine object is made once in each worker child and used by one thread at a time, except
    where `pool` is "threads": then recognize() is called from several threads at once. load() runs in the child
    before the first job, never in the parent: libraries that do not survive a fork are imported there. An engine
    starts no threads of its own beyond what one core serves, unless its documentation says so.

    Inputs are untrusted pictures but well-formed values: decoded, within the pixel limit, options checked.
    Outputs are Pages with polygons in pixels of the page given. Whatever else goes wrong with one page is
    returned as an OcrQueueError in that page's place, so that its neighbours do not suffer.
    """

    name: ClassVar[str]
    options_model: ClassVar[type[EngineOptions]] = EngineOptions
    pool: ClassVar[Literal["prefork", "threads"]] = "prefork"
    pages_per_call: ClassVar[int] = 1
    """How many pages recognize() likes to get together, as far as pages_together() does not say otherwise."""
    cacheable: ClassVar[bool] = True
    """Whether the same image, version, model and options give the same pages."""
    job_memory_limit_mib: ClassVar[int | None] = None
    """Private memory that one job may take, where the setting of this name would not do; 0: no limit. In MiB.

    What load() took is not counted. A job over the limit meets a MemoryError, or what its libraries make of malloc(3)
    returning NULL: see ocrqueue_worker.limits.memory_limit. An engine whose libraries take memory that they do not use,
    or that end the process rather than raise, wants a high limit or none. The operator's setting for the engine by name
    has precedence.
    """

    child_memory_mib: ClassVar[int | None] = None
    """Memory that a worker child may have taken at its largest before it is replaced between two jobs, where the
    setting max_memory_per_child_mib would not do; 0: no limit. In MiB. The operator's setting for the engine by name
    has precedence."""

    fixed_languages: ClassVar[bool] = False
    """Whether languages() is all that any worker of this engine and model can read, so that a job in another language
    is refused when it is submitted."""
    reads_in_black_and_white: ClassVar[bool] = False
    """Whether it makes a page black and white by one threshold first, which print that is paler than the rest does not
    survive: a page with such print is read again with all print black."""
    reads_lines: ClassVar[bool] = False
    """Whether recognize_lines() can be called."""
    reference_schemes: ClassVar[tuple[str, ...]] = ()
    """Schemes of the references that recognize_reference() takes, such as "gs"."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Cheap: no model, no heavy import. Raises EngineUnavailable where the engine cannot run here."""
        self.settings = settings

    def check(self) -> None:
        """Raises what would let every job fail; called in the parent before it starts children."""

    def load(self) -> None:
        """Load what every job needs. Called once, in the child."""

    def concurrency(self) -> int | None:
        """Jobs at a time on this machine, where the operator does not say; None: one a core."""
        return None

    def memory_limit_mib(self) -> int:
        """MiB that one job may take; 0: no limit.

        The setting for the engine by name has precedence, then what the class says, then the setting for all.
        """
        setting = self.settings.job_memory_limit_mib
        if self.name in setting.engines or setting.default == 0 or self.job_memory_limit_mib is None:
            return setting.of(self.name)
        return self.job_memory_limit_mib

    @abstractmethod
    def info(self, languages: Sequence[str]) -> EngineInfo:
        """Version and model as used for these languages; part of the cache key."""

    @abstractmethod
    def languages(self) -> tuple[str, ...]:
        """The languages that this worker can read now; empty where the engine does not care."""

    def check_languages(self, languages: Sequence[str]) -> None:
        """Raises LanguageMissing or LanguageUnsupported."""

    def check_any_language(self) -> None:
        """Raises what keeps this worker from reading any language now. Asked every few seconds, in the main process."""

    def pages_together(self, options: Options) -> int:
        """How many pages recognize() likes to get together when they are read with these options; at least 1."""
        return self.pages_per_call

    def may_prepare(self, options: Options) -> bool:
        """Whether a page that reads badly with these options is prepared and read again, where the job leaves that to
        the worker. Not where another call costs money, or options say how the page lies."""
        return True

    def longest_side(self, options: Options) -> int | None:
        """Pixels of a page's longer side that are read as they are: a longer page is made smaller, or cannot be read.
        None where there is no such limit."""
        return None

    def splits(self, options: Options, pages: int) -> bool:
        """Whether a document of so many pages, read with these options, is read in parts: each page by whoever is free.

        It is opened again for each page then, which is worth it where a page takes longer than that.
        """
        least = self.settings.split_from_pages.of(self.name)
        return 0 < least <= pages

    @abstractmethod
    def recognize(self, pages: Sequence[PageImage], reading: Reading[Options]) -> list[Page | OcrQueueError]:
        """Read the pages: one Page, or the error in its stead, for each, in order.

        They may be of several images, all of the languages and options of `reading`; their numbers repeat then.
        Words need ids of their own within the page (`p001-w0001`, see `word_id`); crops are added by the caller, and
        what cannot be right is taken for a failure (see ocrqueue_worker.engines.output_checks).
        """

    def recognize_lines(
        self, page: PageImage, lines: Sequence[Line], reading: Reading[Options]
    ) -> list[Line | OcrQueueError]:
        """Read these lines of a page again, without looking for text elsewhere: a Line for each, or an error, in order.

        What another engine was not sure of: the lines are that engine's. Polygons of words are of this one, those of
        the lines may be. Ids of words are the caller's to give.
        """
        raise NotImplementedError(f"{self.name} does not read single lines")

    def unseen_lines(self, page: PageImage, seen: Sequence[Line]) -> list[Line]:
        """Where text seems to stand on a page besides the lines that another engine has seen: lines without words.

        To be quick rather than right: what recognize_lines() makes of them decides. For engines that read single lines.
        """
        return []

    def recognize_reference(self, uri: str, reading: Reading[Options]) -> Page:
        """Read an image by its reference, which nobody has fetched, as one page with number 1.

        For jobs that want no crops, of a scheme in `reference_schemes`. Raises OcrQueueError.
        """
        raise NotImplementedError(f"{self.name} does not fetch images itself")

    def close(self) -> None:
        """Free what load() and recognize() took."""

    def parse_options(self, options: Mapping[str, JsonValue]) -> Options:
        """Raises OptionUnknown or OptionInvalid."""
        try:
            parsed = self.options_model.model_validate(dict(options))
        except ValidationError as error:
            unknown = [str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden"]
            if unknown:
                known = ", ".join(sorted(self.options_model.model_fields)) or "none"
                raise OptionUnknown(
                    f"{self.name} has no option {unknown[0][:40]!r}.", remedy=f"Its options: {known}."
                ) from None
            raise OptionInvalid(describe_validation_error(error)) from None
        return parsed  # type: ignore[return-value]  # options_model is the class that Options stands for
