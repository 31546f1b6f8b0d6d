"""Whose turn it is in a lane: tenants share it by weight, whenever and with however much they come."""

from __future__ import annotations

from ocrqueue.core import WorkerRegistry
from ocrqueue.core.tenants import set_weights
from tests.support.moves import LANE, hold_of, job, submit, take


def next_tenant(registry: WorkerRegistry) -> str:
    (found,) = registry.jobs([hold_of(registry).job_id])
    assert found is not None
    return found.tenant


def test_tenants_share_a_lane_and_each_is_first_in_first_out(registry: WorkerRegistry) -> None:
    registry.client.hset(registry.keys.weights(), "b", "3")
    a = [job(tenant="a") for _ in range(40)]
    b = [job(tenant="b") for _ in range(40)]
    submit(registry, *a, *b)
    taken = [hold_of(registry) for _ in range(40)]
    whose = ["a" if hold.part in {one.id for one in a} else "b" for hold in taken]
    assert 29 <= whose.count("b") <= 31
    assert [h.part for h, who in zip(taken, whose, strict=True) if who == "a"] == [one.id for one in a][
        : whose.count("a")
    ]
    assert [h.part for h, who in zip(taken, whose, strict=True) if who == "b"] == [one.id for one in b][
        : whose.count("b")
    ]


def test_a_tenant_that_comes_one_by_one_has_its_share_and_no_more(registry: WorkerRegistry) -> None:
    submit(registry, *(job(tenant="z") for _ in range(100)))
    for _ in range(10):
        hold_of(registry)
    submit(registry, job(tenant="a"))
    whose = []
    for _ in range(20):
        hold = hold_of(registry)
        tenant = registry.status(hold.job_id).tenant
        whose.append(tenant)
        if tenant == "a":
            submit(registry, job(tenant="a"))
    assert 9 <= whose.count("a") <= 11


def test_who_has_little_weight_makes_only_itself_wait(registry: WorkerRegistry) -> None:
    set_weights(registry, {"bulk": 0.001})
    submit(registry, *(job(tenant="a") for _ in range(200)), *(job(tenant="bulk") for _ in range(3)))
    assert {next_tenant(registry), next_tenant(registry)} == {"a", "bulk"}
    # of the same weight as `a`: it has its turn with the next two, whatever `bulk` has used up
    submit(registry, job(tenant="b"))
    assert "b" in {next_tenant(registry), next_tenant(registry)}


def test_single_jobs_escape_no_weight(registry: WorkerRegistry) -> None:
    """A tenant that has just one job waiting at a time leaves the lane with each, and comes back with its debt."""
    set_weights(registry, {"light": 0.1})
    submit(registry, *(job(tenant="heavy") for _ in range(200)), job(tenant="light"))
    taken = []
    for _ in range(110):
        taken.append(next_tenant(registry))
        if taken[-1] == "light":
            submit(registry, job(tenant="light"))
    assert 9 <= taken.count("light") <= 11


def test_a_lane_that_was_empty_owes_nobody_anything(registry: WorkerRegistry) -> None:
    set_weights(registry, {"light": 0.1})
    for tenant in ("light", "a", "light", "a"):
        submit(registry, job(tenant=tenant))
        assert next_tenant(registry) == tenant
    assert not registry.client.exists(registry.keys.departed(LANE))
    submit(registry, *(job(tenant="a") for _ in range(5)), job(tenant="light"))
    assert "light" in {next_tenant(registry), next_tenant(registry)}


def test_whoever_cancels_keeps_the_debt_of_what_was_taken(registry: WorkerRegistry) -> None:
    set_weights(registry, {"light": 0.1})
    submit(registry, *(job(tenant="heavy") for _ in range(50)), job(tenant="light"), given := job(tenant="light"))
    assert {next_tenant(registry), next_tenant(registry)} == {"heavy", "light"}
    registry.cancel(given.id)
    submit(registry, job(tenant="light"))
    assert [next_tenant(registry) for _ in range(8)] == ["heavy"] * 8


def test_tenants_have_their_turns_within_what_is_taken_at_once(registry: WorkerRegistry) -> None:
    set_weights(registry, {"b": 3})
    jobs = {one.id: one for one in [job(tenant=tenant) for tenant in ("a", "b") for _ in range(20)]}
    submit(registry, *jobs.values())
    whose = [[jobs[part.hold.part].tenant for part in take(registry, 8).parts] for _ in range(5)]
    assert [tenants.count("b") for tenants in whose[:3]] == [6, 6, 6]
    assert [tenants.count("a") for tenants in whose] == [2, 2, 2, 6, 8]
