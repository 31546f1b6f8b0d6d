"""The transitions of a record, as Lua scripts: each is one atomic step, by Redis's own clock.

A state once final is never left: `finish` and `cancel` look before they write. What ends or goes on with a job works
when Redis is at its memory limit too, since only that frees memory; what adds a job is refused there as a whole.
(The flags in a script's first line are Redis 7's: https://redis.io/docs/latest/develop/programmability/eval-intro/.)
"""

from ocrqueue.core.scripts.ending import CANCEL, FINISH
from ocrqueue.core.scripts.queueing import PUBLISH_DUE, RELEASE, REPLAY, REPUBLISH, SEND_ON, SUBMIT, TAKEN
from ocrqueue.core.scripts.working import ABANDON, BEGIN, HEARTBEAT, PROGRESS

__all__ = [
    "ABANDON",
    "BEGIN",
    "CANCEL",
    "FINISH",
    "HEARTBEAT",
    "PROGRESS",
    "PUBLISH_DUE",
    "RELEASE",
    "REPLAY",
    "REPUBLISH",
    "SEND_ON",
    "SUBMIT",
    "TAKEN",
]
