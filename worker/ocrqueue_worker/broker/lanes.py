"""The order in which a worker looks at its queues: high lanes, normal ones, low ones, none of them starved.

Redis's BRPOP takes from the first of the queues named that is not empty; kombu asks a cycle for their order before each
take, and tells it from where the message came (kombu/utils/scheduling.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from ocrqueue.job.names import LANES, Priority

_ORDERS: Final[dict[Priority, tuple[Priority, ...]]] = {
    first: (first, *(lane for lane in LANES if lane != first)) for first in LANES
}
"""By the lane that is looked at first: then the others, the higher one before the lower."""


def lane_of(queue: str) -> Priority:
    """By the end of its name; what is no lane of an engine's counts as normal."""
    ending = queue.rpartition(".")[2]
    return "high" if ending == "high" else "low" if ending == "low" else "normal"


class LaneCycle:
    """Kombu's protocol of a queue cycle, for one consumer.

    Of 100 parts `low_share` are from the low lanes, and of the others the same share from the normal ones: whatever
    waits above, each lane moves on. The turns are spread evenly; a lane that is reached in its order needs none, and
    waits for its next again. One that gives more parts than it has turns has fewer later. Engines take turns within a
    lane.
    """

    def __init__(self, low_share: int) -> None:
        """`low_share` in percent, 0 to 100; 0: strictly in order."""
        self._share = low_share
        self._due: dict[Priority, int] = {"low": 0, "normal": 0}
        """How far the lane is on its way to a turn, in percent."""
        self._turns: dict[Priority, int] = {"low": 0, "normal": 0}
        """Parts that it is to give though others wait above; below 0, what it has given too many."""
        self._queues: dict[Priority, deque[str]] = {lane: deque() for lane in LANES}
        self._first: Priority = "high"
        self._pass_turn()

    def update(self, queues: Iterable[str]) -> None:
        """Only these from now on."""
        self._queues = {lane: deque() for lane in LANES}
        for queue in queues:
            self._queues[lane_of(queue)].append(queue)

    def consume(self, n: int) -> list[str]:
        """All queues in the order for the next take, `n` at most. The same again until something is taken."""
        return [queue for lane in _ORDERS[self._first] for queue in self._queues[lane]][:n]

    def rotate(self, last_used: str, parts: int = 1) -> str:
        """So many parts were taken from this queue."""
        lane = lane_of(last_used)
        if lane == self._first and lane in self._turns:
            self._turns[lane] -= parts
        elif lane != self._first:
            reached = LANES[1 : LANES.index(lane) + 1]
            for each in reached:
                self._due[each] = 0
            for each in {self._first, *reached} - {"high"}:
                # the first had nothing, and the others were reached without a turn
                self._turns[each] = 0
        queues = self._queues[lane]
        if last_used in queues:
            queues.remove(last_used)
            queues.append(last_used)
        for _ in range(parts):
            self._pass_turn()
        return last_used

    def _pass_turn(self) -> None:
        """A part is taken, of whichever lane."""
        for lane in self._due:
            self._due[lane] += self._share
            if self._due[lane] >= 100:
                self._due[lane] -= 100
                self._turns[lane] += 1
                break
        self._first = next((lane for lane, turns in self._turns.items() if turns > 0), "high")
