"""The Lua scripts by which Redis moves a job on: each is one step that is taken as a whole, by Redis's own clock.

A script is a file of its own. Its head says what it is given and what it returns, and binds KEYS and ARGV to names.
Pieces that scripts share are in `shared/`; a script names those that it needs in lines `-- uses: clock, count`, each
after those that it builds on.

A state once final is never left: `finish` and `cancel` look before they write. What ends or goes on with a job works
when Redis is at its memory limit too, since only that frees memory; what adds a job is refused there as a whole.
(The flags in a script's first line are Redis 7's: https://redis.io/docs/latest/develop/programmability/eval-intro/.)

Where a script has many arguments, one is JSON and describes the others. A job's JSON stays an argument of its own, and
is handed on as the text that it is: cjson would decode an empty list and encode an empty object.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_CORE: Final = "ocrqueue.core"
_USES: Final = re.compile(r"^-- uses: (.+)$", re.MULTILINE)


@cache
def load_script(name: str, package: str = _CORE) -> str:
    """The script in `scripts/<name>.lua` of the package, with what it shares with others."""
    return expand(_read(package, f"{name}.lua"))


def expand(script: str) -> str:
    """Put the shared pieces that a script names after its first line, which is to stay the first."""
    first_line, _, rest = script.partition("\n")
    names = [name for line in _USES.findall(rest) for name in line.split(", ")]
    pieces = [_read(_CORE, "shared", f"{name}.lua") for name in names]
    return "\n".join([first_line, *pieces, rest])


def _read(package: str, *path: str) -> str:
    return resources.files(package).joinpath("scripts", *path).read_text(encoding="utf-8")
