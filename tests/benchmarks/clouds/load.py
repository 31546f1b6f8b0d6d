"""Clients that ask again and again, beside each other, and what came of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.clouds.asking import Ask, OwnError

_EACH_WRONG = 10
"""One in so many images is none: it is to be told of in the protocol's own form."""
_NO_IMAGE = b"no image at all"


@dataclass
class Tally:
    """Of one protocol."""

    seconds: list[float] = field(default_factory=list)
    """Of each call that was answered with a text."""
    as_expected: int = 0
    """Texts that are those of their images."""
    own: Counter[str] = field(default_factory=Counter)
    """Errors in the protocol's own form, of what is no image."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """The same of images, such as a queue that is long."""
    foreign: Counter[str] = field(default_factory=Counter)
    """All else."""

    @property
    def calls(self) -> int:
        return len(self.seconds) + self.own.total() + self.unexpected.total() + self.foreign.total()


def ask_until(
    end: float, asks: Mapping[str, Callable[[], Ask]], clients: int, pictures: Sequence[tuple[str, bytes]]
) -> dict[str, Tally]:
    """So many clients of each protocol, each with one call at a time, until this moment of time.monotonic()."""
    tallies = {name: Tally() for name in asks}
    threads = [
        threading.Thread(target=_one, args=(end, make, tallies[name], pictures, number), name=f"{name} {number}")
        for name, make in asks.items()
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tallies


def _one(end: float, make: Callable[[], Ask], tally: Tally, pictures: Sequence[tuple[str, bytes]], number: int) -> None:
    ask = make()
    turn = 7 * number
    while time.monotonic() < end:
        turn += 1
        is_wrong = turn % _EACH_WRONG == 0
        text, image = ("", _NO_IMAGE) if is_wrong else pictures[turn % len(pictures)]
        begun = time.monotonic()
        try:
            read = ask(image)
        except OwnError as error:
            (tally.own if is_wrong else tally.unexpected)[str(error)] += 1
        except Exception as error:
            tally.foreign[f"{type(error).__name__}: {error}"[:200]] += 1
        else:
            tally.seconds.append(time.monotonic() - begun)
            tally.as_expected += read.split() == text.split()
