"""Setting text on a sheet while noting where the ink of each word lies, and turning and warping both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Polygon = tuple[Point, Point, Point, Point]

FONT_FOLDER = Path("/usr/share/fonts/truetype")
INK_THRESHOLD = 64  # of 255: fainter pixels at the rim of a letter are not counted as its ink


@dataclass(frozen=True)
class Word:
    text: str
    polygon: Polygon
    """Top left, top right, bottom right, bottom left in reading orientation; right and bottom are exclusive."""

    def moved_by(self, mapping: Callable[[Point], Point]) -> Word:
        top_left, top_right, bottom_right, bottom_left = (mapping(point) for point in self.polygon)
        return Word(self.text, (top_left, top_right, bottom_right, bottom_left))


Line = list[Word]
Paragraph = list[Line]


@dataclass
class Sheet:
    """A grayscale sheet and the paragraphs set on it so far."""

    image: Image.Image
    paragraphs: list[Paragraph] = field(default_factory=list)

    @classmethod
    def blank(cls, width: int, height: int, paper: int = 255) -> Sheet:
        return cls(Image.new("L", (width, height), paper))

    def set_line(self, text: str, font: ImageFont.FreeTypeFont, x: float, baseline: float, ink: int = 0) -> Line:
        """Set words and the spaces between them from `x` on; several spaces in a row keep their width."""
        line: Line = []
        for chunk in text.split(" "):
            if chunk:
                line.append(self._set_word(chunk, font, round(x), round(baseline), ink))
            x += font.getlength(chunk + " ")
        return line

    def set_paragraph(
        self, text: str, font: ImageFont.FreeTypeFont, left: int, top: int, width: int, leading: float
    ) -> int:
        """Break the text into lines of at most `width` pixels, `leading` pixels apart; the y below the last line."""
        paragraph: Paragraph = []
        for number, line in enumerate(broken(text, font, width)):
            paragraph.append(self.set_line(line, font, left, top + number * leading + font.size))
        self.paragraphs.append(paragraph)
        return round(top + len(paragraph) * leading)

    def _set_word(self, text: str, font: ImageFont.FreeTypeFont, x: int, baseline: int, ink: int) -> Word:
        left, top, right, bottom = font.getbbox(text, anchor="ls")
        coverage = Image.new("L", (round(right - left) + 2, round(bottom - top) + 2))
        ImageDraw.Draw(coverage).text((1 - left, 1 - top), text, font=font, fill=255, anchor="ls")
        corner = round(x + left) - 1, round(baseline + top) - 1
        self.image.paste(ink, corner, coverage)
        ink_box = coverage.point(lambda value: 255 * (value >= INK_THRESHOLD)).getbbox()
        if ink_box is None:
            raise ValueError(f"{text!r} leaves no ink on the sheet")
        left, right = corner[0] + ink_box[0], corner[0] + ink_box[2]
        top, bottom = corner[1] + ink_box[1], corner[1] + ink_box[3]
        return Word(text, ((left, top), (right, top), (right, bottom), (left, bottom)))


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """`name` below Debian's folder of TrueType fonts; basic layout, which is the same with and without libraqm."""
    return ImageFont.truetype(FONT_FOLDER / name, size, layout_engine=ImageFont.Layout.BASIC)


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def text_of(paragraphs: Sequence[Paragraph]) -> str:
    """Lines as printed, an empty line between paragraphs."""
    return "\n\n".join(
        "\n".join(" ".join(word.text for word in line) for line in paragraph) for paragraph in paragraphs
    )


def moved(paragraphs: Sequence[Paragraph], mapping: Callable[[Point], Point]) -> list[Paragraph]:
    return [[[word.moved_by(mapping) for word in line] for line in paragraph] for paragraph in paragraphs]


def turned_clockwise(sheet: Sheet) -> Sheet:
    """The sheet turned by 90 degrees clockwise: its top is then on the right."""
    height = sheet.image.height
    return Sheet(
        sheet.image.transpose(Image.Transpose.ROTATE_270),
        moved(sheet.paragraphs, lambda point: (height - point[1], point[0])),
    )


@dataclass(frozen=True)
class Perspective:
    """A plane-to-plane mapping as a 3 x 3 matrix, row by row."""

    matrix: tuple[float, ...]

    def __call__(self, point: Point) -> Point:
        a, b, c, d, e, f, g, h, i = self.matrix
        x, y = point
        scale = g * x + h * y + i
        return (a * x + b * y + c) / scale, (d * x + e * y + f) / scale

    def inverse(self) -> Perspective:
        """By the adjugate; the determinant's factor cancels out in the mapping, so it is used to make i = 1."""
        a, b, c, d, e, f, g, h, i = self.matrix
        adjugate = (
            e * i - f * h,
            c * h - b * i,
            b * f - c * e,
            f * g - d * i,
            a * i - c * g,
            c * d - a * f,
            d * h - e * g,
            b * g - a * h,
            a * e - b * d,
        )
        return Perspective(tuple(value / adjugate[8] for value in adjugate))

    def warp(self, image: Image.Image, size: tuple[int, int], background: int = 0) -> Image.Image:
        coefficients = self.inverse().matrix[:8]
        return image.transform(
            size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC, fillcolor=background
        )


def perspective_to(corners: Polygon, width: float, height: float) -> Perspective:
    """The mapping of the rectangle (0, 0)..(width, height) to four corners, clockwise from the top left.

    Source: Paul Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    determinant = dx1 * dy2 - dx2 * dy1
    g = (dx3 * dy2 - dx2 * dy3) / determinant
    h = (dx1 * dy3 - dx3 * dy1) / determinant
    a, b = x1 - x0 + g * x1, x3 - x0 + h * x3
    d, e = y1 - y0 + g * y1, y3 - y0 + h * y3
    return Perspective((a / width, b / height, x0, d / width, e / height, y0, g / width, h / height, 1.0))
