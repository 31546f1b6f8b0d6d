"""What a JPEG says of itself before its first scan, and whether its scans are all there (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ocrqueue_worker.images.damage import Damage

_MARKER: Final = re.compile(rb"\xff([^\0\1\xff\xd0-\xd7])", re.DOTALL)
"""With the last of its fill bytes only: a pattern of all of them takes quadratic time where no marker follows."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _JPEG_LS_FRAME = 0xDA, 0xD9, 0xF7
_PROGRESSIVE: Final = (0xC2, 0xCA)
_CODINGS: Final = {
    0xC3: "lossless JPEG",
    0xC5: "hierarchical JPEG",
    0xC6: "hierarchical JPEG",
    0xC7: "hierarchical JPEG",
    0xCB: "lossless JPEG",
    0xCD: "hierarchical JPEG",
    0xCE: "hierarchical JPEG",
    0xCF: "hierarchical JPEG",
    _JPEG_LS_FRAME: "JPEG-LS",
}


@dataclass(frozen=True, slots=True)
class JpegStructure:
    frame: int
    """The marker of the frame's kind; 0 where there is none."""
    precision: int
    channels: int
    width: int
    height: int
    block: int
    """Pixels from one row of blocks to the next, the channels together."""
    has_scan: bool
    ends: bool
    """The end marker is there."""
    refined: bool
    """Progressive: the last scan that begins gives the lightness its last bit, and all others came before."""

    @property
    def is_progressive(self) -> bool:
        return self.frame in _PROGRESSIVE

    @property
    def is_jpeg_ls(self) -> bool:
        return self.frame == _JPEG_LS_FRAME

    @property
    def unusual(self) -> str | None:
        """The name of a coding that Pillow does not read; None for the usual ones."""
        inks = "" if self.channels in (1, 3) else f" of {self.channels} channels"
        if self.frame in _CODINGS:
            return _CODINGS[self.frame] + inks
        if self.precision not in (0, 8):
            return f"{self.precision}-bit JPEG{inks}"
        return f"JPEG of {self.channels} channels" if self.channels not in (0, 1, 3, 4) else None


def jpeg_structure(data: bytes, *, head_only: bool = False) -> JpegStructure:
    """Walk the markers of `data`. Looking for them in scans takes about 1 ms for 100 KB; `head_only` ends before the
    first scan, and leaves `ends` and `refined` false.
    """
    frame = precision = channels = width = height = 0
    block, at, ends = 8, 2, False
    lightness: set[int] = set()
    first_channel, scans, direct, refined = 0, 0, False, False
    while marker := _MARKER.search(data, at):
        kind, start = marker[1][0], marker.end()
        if kind == _END:
            ends = True
            break
        body = data[start + 2 : start + max(2, int.from_bytes(data[start : start + 2], "big"))]
        if (kind in _FRAMES or kind == _JPEG_LS_FRAME) and len(body) >= 9 and not frame:
            frame, precision, channels = kind, body[0], body[5]
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            first_channel = body[6]
            block = 8 * max(1, max(body[7::3]) & 15)
        elif kind == _SCAN and body:
            scans += 1
            if head_only:
                break
            ours = first_channel in body[1 : 1 + 2 * body[0] : 2]
            spectrum = body[1 + 2 * body[0] :]
            refined = False
            if ours and len(spectrum) >= 3:
                low, high, last_bit = spectrum[0], spectrum[1], spectrum[2] & 15 == 0
                direct = direct or low == 0
                if last_bit and low:
                    lightness.update(range(low, high + 1))
                    refined = direct and len(lightness) == 63
        at = start + 2 + len(body)
        if kind == _SCAN and frame == _JPEG_LS_FRAME:  # bytes of its scans look like other markers
            ends = b"\xff\xd9" in data[-16:]
            break
    return JpegStructure(frame, precision, channels, width, height, block, scans > 0, ends, refined)


def repaired_jpeg(data: bytes) -> Damage | None:
    """A JPEG without an end, with one: its decoder then fills in what is missing. None where that is not its fault."""
    structure = jpeg_structure(data)
    if structure.ends or not structure.has_scan or structure.unusual is not None:
        return None
    return Damage(data + b"\xff\xd9", None)
