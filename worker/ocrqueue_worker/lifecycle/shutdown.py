"""The end of a worker: it takes nothing more, what it has begun may end within a grace, the rest goes back to its lane.

A signal gives a grace, an operator's drain all the time that the limits do. The event loop and the heartbeat go on
meanwhile. Celery's own shutdowns would do for neither: the warm one stops the heartbeat before the pool, and leases run
out; the soft one sleeps for the whole grace, in a signal handler, however soon the jobs are done.
"""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Final

import structlog
from billiard import active_children
from celery.worker import state

from ocrqueue.core import Hold, WorkerRegistry
from ocrqueue.core.installation import dismiss_worker
from ocrqueue.errors import BrokerUnavailable, WorkerStopping
from ocrqueue.settings import process_settings
from ocrqueue.tracing import send_last_spans
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.broker.waker import WAKER
from ocrqueue_worker.fork_gate import FORK_GATE
from ocrqueue_worker.lifecycle.pool_child import END_OF_CHILD
from ocrqueue_worker.stop_flag import begin_stopping
from ocrqueue_worker.task.settlement import SETTLEMENT
from ocrqueue_worker.telemetry import metrics

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.1
_LONGEST_SETTLING_S: Final = 5.0
_LONGEST_OUTAGE_S: Final = 10.0
"""After the grace, until Redis is waited for no longer."""
_LONGEST_END_S: Final = 30.0
"""After the grace, for an end in order."""
_LONGEST_TELLING_S: Final = 2.0
"""For the log of an end by force, which nobody may read."""
_UNWINDING_S: Final = 0.8
"""Less than a fork waits at its gate."""


class Shutdown:
    """Begun once, from any thread; of several graces the shortest counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadline = math.inf
        """Of what has begun, by time.monotonic()."""
        self._has_begun = False
        self.has_left = False
        """From then on nobody is to hear that this worker is there."""

    def begin(self, grace_s: float = math.inf) -> None:
        """Returns at once. `grace_s`: seconds for what has begun."""
        with self._lock:
            self._deadline = min(self._deadline, time.monotonic() + grace_s)
            if self._has_begun:
                return
            self._has_begun = True
        for work, name in ((self._run, "shutdown"), (self._end_in_any_case, "end in any case")):
            threading.Thread(target=work, daemon=True, name=name).start()

    def _run(self) -> None:
        begin_stopping()
        held = HAND.holds()
        grace_s = self._deadline - time.monotonic()
        _log.info(
            "takes nothing more, and ends once what it has begun has ended",
            parts=[hold.part for hold in held],
            put_back_after_s=None if math.isinf(grace_s) else round(max(grace_s, 0)),
        )
        redis_answers = self._until_redis_answers(_give_back_unbegun)
        while time.monotonic() < self._deadline and (HAND.holds() or not SETTLEMENT.is_idle()):
            time.sleep(_LOOK_EVERY_S)
        if redis_answers:
            SETTLEMENT.finish(_LONGEST_SETTLING_S)
        if HAND.holds():
            self._exit_at_once(self._until_redis_answers(_put_back))
        # of a TAKE whose answer was lost
        self._until_redis_answers(_give_back_unbegun)
        # Celery waits for its children, and one may be loading its engines
        self.begin(process_settings().engine_load_timeout_s)
        # the event loop looks at it in its next round, and ends the worker with this status
        state.should_stop = os.EX_OK
        WAKER.wake()

    def _until_redis_answers(self, step: Callable[[WorkerRegistry], None]) -> bool:
        """Again, while there is something in hand: what is not put back counts as lost with its worker. Returns
        whether Redis answered."""
        with closing(WorkerRegistry(process_settings())) as registry:
            while True:
                try:
                    with FORK_GATE.closed():
                        step(registry)
                    return True
                except BrokerUnavailable as error:
                    if not HAND.holds() or time.monotonic() >= self._deadline + _LONGEST_OUTAGE_S:
                        _log.warning("cannot put back what is unfinished; its leases will end", error=error.code)
                        return False
                except Exception as error:
                    # let through, it would keep the worker from ending
                    _log.error("met an unexpected error", exc_info=error)
                    return True
                time.sleep(_LOOK_EVERY_S)

    def _exit_at_once(self, redis_answers: bool) -> None:
        """What still runs in a child or a thread is none of this worker's any more."""
        try:
            # the event loop would have others in their place
            with FORK_GATE.closed():
                _end_children()
            self.has_left = True
            metrics.close()
            send_last_spans()
            if redis_answers:
                with closing(WorkerRegistry(process_settings())) as registry:
                    dismiss_worker(registry, HAND.holder)
        except Exception as error:
            _log.warning("cannot sign off", exc_info=error)
        finally:
            _kill_children()
            os._exit(0)

    def _end_in_any_case(self) -> None:
        """A worker that was told to end ends, whatever holds it up: what it had has been put back by then."""
        while time.monotonic() < self._deadline + _LONGEST_END_S:
            time.sleep(_LOOK_EVERY_S)
        end_by_force()


def end_by_force() -> None:
    """At once, with status 1; where each thread stands is in the log."""
    _kill_children()
    # nobody may read its log, or the thread that writes it may be the one that hangs
    told = threading.Thread(target=_tell_where_it_stands, daemon=True)
    told.start()
    told.join(_LONGEST_TELLING_S)
    os._exit(1)


def _tell_where_it_stands() -> None:
    # what it waits for shows nowhere else; of frames it tells names and lines, and no values
    faulthandler.dump_traceback(all_threads=True)
    _log.error("the worker did not end in order, and ends now")


def _give_back_unbegun(registry: WorkerRegistry) -> None:
    _move_each(HAND.holds(), registry.give_back_unbegun)
    # the event loop may be in the middle of a TAKE, and gives back what it takes now
    _move_each(registry.taken(HAND.holder, HAND.next_token), registry.give_back_unbegun)


def _put_back(registry: WorkerRegistry) -> None:
    """In order, which is no delivery lost with its worker."""
    error = WorkerStopping().info
    became = _move_each(HAND.holds(), lambda hold: registry.release(hold, error))
    back = [part for part, move in became.items() if move == "released"]
    if back:
        _log.warning("parts go back to their lanes", parts=back)


def _move_each(holds: Iterable[Hold], move: Callable[[Hold], str]) -> dict[str, str]:
    """What became of each part. One that cannot be moved, whatever is at its key, leaves the others theirs."""
    became = {}
    for hold in holds:
        try:
            became[hold.part] = move(hold)
        except BrokerUnavailable:
            raise
        except Exception as error:
            _log.error("cannot put a part back; its lease will end", part=hold.part, exc_info=error)
    return became


def _end_children() -> None:
    """Those that can unwind have a moment for it: for files of programs that they have started, and last spans."""
    _signal_children(END_OF_CHILD)
    deadline = time.monotonic() + _UNWINDING_S
    while active_children() and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
    _kill_children()


def _kill_children() -> None:
    _signal_children(signal.SIGKILL)


def _signal_children(number: int) -> None:
    for child in active_children():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(child.pid, number)


SHUTDOWN: Final = Shutdown()
"""That of this process."""
