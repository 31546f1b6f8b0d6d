"""What is remembered of a request that is answered later: an operation, which has an id of the protocol's own.

It is in Redis for as long as the records of its jobs, and whichever replica is asked finds it. An operation is its
tenant's: to others it is as if it had never been.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ocrqueue.aio import AsyncOcrQueue, keys_of, redis_of
from ocrqueue.core.redis_errors import broker_errors
from ocrqueue.errors import JobUnknown
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.rules import Protocol

Operation = TypeVar("Operation", bound=BaseModel)


async def remember(
    queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str, operation: BaseModel
) -> None:
    """Again with the same id: from now on it is this."""
    with broker_errors():
        await redis_of(queue).set(
            _key(queue, caller, protocol, operation_id), operation.model_dump_json(), ex=queue.settings.record_ttl_s
        )


async def remembered(
    queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str, model: type[Operation]
) -> Operation:
    """Raises JobUnknown, of another tenant's too."""
    with broker_errors():
        found: Any = await redis_of(queue).get(_key(queue, caller, protocol, operation_id))
    if found is not None:
        try:
            return model.model_validate_json(found)
        except ValidationError:  # of another version
            pass
    raise JobUnknown(f"No operation {operation_id[:80]}.")


async def forget(queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str) -> None:
    """Nobody is to be told of it any more, even if a replica that is at work on it remembers it anew meanwhile."""
    with broker_errors():
        await redis_of(queue).set(
            _forgotten(queue, caller, protocol, operation_id), b"", ex=queue.settings.record_ttl_s
        )


async def is_forgotten(queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str) -> bool:
    with broker_errors():
        return bool(await redis_of(queue).exists(_forgotten(queue, caller, protocol, operation_id)))


def _forgotten(queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str) -> str:
    return _key(queue, caller, protocol, f"{operation_id} forgotten")


def _key(queue: AsyncOcrQueue, caller: Caller, protocol: Protocol, operation_id: str) -> str:
    return keys_of(queue).operation(caller.tenant, f"{protocol} {operation_id}")
