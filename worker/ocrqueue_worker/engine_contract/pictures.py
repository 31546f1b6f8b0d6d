"""Pages that an engine is given: print that any engine of print reads, and shapes that few authors think of."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageDraw, ImageFont

from ocrqueue.document import Box
from ocrqueue_worker.images.page import PageImage

SIZE: Final = (1200, 800)
PRINT: Final[Box] = (640.0, 500.0, 1100.0, 700.0)
"""Where the text of `printed` stands: away from the corner, so that boxes of a page that was scaled lie elsewhere."""
TEXT: Final = ("Invoice 4821", "Total 19.50")


def printed(number: int = 1, mode: str = "L") -> PageImage:
    """A page of two lines of large print in the lower right."""
    image = Image.new(mode, SIZE, "white" if mode == "RGB" else 255)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=64)
    for line, text in enumerate(TEXT):
        pen.text((PRINT[0], PRINT[1] + 100 * line), text, fill="black" if mode == "RGB" else 0, font=font)
    return PageImage(number, image, dpi=150.0)


def odd_pages() -> dict[str, PageImage]:
    """By what is odd about each."""
    return {
        "an empty page": PageImage(1, Image.new("L", (300, 200), 255)),
        "a page of 1 x 1 pixel": PageImage(1, Image.new("L", (1, 1), 0)),
        "a black page in colour": PageImage(1, Image.new("RGB", (64, 64))),
        "a strip of 2000 x 3 pixels": PageImage(1, Image.new("L", (2000, 3), 255)),
        "a strip of 3 x 2000 pixels": PageImage(1, Image.new("RGB", (3, 2000), "white")),
        "noise": PageImage(1, Image.effect_noise((200, 150), 80)),
    }
