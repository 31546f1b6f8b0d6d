"""Values that no field of a job takes, or that lead where no worker may go."""

from __future__ import annotations

import itertools
from typing import Any, Final

REFUSED_IMAGE: Final = "file:///etc/passwd"


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


_NO_TEXT: Final[tuple[Any, ...]] = (None, 7, 1.5, True, [], {}, ["x"], {"x": "y"})
_NO_NUMBER: Final[tuple[Any, ...]] = (None, "x", [], {}, 1.5, float("nan"), 10**30, -(10**30))
_TRICKS: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "a\nb",
    "../../etc/passwd",
    "..\\x",
    "%2e%2e",
    "é",
    "\u202e",
    "\ud800",
    "x" * 5000,
    "$(id)",
)

_PRIVATE: Final = (
    *("127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost", "localhost.", "0.0.0.0", "[::]"),
    *(
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
    ),
    *(
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[fc00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "127.0.0.1:22",
        "127.0.0.1:0",
    ),
    *(
        "127.0.0.1:99999",
        "127.0.0.1:x",
        "user:pw@127.0.0.1",
        "example.org@127.0.0.1",
        "127.0.0.1%00.example.org",
        "[",
        "[]",
    ),
)

_REFERENCES: Final = (
    *(f"{scheme}://{host}/x.png" for scheme, host in itertools.product(("http", "https"), _PRIVATE)),
    *(
        "http://",
        "http:///x",
        "https://?",
        "http:/x",
        "http:x",
        "//x/y",
        "http://\x00/",
        "http://a b/",
        "http://x\r\nHost: y/",
    ),
    *("s3://", "s3:///", "s3://bucket", "s3://bucket/", "s3://../../x", "s3://BUCKET_/x", "s3://" + "b" * 300 + "/k"),
    *(
        "file://",
        "file:///",
        "file:///etc/passwd",
        "file:///etc/../etc/passwd",
        "file:///proc/self/mem",
        "file:///dev/zero",
    ),
    *(
        "file:///dev/stdin",
        "file://host/x",
        "file:///%2e%2e/%2e%2e/etc/passwd",
        "file:///a\0b",
        "file:////etc/passwd",
        "FILE:///x",
    ),
    *(
        "ftp://x/y",
        "gopher://x/_",
        "dict://x/",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "jar:file:///x!/y",
        "x",
    ),
    *(
        "C:\\x.png",
        "/etc/passwd",
        "../x",
        "redis://127.0.0.1/0",
        "unix:///x",
        "http+unix://%2fx",
        "s3://b/\ud800",
        "file:///\ud800",
    ),
)

BAD_FIELDS: Final[dict[str, tuple[Any, ...]]] = {
    "image": (*_NO_TEXT, *_TRICKS, *_REFERENCES),
    "id": (
        *_NO_TEXT[1:],
        "",
        " ",
        "\0",
        "a\nb",
        "../../x",
        "a b",
        "-x",
        "x" * 65,
        "é",
        "\ud800",
        "ocrqueue:waiting",
        "*",
    ),
    "schema_version": (
        *(0, 2, -1, "1", 1.5, True, None, [], {}, 10**30, "latest"),
        # of these kombu makes objects
        *({"__type__": "decimal", "__value__": value} for value in ("1", "NaN", "sNaN", "x")),
    ),
    "password": (7, [], {}, True, "", "x" * 257, "\ud800", "a\udfff", {"__type__": "bytes", "__value__": "/w=="}),
    "engine": (*_NO_TEXT, *_TRICKS, "Tesseract", "clairvoyance", "null.high", "null ", "os", "__import__", "x" * 40),
    "languages": (
        *(
            None,
            7,
            "eng",
            [],
            [[]],
            [None],
            [7],
            [""],
            {"eng": 1},
            ["eng"] * 2,
            ["e"],
            ["eng "],
            ["eng+kor"],
            ["../../etc"],
        ),
        *(
            ["eng/../../x"],
            ["\0"],
            ["\ud800"],
            ["x" * 100],
            [f"a{number:03}" for number in range(500)],
            ["eng\n"],
            ["-c"],
        ),
    ),
    "options": (
        *(
            None,
            7,
            "x",
            [],
            {"": 1},
            {"delay_s": -1},
            {"delay_s": "x"},
            {"delay_s": float("nan")},
            {"delay_s": float("inf")},
        ),
        *(
            {"words": 10**30},
            {"words": None},
            {"fault": "x"},
            {"fault": []},
            {"unknown": 1},
            {"x" * 5000: 1},
            {"\ud800": 1},
        ),
        *(
            {"delay_s": nested(40)},
            {f"o{number}": number for number in range(2000)},
            {"__class__": 1},
            {"self": 1},
            {"\0": 1},
        ),
    ),
    "crops": (*_NO_TEXT[:-1], "all", "OBJECTS", "", "\0"),
    "crop_padding": (*_NO_NUMBER, -1, 257),
    "cache": ("maybe", 7, [], {}, None),
    "priority": (*_NO_TEXT, "urgent", "HIGH", ""),
    "tag": (7, [], {}, True, "x" * 257, "\ud800"),
    "idempotency_key": (7, [], {}, "", "x" * 257, "\ud800"),
    "reply_to": (
        *(7, [], {}, "", "a b", "a\nb", "x" * 129, "é", "\0", "../x", "*", "\ud800"),
        *(
            "ocrqueue:waiting",
            "ocrqueue:dead",
            "ocrqueue:job:x",
            "ocr.null",
            "ocrqueue:leases",
            "ocrqueue:lane:ocr.null",
            "unacked",
        ),
        *("_kombu.binding.x", "celery-task-meta-x"),
    ),
    "webhook": (
        *(7, [], {}, "", "https://", "file:///x", "https://a b/", "https://u:p@h/", "https://h/#f", "\ud800"),
        *("https://h:99999/", "https://[::1/", "https://h\\@e/", f"https://h/{'a' * 2100}", "https://h/\r\nX: y"),
    ),
    "submitted_at": (
        *_NO_TEXT[:1],
        [],
        {},
        "yesterday",
        "",
        "2020-13-45",
        1e300,
        float("nan"),
        "9999-99-99T99:99:99Z",
        "\0",
    ),
    "time_limit_s": (*_NO_NUMBER[1:], 0, -1, 86_401),
    "surprise": (1, None, nested(40), "x" * 100_000),
    "image_bytes": ("A" * 300_000,),
    "__proto__": ({},),
}
"""By field; the last three are none."""
