"""What this process has in hand: parts that it took from Redis and has not settled.

It belongs to the process and not to a channel: Celery makes its channels again when a connection is lost, while what
runs goes on. The heartbeat names to Redis what is in here; what is not, others may have after its lease.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from ocrqueue.core import Hold


@dataclass(frozen=True, slots=True)
class Handful:
    """Parts that travel together, in one message of Celery's."""

    holds: tuple[Hold, ...]
    longest_s: float
    """After so many seconds in hand no heartbeat names them any more: no time limit lets them take longer."""
    lane: str = ""
    kind: str = ""
    """The parts': see Job.kind."""
    parts: int = 1
    """How many. Of a page two holds are named."""
    taken_at: float = field(default_factory=time.monotonic)


class Hand:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self.holder = uuid.uuid4().hex
        """The instance of this process. Names of workers repeat: process ids do in containers."""
        self.capacity: Callable[[], int] = lambda: 1
        """Messages that it may have at once: its children that have loaded their engines, or its threads."""
        self.send_on: Callable[[], None] = lambda: None
        """Sends what Celery has to an idle child, in a pool that would do so in a later round of the loop."""
        self.next_token = uuid.uuid4().hex
        """Of the next TAKE, until what it took is in here."""
        self._lock = threading.Lock()
        self._handfuls: dict[str, Handful] = {}
        self._ending: dict[str, float] = {}
        """Messages whose one part is about to end, and since when: their children are as good as idle."""
        self._overdue: set[str] = set()
        """Those for which that takes long: nothing more is taken for their children."""
        self._orphans: dict[str, set[Hold]] = {}
        """The parts of messages that Celery has forgotten, unless Redis has said that they are gone."""

    def has_room(self) -> bool:
        return len(self._handfuls) - len(self._ending) < self.capacity()

    def note_ending(self, token: str) -> None:
        """The only part of that TAKE, or the last one, is about to end."""
        with self._lock:
            for tag, handful in self._handfuls.items():
                if all(hold.token == token and hold.page is None for hold in handful.holds):
                    self._ending.setdefault(tag, time.monotonic())

    def overdue_ends(self, seconds: float) -> bool:
        """Whether a part that was about to end has not for so long. Told once: it counts as running from then on."""
        now = time.monotonic()
        with self._lock:
            overdue = [tag for tag, since in self._ending.items() if now - since > seconds]
            for tag in overdue:
                del self._ending[tag]
            self._overdue.update(overdue)
        return bool(overdue)

    def is_about_to_end(self, hold: Hold) -> bool:
        """Whether only its result is to be stored and told."""
        with self._lock:
            told = [*self._ending, *self._overdue]
            return any(hold in self._handfuls[tag].holds for tag in told if tag in self._handfuls)

    def take(self, tag: str, handful: Handful) -> None:
        """`tag` names the message that they travel in."""
        with self._lock:
            self._handfuls[tag] = handful

    def let_go(self, tag: str) -> Handful | None:
        """The message is settled as far as Celery goes. Returns what was in it."""
        with self._lock:
            handful = self._handfuls.pop(tag, None)
            self._forget_end(tag)
            self._orphans.pop(tag, None)
        return handful

    def orphan_all_but(self, known: Set[Hold]) -> list[Hold]:
        """Celery has forgotten every message but those of these parts, and will say nothing of it. Returns the others.

        They stay in hand until Redis says that they are gone: a child may be at work on them all the same.
        """
        with self._lock:
            for tag, handful in self._handfuls.items():
                if known.isdisjoint(handful.holds):
                    self._orphans.setdefault(tag, set(handful.holds))
            return [hold for holds in self._orphans.values() for hold in holds]

    def note_gone(self, hold: Hold) -> None:
        """Redis says that the part is not in this hand any more. What else Celery knows of, it settles itself."""
        with self._lock:
            for tag, holds in list(self._orphans.items()):
                if any(page.page is not None and hold == page.closing for page in holds):
                    # not there yet, as long as its page is being read
                    continue
                holds.discard(hold)
                if not holds:
                    del self._orphans[tag], self._handfuls[tag]
                    self._forget_end(tag)

    def _forget_end(self, tag: str) -> None:
        self._ending.pop(tag, None)
        self._overdue.discard(tag)

    def holds(self) -> list[Hold]:
        """All, but for what has been here for longer than any time limit."""
        now = time.monotonic()
        with self._lock:
            handfuls = list(self._handfuls.values())
        return [hold for each in handfuls if now - each.taken_at < each.longest_s for hold in each.holds]


HAND = Hand()
"""That of this process."""
