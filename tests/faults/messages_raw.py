"""Bytes in a queue's list that are no message at all."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from random import Random
from typing import Final

RAW: Final[dict[str, Callable[[Random, bytes], bytes]]] = {
    "nothing": lambda _, good: b"",
    "random bytes": lambda chance, good: chance.randbytes(chance.choice((1, 10, 1000))) + b"\xff",
    "text": lambda chance, good: b"It was a dark and stormy night. " * chance.randint(1, 100),
    "other JSON": lambda chance, good: chance.choice(
        (
            b"null",
            b"true",
            b"7",
            b"1e999",
            b"NaN",
            b'"x"',
            b"[]",
            b"[1, 2]",
            b"{}",
            b'{"body": 1}',
            b'{"": {}}',
            b'[{"a": []}]',
        )
    ),
    "cut short": lambda chance, good: good[: chance.randrange(1, len(good))],
    "twice in one": lambda chance, good: good + chance.choice((b"", b"\n", b",")) + good,
    "with something before it": lambda chance, good: chance.choice((b"\0", b"x", b"\xff\xfe", b")]}'\n")) + good,
    "quoted": lambda _, good: json.dumps(good.decode()).encode(),
    "in a list": lambda _, good: b"[" + good + b"]",
    "deep lists": lambda chance, good: b"[" * chance.choice((1000, 100_000)),
    "deep objects": lambda chance, good: b'{"a":' * chance.choice((1000, 50_000)),
    "deep and closed": lambda chance, good: b"[" * 900 + b"]" * 900,
    "number of 5000 digits": lambda chance, good: chance.choice((b"9" * 5000, b'{"a": ' + b"9" * 5000 + b"}")),
    "more than a mebibyte": lambda chance, good: (
        good[:-1] + b', "x": "' + bytes([65]) * chance.choice((1 << 20, 6 << 20)) + b'"}'
    ),
    "pickle": lambda chance, good: pickle.dumps(json.loads(good), protocol=chance.choice((0, 2, 4))),
    "gzip": lambda _, good: gzip.compress(good),
    "typed value": lambda chance, good: json.dumps(
        {
            "__type__": chance.choice(("uuid", "datetime", "decimal", "base64", "x", [])),
            "__value__": chance.choice((5, "x", None)),
        }
    ).encode(),
    "XML": lambda _, good: b'<?xml version="1.0"?><message/>',
    "YAML": lambda _, good: b"!!python/object/apply:os.system ['reboot']",
    "Redis protocol": lambda _, good: b"*1\r\n$8\r\nFLUSHALL\r\n",
    "half a character": lambda chance, good: good.replace(b"ocr.null", b"ocr.n\xc3"),
}
