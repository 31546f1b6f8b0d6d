"""The one permit of a worker: one child is replaced at a time, and the next when its successor has loaded."""

from __future__ import annotations

import copy
import os

from ocrqueue_worker.limits.recycling import Recycling


def children(main: Recycling, most_jobs: int) -> tuple[Recycling, Recycling]:
    """As they inherit it."""
    made = copy.copy(main), copy.copy(main)
    for child in made:
        child.begin(most_jobs)
    return made


def does(child: Recycling, jobs: int = 1) -> bool:
    """Whether that was its last message."""
    child.message_begins(jobs)
    child.message_ends()
    return child.is_leaving


def test_one_leaves_at_a_time_and_the_next_when_all_have_loaded() -> None:
    main = Recycling()
    main.open()
    one, two = children(main, 3)
    assert [does(one), does(one), does(two, 2)] == [False, False, False]
    assert does(one)
    assert not does(two)
    own, another, successor = os.getpid(), 1, 2
    assert main.leaver({own, another}, 2) == own
    assert main.leaver({another}, 2) == own
    assert not does(two)
    assert main.leaver({another, successor}, 2) is None
    assert does(two)


def test_without_a_limit_or_a_pool_of_children_nobody_leaves() -> None:
    main = Recycling()
    main.open()
    child, _ = children(main, 0)
    assert not any(does(child, 1000) for _ in range(3))
    threads = Recycling()
    threads.begin(1)
    assert not does(threads)
    assert threads.leaver({os.getpid()}, 1) is None
