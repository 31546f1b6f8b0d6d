"""What goes wrong with one of many files: it is told, and the others are written all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from ocrqueue.cli.exit_codes import ExitStatus, exit_of_error
from ocrqueue.cli.output import say
from ocrqueue.errors import InternalError, OcrQueueError


class Failures:
    """Those of one command."""

    def __init__(self) -> None:
        self.told: list[str] = []
        """As they stand on stderr."""
        self._statuses: list[ExitStatus] = []

    @contextmanager
    def of(self, subject: str) -> Iterator[None]:
        """Do the block. What it raises is an error of `subject`, unless it is one of all: Redis, storage or the reader
        of stdout has gone away."""
        try:
            with foreseen():
                yield
        except BrokenPipeError:
            raise
        except OcrQueueError as error:
            status = exit_of_error(error.info.code)
            if status is ExitStatus.UNAVAILABLE:
                raise
            self._add(f"{subject}: {error.info.code}: {error.info.message} {error.info.remedy}".rstrip(), status)
        except OSError as error:
            where = error.filename or subject
            self._add(f"{where}: {error.strerror or error}", ExitStatus.FAILED)

    def _add(self, text: str, status: ExitStatus) -> None:
        self.told.append(text)
        self._statuses.append(status)
        say(f"error: {text}")

    def exit_status(self, of_jobs: ExitStatus) -> ExitStatus:
        """That of the command: the lowest that is not OK."""
        return min((status for status in (of_jobs, *self._statuses) if status), default=ExitStatus.OK)


@contextmanager
def foreseen() -> Iterator[None]:
    """Turn what nobody foresaw, such as a library's TypeError over a damaged file, into InternalError."""
    try:
        yield
    except (OcrQueueError, OSError, click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if type(error).__module__.startswith("redis."):
            raise
        raise InternalError(
            f"{type(error).__name__}: {str(error).rstrip('.')}.", remedy="Report it, with the file if you may show it."
        ) from error
