"""A progress bar on stderr while jobs are waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrqueue.cli.output import console
from ocrqueue.core import JobStatus


def progress_bar(counted: str) -> Progress | None:
    """A bar on stderr, or None where that is no terminal. `counted` is the text behind its numbers, as rich has it."""
    stderr = console(stderr=True)
    if not stderr.is_terminal:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(counted),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
        # stdout may be a pipe or file: it must not be drawn on the terminal instead
        redirect_stdout=False,
    )


@contextmanager
def job_progress(total: int, *, shown: bool = True) -> Iterator[Callable[[JobStatus], None] | None]:
    """Gives a callback for OcrQueue.watch(), or None where there is no terminal to draw on.

    None matters: watching each step of a job costs Redis more than waiting for its end.
    """
    bar = progress_bar("jobs  {task.fields[pages]} pages  {task.fields[running]} running") if shown else None
    if bar is None:
        yield None
        return
    newest: dict[str, tuple[str, int]] = {}
    states: Counter[str] = Counter()
    with bar:
        task = bar.add_task("reading", total=total, pages=0, running=0)

        def on_progress(status: JobStatus) -> None:
            before, pages_before = newest.get(status.id, ("", 0))
            state = "ended" if status.finished else status.state
            newest[status.id] = (state, status.pages_done)
            states[before] -= 1
            states[state] += 1
            pages = bar.tasks[0].fields["pages"] + status.pages_done - pages_before
            bar.update(task, completed=states["ended"], running=states["running"], pages=pages)

        yield on_progress
