"""Names and texts at random that want to be more than text, or are hard to show; the same for the same seed."""

from __future__ import annotations

from random import Random
from typing import Final

_MARKUP: Final = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1>",
    '"><b onmouseover=window.hit=1>',
    "javascript:window.hit=1",
    "</title></textarea><iframe srcdoc='<script>parent.hit=1</script>'>",
    "{{7*7}}",
    "${window.hit=1}",
    "&lt;&#x3c;&amp;",
    "{% raw %}",
    "%3Cscript%3E",
    "__proto__",
    "constructor",
    "../../etc/passwd",
)
DIRECTION: Final = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROL: Final = "".join(map(chr, [*range(1, 9), *range(14, 32), 0x7F, 0x85, 0x9B]))
_INVISIBLE: Final = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u3164\ufe0f"
_LINES: Final = "\u2028\u2029\t\u000b\u000c"
_LONG: Final = ("W" * 10_000, "\ufdfa" * 500, "e" + "\u0301" * 2000, "\U0001f468\u200d" * 300)
_RANGES: Final = ((0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x6FF), (0x900, 0xDFF), (0x3041, 0x30FF), (0xAC00, 0xD7A3))


def odd_text(random: Random, longest: int) -> str:
    """Of some pieces, none of them a NUL or half of a pair."""
    pieces = [_piece(random) for _ in range(random.randint(1, 6))]
    return "".join(pieces)[:longest]


def _piece(random: Random) -> str:
    kind = random.randrange(7)
    if kind == 0:
        return random.choice(_MARKUP)
    if kind == 1:
        return random.choice(_LONG) if random.random() < 0.2 else random.choice(_INVISIBLE) * random.randint(1, 9)
    alphabets = {2: DIRECTION, 3: CONTROL, 4: _LINES, 5: "<>&'\"`/={}()[];:%$# "}
    if kind in alphabets:
        return "".join(random.choice(alphabets[kind]) for _ in range(random.randint(1, 6)))
    first, last = random.choice(_RANGES)
    return "".join(chr(random.randint(first, last)) for _ in range(random.randint(1, 12)))
