"""The order in which a worker looks at its queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from ocrqueue.job import engine_queues
from ocrqueue.job.names import LANES
from ocrqueue_worker.broker.lanes import LaneCycle, lane_of

HIGH, NORMAL, LOW = engine_queues("null")


def cycle(share: int, queues: Iterable[str] = (LOW, HIGH, NORMAL)) -> LaneCycle:
    made = LaneCycle(share)
    made.update(queues)
    return made


def taken(share: int, never_empty: Iterable[str], takes: int = 1000) -> list[str]:
    """From where a worker takes while these queues always have something."""
    made, full, found = cycle(share), set(never_empty), []
    for _ in range(takes):
        found.append(next(queue for queue in made.consume(3) if queue in full))
        made.rotate(found[-1])
    return found


@pytest.mark.parametrize(
    ("share", "high", "normal", "low"),
    [(0, 1000, 0, 0), (1, 981, 9, 10), (10, 810, 90, 100), (33, 449, 221, 330), (50, 250, 250, 500)],
)
def test_each_lane_has_its_share_of_a_thousand_takes(share: int, high: int, normal: int, low: int) -> None:
    assert Counter(taken(share, (HIGH, NORMAL, LOW))) == Counter({HIGH: high, NORMAL: normal, LOW: low})
    assert Counter(taken(share, (HIGH, LOW)))[LOW] == low
    assert Counter(taken(share, (NORMAL, LOW)))[LOW] == low, "low has its share of what normal jobs would take too"
    assert set(taken(share, (LOW,))) == {LOW}


def test_the_turns_are_spread_evenly() -> None:
    found = taken(10, (HIGH, NORMAL, LOW), 40)
    assert [take for take, queue in enumerate(found, 1) if queue == LOW] == [10, 20, 30, 40]
    assert [take for take, queue in enumerate(found, 1) if queue == NORMAL] == [11, 22, 33]


def test_the_lanes_are_drained_in_order_and_each_turn_goes_on_to_the_others() -> None:
    made, orders = cycle(50), []
    for _ in range(4):
        orders.append(made.consume(3))
        assert made.consume(3) == orders[-1], "the same until something was taken"
        made.rotate(orders[-1][0])
    assert orders == [[HIGH, NORMAL, LOW], [LOW, HIGH, NORMAL], [NORMAL, HIGH, LOW], [LOW, HIGH, NORMAL]]


@pytest.mark.parametrize("together", [1, 3, 8])
def test_lanes_have_their_shares_of_parts_however_many_are_taken_at_once(together: int) -> None:
    made, found = cycle(20), Counter[str]()
    while found.total() < 2000:
        queue = made.consume(1)[0]
        found[queue] += together
        made.rotate(queue, together)
    assert abs(found[LOW] / found.total() - 0.2) < 0.01
    assert abs(found[NORMAL] / found.total() - 0.16) < 0.01


def test_a_lane_that_gave_more_than_its_turns_has_fewer_later() -> None:
    made, found = cycle(10), Counter[str]()
    for _ in range(400):
        queue = made.consume(1)[0]
        parts = 8 if queue == LOW else 1
        found[queue] += parts
        made.rotate(queue, parts)
    assert abs(found[LOW] / found.total() - 0.1) < 0.02


def test_a_lane_owes_nothing_for_what_it_gave_while_nobody_else_waited() -> None:
    made = cycle(10)
    while made.consume(1) != [LOW]:
        made.rotate(HIGH)
    for _ in range(2):
        # in its turn, and then in its order
        made.rotate(LOW, 8)
    firsts = []
    for _ in range(20):
        firsts.append(made.consume(1)[0])
        made.rotate(firsts[-1])
    assert firsts.count(LOW) == 2


def test_a_lane_that_was_empty_in_its_turn_has_no_turns_to_make_up_for() -> None:
    made = cycle(50)
    for _ in range(100):
        made.rotate(HIGH)
    firsts = []
    for _ in range(20):
        firsts.append(made.consume(1)[0])
        made.rotate(firsts[-1])
    assert firsts.count(LOW) <= 11


def test_after_a_quiet_time_a_few_jobs_are_taken_in_order() -> None:
    for quiet in range(30):
        made = cycle(10)
        for _ in range(quiet):
            made.rotate(HIGH)
        while made.consume(1) != [HIGH]:
            made.rotate(HIGH)
        made.rotate(LOW)
        left, found = {HIGH: 3, NORMAL: 3, LOW: 3}, []
        for _ in range(9):
            found.append(next(queue for queue in made.consume(3) if left[queue]))
            left[found[-1]] -= 1
            made.rotate(found[-1])
        assert found == [HIGH] * 3 + [NORMAL] * 3 + [LOW] * 3


def test_the_high_lanes_of_all_engines_come_first_and_engines_take_turns() -> None:
    queues = [queue for engine in ("tesseract", "keras", "auto") for queue in engine_queues(engine)]
    made = cycle(0, queues)
    order = made.consume(9)
    assert [lane_of(queue) for queue in order] == [lane for lane in LANES for _ in range(3)]
    assert order[:3] == ["ocr.tesseract.high", "ocr.keras.high", "ocr.auto.high"]
    taken_from = [made.rotate(made.consume(9)[0]) for _ in range(6)]
    assert taken_from == order[:3] * 2
    assert made.consume(9)[3:] == order[3:], "in their own lane only"


def test_queues_can_be_others_and_can_change() -> None:
    made = cycle(10, ["scans", "ocr.null.low", "ocr.null"])
    assert made.consume(3) == ["scans", "ocr.null", "ocr.null.low"]
    made.rotate("of which it knows nothing")
    made.update(["ocr.null.low"])
    assert made.consume(1) == ["ocr.null.low"]
    made.update([])
    assert made.consume(0) == []
