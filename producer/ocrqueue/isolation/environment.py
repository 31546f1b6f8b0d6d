"""The environment of a process that opens untrusted files: what Python needs, and no credentials."""

from __future__ import annotations

import os
from typing import Final

_HANDED_ON: Final = frozenset(
    (
        # where programs, libraries and temporary files are
        *("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR"),
        # the language, see locale(7)
        *("LANG", "LANGUAGE", "LC_ALL", "LC_ADDRESS", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT"),
        *("LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME"),
        # python(1): where modules are, and how they are run
        *("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONUSERBASE"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONOPTIMIZE", "PYTHONHASHSEED", "PYTHONWARNINGS"),
        *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTHONUNBUFFERED", "PYTHONINTMAXSTRDIGITS"),
        *("PYTHONDEVMODE", "PYTHONFAULTHANDLER", "PYTHONMALLOC", "PYTHONTRACEMALLOC"),
        # coverage.py, where it measures subprocesses
        *("COVERAGE_CORE", "COVERAGE_FILE", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "COVERAGE_RCFILE"),
    )
)
"""Whole names: beginnings such as `PATH` and `LANG` would let `PATH_SECRET` and `LANG_KEY` through."""


def isolated_environment() -> dict[str, str]:
    """That part of this process's environment which the other one may have."""
    return {name: value for name, value in os.environ.items() if name in _HANDED_ON}
