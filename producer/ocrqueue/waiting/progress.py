"""A progress bar on stderr while jobs are waited for: for scripts, and for the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ocrqueue.core.batches import BatchStatus
from ocrqueue.core.records import JobStatus


def progress_bar() -> Progress | None:
    """A bar on stderr, or None where that is no terminal. The field `counted` of a task stands behind its numbers."""
    stderr = Console(stderr=True, highlight=False, emoji=False)
    if not stderr.is_terminal:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
        # stdout may be a pipe or file: it must not be drawn on the terminal instead
        redirect_stdout=False,
    )


@contextmanager
def job_progress(total: int, *, shown: bool = True) -> Iterator[Callable[[JobStatus | BatchStatus], None] | None]:
    """A progress bar for `total` jobs, on stderr: give what it yields to a wait as `on_progress`.

    The waits are as_completed(), watch() and wait() of both clients, of a job and of a batch. It yields None, and draws
    nothing, if stderr is no terminal or `shown` is False. Then a wait is cheaper too: it is told of ends only. The bar
    is erased at the end.
    """
    bar = progress_bar() if shown else None
    if bar is None:
        yield None
        return
    newest: dict[str, tuple[str, int]] = {}
    states: Counter[str] = Counter()
    pages = 0
    with bar:
        task = bar.add_task("reading", total=total, counted="jobs")

        def on_progress(status: JobStatus | BatchStatus) -> None:
            nonlocal pages
            if isinstance(status, BatchStatus):
                counted = f"jobs  {status.running} running"
                bar.update(task, total=status.jobs, completed=status.ended, counted=counted)
                return
            before, pages_before = newest.get(status.id, ("", 0))
            state = "ended" if status.finished else status.state
            newest[status.id] = (state, status.pages_done)
            states[before] -= 1
            states[state] += 1
            pages += status.pages_done - pages_before
            counted = f"jobs  {pages} pages  {states['running']} running"
            bar.update(task, completed=states["ended"], counted=counted)

        yield on_progress
