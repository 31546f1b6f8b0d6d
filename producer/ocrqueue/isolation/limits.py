"""Limits that a process sets itself before it opens an untrusted file. Needs POSIX."""

from __future__ import annotations

import resource


def limit_own(limit: int, value: int, over: int = 0) -> None:
    """The soft limit is `value`, the hard one `over` more; `limit` is one of resource.RLIMIT_*, in its unit.

    Both are lower where whoever has started this process allows it no more: nobody raises a hard limit.
    """
    _, allowed = resource.getrlimit(limit)
    hard = value + over if allowed == resource.RLIM_INFINITY else min(value + over, allowed)
    resource.setrlimit(limit, (min(value, hard), hard))
