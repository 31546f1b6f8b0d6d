"""Make the samples, images and a PDF, and beside each its text and the true box of each word.

    python samples/make_samples.py [FOLDER]

Needs Pillow and the Debian packages fonts-liberation, fonts-dejavu-core and fonts-nanum. The same versions of them
make the same bytes: all noise comes from seeded generators.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import texts
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps
from typesetting import Sheet, font, moved, perspective_to, text_of, turned_clockwise

DPI = 150
A4 = (1240, 1754)  # pixels at 150 dpi
MARGIN = 130
SERIF = "liberation/LiberationSerif-Regular.ttf"
SANS = "liberation/LiberationSans-Regular.ttf"
SANS_BOLD = "liberation/LiberationSans-Bold.ttf"
MONO = "dejavu/DejaVuSansMono.ttf"
KOREAN = "nanum/NanumMyeongjoBold.ttf"
KOREAN_BOLD = "nanum/NanumGothicBold.ttf"


@dataclass(frozen=True)
class Sample:
    image: str
    pages: Sequence[Sheet]
    languages: tuple[str, ...] = ("eng",)
    options: dict[str, str | int] = field(default_factory=dict)
    """Options of the Tesseract engine with which it reads well."""
    save: dict[str, object] = field(default_factory=dict)
    """What Pillow's save() is told besides the file."""


def page_of_text(
    title: str, body: Sequence[str], body_font: str, body_size: int, title_font: str = SANS_BOLD, scale: float = 1.0
) -> Sheet:
    """An A4 page with a title and paragraphs. Sizes are in pixels at 150 dpi, times `scale`."""
    sheet = Sheet.blank(round(A4[0] * scale), round(A4[1] * scale))
    margin, leading = round(MARGIN * scale), 48 * scale
    width = sheet.image.width - 2 * margin
    top = sheet.set_paragraph(title, font(title_font, round(46 * scale)), margin, margin, width, 62 * scale)
    top += round(30 * scale)
    for paragraph in body:
        top = sheet.set_paragraph(paragraph, font(body_font, round(body_size * scale)), margin, top, width, leading)
        top += round(28 * scale)
    return sheet


def english_page() -> Sample:
    page = page_of_text(texts.ENGLISH_TITLE, texts.ENGLISH, SERIF, 31)
    return Sample("english-page.png", [page], save={"optimize": True, "dpi": (DPI, DPI)})


def korean_page() -> Sample:
    """Softened a little, as a scanner does: on edges too sharp Tesseract takes single strokes for vertical text."""
    page = page_of_text(texts.KOREAN_TITLE, texts.KOREAN, KOREAN, 30, KOREAN_BOLD)
    page.image = page.image.filter(ImageFilter.GaussianBlur(0.8))
    return Sample("korean-page.png", [page], ("kor",), save={"optimize": True, "dpi": (DPI, DPI)})


def rotated_page() -> Sample:
    page = page_of_text(texts.ROTATED_TITLE, texts.ROTATED, SERIF, 31)
    return Sample(
        "rotated-page.png",
        [turned_clockwise(page)],
        options={"rotate": "auto"},
        save={"optimize": True, "dpi": (DPI, DPI)},
    )


def two_columns() -> Sample:
    sheet = Sheet.blank(*A4)
    gutter = 60
    width = (A4[0] - 2 * MARGIN - gutter) // 2
    below_title = sheet.set_paragraph(texts.COLUMNS_TITLE, font(SANS_BOLD, 64), MARGIN, 110, A4[0] - 2 * MARGIN, 80)
    ImageDraw.Draw(sheet.image).line([(MARGIN, below_title + 18), (A4[0] - MARGIN, below_title + 18)], 0, 3)
    for number, column in enumerate(texts.COLUMNS):
        top = below_title + 50
        for paragraph in column:
            left = MARGIN + number * (width + gutter)
            top = sheet.set_paragraph(paragraph, font(SERIF, 31), left, top, width, 48) + 28
    return Sample("two-columns.png", [sheet], save={"optimize": True, "dpi": (DPI, DPI)})


def contract() -> Sample:
    """Two pages in pure black and white, as office scanners write them."""
    pages = [page_of_text(title, body, SANS, 30, scale=200 / DPI) for title, body in texts.CONTRACT_PAGES]
    for page in pages:
        page.image = page.image.convert("1", dither=Image.Dither.NONE)
    return Sample("contract.tif", pages, save={"compression": "group4", "dpi": (200, 200)})


def letter() -> Sample:
    """Two pages of a scanner with a feeder: soft, grainy, on paper that is not quite white, as JPEGs in a PDF."""
    pages = [page_of_text(title, body, SERIF, 31) for title, body in texts.LETTER_PAGES]
    for number, page in enumerate(pages):
        softened = page.image.filter(ImageFilter.GaussianBlur(0.7)).point(lambda level: 35 + level * 205 / 255)
        page.image = grained(softened, random.Random(20 + number), 4)
    written = time.struct_time((2024, 9, 30, 9, 15, 0, 0, 274, 0))
    dates = {"creationDate": written, "modDate": written}
    return Sample("letter.pdf", pages, save={"resolution": DPI, "quality": 55, "optimize": True, **dates})


