"""Small pictures with text, made on the spot."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont


def text_picture(*lines: str, size: tuple[int, int] = (640, 160)) -> Image.Image:
    """Black on white, 48 px high letters."""
    picture = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=48)
    for row, line in enumerate(lines):
        draw.text((24, 24 + 64 * row), line, fill=0, font=font)
    return picture


def png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def tiff(*pages: Image.Image) -> bytes:
    out = BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()
