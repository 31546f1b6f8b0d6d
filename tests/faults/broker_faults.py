"""Faults of Redis, and of the ways to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ocrqueue.core.celery_messages import jobs_in_message
from ocrqueue.job import queue_name
from ocrqueue.job.names import LANES
from tests.faults.faults import Fault, NotPossible
from tests.faults.installation import ENGINES, Installation
from tests.support.proxy import Mode


@dataclass(frozen=True)
class RedisKilled(Fault):
    """Comes back with what its append-only file holds, or with nothing where it keeps none."""

    name = "Redis SIGKILL and restart"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        into.redis.kill()

    def heal(self, into: Installation) -> None:
        into.redis.start()


@dataclass(frozen=True)
class RedisPaused(Fault):
    name = "CLIENT PAUSE"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        into.observer.registry.client.execute_command("CLIENT", "PAUSE", int(self.seconds * 1000), "ALL")


@dataclass(frozen=True)
class RedisFull(Fault):
    """maxmemory reached under noeviction: reads and deletes go on, writes are refused."""

    name = "maxmemory reached"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        client = into.observer.registry.client
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used // 2)

    def heal(self, into: Installation) -> None:
        into.observer.registry.client.config_set("maxmemory", 0)


@dataclass(frozen=True)
class MessagesLost(Fault):
    """What waits in the queues is gone, as after a restart that loses the last second; the records are there."""

    name = "messages lost"
    measure = "message"
    part: str = "redis"

    def waiting_jobs(self, into: Installation) -> list[str]:
        client = into.observer.registry.client
        messages = [message for queue in self._queues(into) for message in client.lrange(queue, 0, -1)]
        return [str(job.get("id")) for message in messages for job in jobs_in_message(message)]

    def inject(self, into: Installation) -> None:
        if not into.observer.registry.client.delete(*self._queues(into)):
            raise NotPossible("no job waits")

    @staticmethod
    def _queues(into: Installation) -> list[str]:
        keys = into.observer.registry.keys
        return [keys.queue(queue_name(engine, lane)) for engine in ENGINES for lane in LANES]


@dataclass(frozen=True)
class ThroughTheProxy(Fault):
    """Of the way that one worker service, or the producer, has to Redis."""

    mode: ClassVar[Mode]
    measure = "part"

    def inject(self, into: Installation) -> None:
        into.service(self.part).redis.set(self.mode)

    def heal(self, into: Installation) -> None:
        into.service(self.part).redis.set("pass")


@dataclass(frozen=True)
class ConnectionCut(ThroughTheProxy):
    name = "connection to Redis cut"
    mode = "reset"


@dataclass(frozen=True)
class ConnectionStalled(ThroughTheProxy):
    name = "connection to Redis stalled"
    mode = "stall"


@dataclass(frozen=True)
class ConnectionHalfOpen(ThroughTheProxy):
    """The connections of the moment are never heard of again, and nobody tells the worker."""

    name = "connection to Redis half-open"
    measure = "reconnection"
    mode = "half_open"


@dataclass(frozen=True)
class ProducerCut(Fault):
    name = "producer cut from Redis"
    measure = "submission"
    part: str = "producer"
    mode: ClassVar[Mode] = "refuse"

    def inject(self, into: Installation) -> None:
        into.producers_redis.set(self.mode)

    def heal(self, into: Installation) -> None:
        into.producers_redis.set("pass")


@dataclass(frozen=True)
class ProducerStalled(ProducerCut):
    name = "producer's connection to Redis stalled"
    mode = "stall"
