"""Room for calls by gRPC: each tenant has its share."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack

import pytest

from ocrqueue.errors import TenantLimited
from ocrqueue_gateway.clouds.google_vision.room import MOST_OF_TENANT, MOST_TAKEN_IN, Room


def test_half_of_all_calls_are_a_tenant_s_at_most() -> None:
    room = Room()
    with ExitStack() as calls:
        for _ in range(MOST_OF_TENANT):
            calls.enter_context(room.for_call("greedy"))
        with pytest.raises(TenantLimited) as raised, room.for_call("greedy"):
            pytest.fail("there is no room")
        assert raised.value.info.details["limit"] == "calls"
        with room.for_call("other"):
            pass
    with room.for_call("greedy"):
        pass


async def test_half_of_all_messages_are_a_tenant_s_at_most() -> None:
    room = Room()
    async with AsyncExitStack() as taken:
        for _ in range(MOST_TAKEN_IN // 2):
            give_back = await taken.enter_async_context(room.for_message("greedy"))
        waiting = [asyncio.create_task(taken_in(room, "greedy")) for _ in range(20)]
        await asyncio.sleep(0)
        cancelled = waiting.pop()
        cancelled.cancel()
        await taken_in(room, "other")
        assert not any(task.done() for task in waiting)
        give_back()
        give_back()
        await asyncio.gather(*waiting)
    # all is given back, once
    async with AsyncExitStack() as taken:
        for tenant in ("greedy", "other"):
            for _ in range(MOST_TAKEN_IN // 2):
                await taken.enter_async_context(room.for_message(tenant))
        full = asyncio.create_task(taken_in(room, "third"))
        await asyncio.sleep(0)
        assert not full.done()
    await full


async def taken_in(room: Room, tenant: str) -> None:
    async with room.for_message(tenant):
        pass
