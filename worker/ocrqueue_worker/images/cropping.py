"""Cut the picture of a word out of its page, and put many of them in one archive."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from PIL import Image

from ocrqueue.document import Box, Point, Polygon, Word
from ocrqueue_worker.geometry import signed_area, upright

_STRAIGHT_PX: Final = 1.0
"""A polygon whose edges rise by no more than this is cut as a box: resampling would cost more than it straightens."""

_LEAST_FILL: Final = 0.5
"""Area of a word's polygon, as a share of the rectangle with edges as long: less is no word but a sliver or a knot."""

_ZIP_LOCAL_HEADER: Final = struct.Struct("<26xHH")
"""APPNOTE.TXT 4.3.7: after 26 bytes the lengths of the name and of the extra field, which follow in that order."""


def crop_word(page: Image.Image, word: Word, rotation: int, padding: int) -> Image.Image:
    """The word's picture as it is read, with `padding` pixels more on each side, in the page's mode.

    `page` and the word's coordinates are in the original frame; `rotation` is the page's. The order of the polygon's
    points tells which way the word is read, `rotation` where it cannot. A skewed word is straightened, and what lies
    outside the page then is white; a straight one ends at the page's edge. Never fails: what is outside the page or
    no region at all gives the nearest pixel.
    """
    turned = _quarter_turns(word.polygon)
    if turned is not None and _is_skewed(word.polygon) and _is_word_shaped(word.polygon, page.size):
        crop = _straightened(page, word.polygon, padding)
    else:
        crop = upright(page.crop(_clamped(word.bbox, padding, page.size)), rotation if turned is None else turned)
    crop.info = {}  # no profile or resolution of the page in each word's PNG
    return crop


def build_archive(named: Sequence[tuple[str, bytes]]) -> tuple[bytes, list[tuple[int, int]]]:
    """A ZIP of stored (not compressed) members, and for each the offset and length of its bytes in it.

    The same input gives the same bytes. Raises ValueError where two members have one name.
    """
    if len({name for name, _ in named}) < len(named):
        raise ValueError("names in an archive must differ")
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in named:
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # Unix, on every system
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
        headers = [member.header_offset for member in archive.infolist()]
    data = buffer.getvalue()
    places = []
    for header, (_, content) in zip(headers, named, strict=True):
        name_length, extra_length = _ZIP_LOCAL_HEADER.unpack_from(data, header)
        places.append((header + 30 + name_length + extra_length, len(content)))
    return data, places


def crop_key(job_id: str, attempt: str, word_id: str) -> str:
    """Where the crop of a word is stored."""
    return f"{crops_folder(job_id, attempt)}/{word_id}.png"


def archive_key(job_id: str, attempt: str, page: int | None = None) -> str:
    """Where the archive of all crops of a job is stored; of one page, where pages are read as parts of their own."""
    folder = crops_folder(job_id, attempt)
    return f"{folder}.zip" if page is None else f"{folder}/p{page:05d}.zip"


def crops_folder(job_id: str, attempt: str) -> str:
    """Crops are objects below it, or an archive beside it. `attempt` is its name, "" for a job's very first.

    Two workers may have one job at once, and an engine may read it differently: neither is to touch the crops that the
    other's result names.
    """
    return f"results/{job_id}/crops-{attempt}" if attempt else f"results/{job_id}/crops"


def _quarter_turns(polygon: Polygon) -> int | None:
    """Degrees clockwise by which the word is turned, to the nearest quarter; None where the polygon does not tell.

    That is so where it has no area or its points go counter-clockwise, as those of a mirrored word would.
    """
    if not all(math.isfinite(number) for point in polygon for number in point) or signed_area(polygon) < 1:
        return None
    (x0, y0), (x1, y1) = polygon[0], polygon[1]
    return round(math.degrees(math.atan2(y1 - y0, x1 - x0)) / 90) % 4 * 90


def _is_skewed(polygon: Polygon) -> bool:
    """Whether an edge is neither level nor upright."""
    edges = zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    return any(min(abs(x1 - x0), abs(y1 - y0)) > _STRAIGHT_PX for (x0, y0), (x1, y1) in edges)


def _is_word_shaped(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether the polygon is somewhat like a rectangle and lies on the page but for a tenth of its width and height.

    Others have no picture that could be straightened, and the size of a crop must be bounded.
    """
    width, height = size
    on_page = all(-0.1 * width <= x <= 1.1 * width and -0.1 * height <= y <= 1.1 * height for x, y in polygon)
    return on_page and signed_area(polygon) >= _LEAST_FILL * math.prod(_mean_size(polygon))


def _mean_size(polygon: Polygon) -> tuple[float, float]:
    """Mean length of the edges along the text and of those across it, in pixels."""
    top_left, top_right, bottom_right, bottom_left = polygon
    width = (math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2
    height = (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2
    return width, height


def _clamped(box: Box, padding: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels that `box` touches, `padding` more on each side, as far as the page goes: one at least."""
    left, right = _clamped_span(box[0], box[2], padding, size[0])
    top, bottom = _clamped_span(box[1], box[3], padding, size[1])
    return (left, top, right, bottom)


def _clamped_span(start: float, end: float, padding: int, length: int) -> tuple[int, int]:
    if not (math.isfinite(start) and math.isfinite(end)):
        return (0, 1)
    first = min(max(math.floor(start) - padding, 0), length - 1)
    return (first, min(max(math.ceil(end) + padding, first + 1), length))


def _straightened(page: Image.Image, polygon: Polygon, padding: int) -> Image.Image:
    """The quadrilateral, widened by `padding`, stretched to an upright rectangle of its mean width and height."""
    top_left, top_right, bottom_right, bottom_left = polygon
    width, height = _mean_size(polygon)
    along, down = padding / max(width, 1.0), padding / max(height, 1.0)

    def corner(at: Point, beside: Point, below: Point) -> Point:
        """`at` moved away from the corners next to it, one along the line of text and one across it."""
        return (
            at[0] + (at[0] - beside[0]) * along + (at[0] - below[0]) * down,
            at[1] + (at[1] - beside[1]) * along + (at[1] - below[1]) * down,
        )

    corners = (
        corner(top_left, top_right, bottom_left),
        corner(bottom_left, bottom_right, top_left),
        corner(bottom_right, bottom_left, top_right),
        corner(top_right, top_left, bottom_right),
    )
    return page.transform(
        (max(1, round(width + 2 * padding)), max(1, round(height + 2 * padding))),
        Image.Transform.QUAD,
        [number for point in corners for number in point],
        resample=Image.Resampling.BICUBIC,
        fillcolor="white",
    )
