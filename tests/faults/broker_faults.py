"""Faults of Redis, and of the ways to it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import redis.exceptions

from ocrqueue.client import registry_of
from ocrqueue.core.connection import connect
from ocrqueue.job import engine_queues
from tests.faults.faults import Fault
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
        registry_of(into.observer).client.execute_command("CLIENT", "PAUSE", int(self.seconds * 1000), "ALL")


@dataclass(frozen=True)
class RedisFull(Fault):
    """maxmemory reached under noeviction: reads and deletes go on, writes are refused."""

    name = "maxmemory reached"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        client = registry_of(into.observer).client
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used // 2)

    def heal(self, into: Installation) -> None:
        registry_of(into.observer).client.config_set("maxmemory", 0)


@dataclass(frozen=True)
class RingsLost(Fault):
    """Somebody hears the bells of the lanes and does nothing, as a worker does that dies of it."""

    name = "rings of the bells lost"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        threading.Thread(target=self._hear, args=(into,), daemon=True).start()

    def _hear(self, into: Installation) -> None:
        keys = registry_of(into.observer).keys
        bells = [keys.bell(lane) for engine in ENGINES for lane in engine_queues(engine)]
        until = time.monotonic() + self.seconds
        client = connect(into.observer.settings)
        try:
            while (left := until - time.monotonic()) > 0:
                client.brpop(bells, timeout=min(left, 0.5))
        except redis.exceptions.RedisError:
            return  # down by another fault
        finally:
            client.close()


@dataclass(frozen=True)
class EnginePaused(Fault):
    """An operator pauses an engine, and resumes it."""

    name = "engine paused"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        into.observer.pause(engine=ENGINES[0], reason=self.name)

    def heal(self, into: Installation) -> None:
        into.observer.resume(engine=ENGINES[0])


@dataclass(frozen=True)
class ScriptsForgotten(Fault):
    """As after a restart or a failover: every move has to be sent to Redis anew."""

    name = "SCRIPT FLUSH"
    measure = "part"
    part: str = "redis"

    def inject(self, into: Installation) -> None:
        registry_of(into.observer).client.script_flush("SYNC")


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