def receipt() -> Sample:
    """Thermal print: monospaced, softened a little, uneven light, grain."""
    sheet = Sheet.blank(620, 960, paper=236)
    mono, leading, columns = font(MONO, 28), 44, 30
    total = sum(count * price for count, _, price in texts.RECEIPT_ITEMS)
    blocks = [
        [line.center(columns) for line in texts.RECEIPT_HEAD],
        [f"{count} {name:<20}{count * price / 100:>8.2f}" for count, name, price in texts.RECEIPT_ITEMS],
        [f"{'TOTAL':<22}{total / 100:>8.2f}"],
        [line.center(columns) for line in texts.RECEIPT_FOOT],
    ]
    baseline = 90
    for block in blocks:
        lines = []
        for text in block:
            lines.append(sheet.set_line(text, mono, 57, baseline, ink=45))
            baseline += leading
        sheet.paragraphs.append(lines)
        baseline += leading
    softened = sheet.image.filter(ImageFilter.GaussianBlur(0.6))
    lit = ImageChops.multiply(softened, slope(softened.size, 225, 255))
    sheet.image = grained(lit, random.Random(7), 5)
    return Sample("receipt.jpg", [sheet], options={"psm": 6}, save={"quality": 82, "optimize": True})


def street_sign() -> Sample:
    """A sign on a post, photographed from the side and below."""
    sign_size, photo_size = (1000, 420), (1200, 900)
    sign = Sheet.blank(*sign_size, paper=0)
    ImageDraw.Draw(sign.image).rounded_rectangle((14, 14, 985, 405), 26, outline=255, width=7)
    for text, size, baseline in zip(texts.SIGN, (92, 72, 72), (145, 255, 360), strict=True):
        sign_font = font(SANS_BOLD if size > 80 else SANS, size)
        x = (sign_size[0] - sign_font.getlength(text)) / 2
        sign.paragraphs.append([sign.set_line(text, sign_font, x, baseline, ink=255)])
    painted = ImageOps.colorize(sign.image, black=(18, 82, 62), white=(236, 240, 232))
    outline = Image.new("L", sign_size)
    ImageDraw.Draw(outline).rounded_rectangle((0, 0, 999, 419), 36, fill=255)

    to_photo = perspective_to(((150, 205), (1055, 150), (1040, 560), (165, 555)), *sign_size)
    photo = street(photo_size)
    photo.paste(to_photo.warp(painted, photo_size), (0, 0), to_photo.warp(outline, photo_size))
    light = slope(photo_size, 255, 190)
    photo = ImageChops.multiply(photo, Image.merge("RGB", (light, light, light)))
    photo = photo.filter(ImageFilter.GaussianBlur(1.1))
    generator = random.Random(11)
    photo = Image.merge("RGB", [grained(channel, generator, 6) for channel in photo.split()])
    words = moved(sign.paragraphs, to_photo)
    return Sample("street-sign.jpg", [Sheet(photo, words)], save={"quality": 82, "optimize": True})


def street(size: tuple[int, int]) -> Image.Image:
    """Sky, house fronts out of focus, and the sign's post."""
    width, height = size
    image = ImageOps.colorize(slope(size, 0, 255), black=(126, 166, 206), white=(226, 232, 236))
    draw = ImageDraw.Draw(image)
    generator = random.Random(3)
    x = 0
    while x < width:
        house, roof, shade = generator.randint(150, 260), generator.randint(420, 620), generator.randint(110, 170)
        draw.rectangle((x, roof, x + house, height), fill=(shade + 30, shade, shade - 25))
        x += house
    image = image.filter(ImageFilter.GaussianBlur(14))
    ImageDraw.Draw(image).rectangle((585, 520, 625, height), fill=(112, 114, 118))
    return image


def slope(size: tuple[int, int], top: int, bottom: int) -> Image.Image:
    """Levels that change evenly from top to bottom."""
    gradient = Image.linear_gradient("L").resize(size)
    return gradient.point(lambda level: top + (bottom - top) * level / 255)


def grained(image: Image.Image, generator: random.Random, strength: int) -> Image.Image:
    """`image` with noise of a triangular distribution, at most `strength` * 2 levels up or down."""
    grains = [Image.frombytes("L", image.size, generator.randbytes(image.width * image.height)) for _ in range(2)]
    noise = ImageChops.add(*(grain.point(lambda level: level * 2 * strength / 255) for grain in grains))
    return ImageChops.add(image, noise, offset=-2 * strength)


def write(sample: Sample, folder: Path) -> None:
    """NAME.png (or .jpg, .tif, .pdf), NAME.txt and NAME.json."""
    path = folder / sample.image
    first, *others = (page.image for page in sample.pages)
    more_pages = {"save_all": True, "append_images": others} if others else {}
    first.save(path, **sample.save, **more_pages)
    text = "\f".join(text_of(page.paragraphs) for page in sample.pages)
    path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    words = [
        {
            "page": number,
            "text": word.text,
            "polygon": [[round(x, 1), round(y, 1)] for x, y in word.polygon],
        }
        for number, page in enumerate(sample.pages, 1)
        for paragraph in page.paragraphs
        for line in paragraph
        for word in line
    ]
    head = {"image": sample.image, "languages": list(sample.languages), "options": sample.options}
    lines = ",\n".join("  " + json.dumps(word, ensure_ascii=False) for word in words)
    opening = json.dumps(head, ensure_ascii=False)[:-1]
    path.with_suffix(".json").write_text(f'{opening}, "words": [\n{lines}\n]}}\n', encoding="utf-8")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for make in (english_page, korean_page, rotated_page, two_columns, contract, letter, receipt, street_sign):
        sample = make()
        write(sample, folder)
        print(folder / sample.image)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
