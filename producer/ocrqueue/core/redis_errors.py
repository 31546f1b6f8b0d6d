"""Around whatever Redis is asked: what redis-py raises becomes errors of ocrqueue.

redis-py takes longer to import than all of ocrqueue. So this module does without it until something was raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn what redis-py raises into BrokerUnavailable."""
    try:
        yield
    except Exception as error:
        from ocrqueue.core.redis_faults import fault_of

        if (fault := fault_of(error)) is None:
            raise
        raise fault from fault.__cause__


@contextmanager
def app_errors() -> Iterator[None]:
    """The same for apps, which are to meet no error of redis-py: what Redis refuses is BrokerRefused, and a key of
    others is what fault_of_others() says."""
    try:
        with broker_errors():
            yield
    except Exception as error:
        from ocrqueue.core.redis_faults import refusal_of

        if (refusal := refusal_of(error)) is None:
            raise
        raise refusal from error
