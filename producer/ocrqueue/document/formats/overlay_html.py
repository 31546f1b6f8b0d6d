"""The pages with their words marked, as one HTML file: no script, and nothing that is fetched."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from io import BytesIO
from itertools import islice
from typing import Final

from PIL import Image

from ocrqueue.document import Document, Page, Word
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.sanitise import clamp, inline_text
from ocrqueue.errors import OcrQueueError

_HEAD: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 1rem; font-family: sans-serif; background: #eee }}
figure {{ margin: 0 0 2rem }}
svg {{ display: block; width: 100%; max-width: 75rem; height: auto; background: #fff }}
polygon {{ fill-opacity: .15; stroke-width: 1; vector-effect: non-scaling-stroke }}
polygon:hover {{ fill-opacity: .4 }}
text {{ fill: transparent }}
text::selection {{ fill: #000; background: #fd6 }}
</style>
</head>
<body>
"""
_TAIL: Final = "</body>\n</html>\n"
_PAGES_SHOWN: Final = 3
_WORDS_SHOWN: Final = 3000
_QUALITY: Final = 85
_NOTEBOOK_SIDES: Final = (1280, 1280)


def overlay_html_pieces(document: Document, file: ImageFile) -> Iterator[str]:
    """Page by page: its picture, a frame around each word, and the word to hover over, select and search for.

    Colours run from red (confidence 0) to green (1); grey where the engine gives none. The pictures are JPEGs made
    for looking at. Raises what ImageFile.read() raises, except for a page that failed, which is shown with its error.
    """
    yield _HEAD.format(title=escape(f"ocrqueue {inline_text(document.job_id)}"))
    for page in document.pages:
        yield from _page(page, file)
    yield _TAIL


def notebook_html(document: Document) -> str:
    """The first pages with their words marked, for the output of a notebook's cell.

    The picture is there where the Document is bound to the storage that has it. Else, as of a PDF or an image that lies
    elsewhere, the words stand in their places as text.
    """
    data = document.source()
    file = None if data is None else ImageFile(data)
    pieces = [f"<p><b>{escape(inline_text(document.job_id))}</b>: {len(document.pages)} pages</p>"]
    for page in document.pages[:_PAGES_SHOWN]:
        width, height = max(page.width, 1), max(page.height, 1)
        words = "".join(_word(word, page) for word in islice(page.words(), _WORDS_SHOWN))
        picture = "" if file is None else _notebook_picture(page, file)
        letters = "transparent" if picture else "#000"
        pieces.append(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'style="max-width: 40rem; background: #fff; border: 1px solid #ccc">\n'
            + (_image(page, picture) if picture else "")
            + f'<g fill-opacity="0.15" stroke-opacity="0.4">\n{words}</g>\n</svg>'.replace(
                "<text ", f'<text fill="{letters}" fill-opacity="1" '
            )
        )
    if len(document.pages) > _PAGES_SHOWN:
        pieces.append(f"<p>and {len(document.pages) - _PAGES_SHOWN} more pages</p>")
    return "\n".join(pieces)


def _page(page: Page, file: ImageFile) -> Iterator[str]:
    yield "<figure>\n<figcaption>"
    yield escape(f"Page {page.number}" + (f": {inline_text(page.error.message)}" if page.error else ""))
    yield "</figcaption>\n"
    picture = _picture(page, file)
    if picture:
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(page.width, 1)} {max(page.height, 1)}">\n'
        yield _image(page, picture)
        for word in page.words():
            yield _word(word, page)
        yield "</svg>\n"
    yield "</figure>\n"


def _image(page: Page, picture: str) -> str:
    width, height = max(page.width, 1), max(page.height, 1)
    return f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{picture}"/>\n'


def _notebook_picture(page: Page, file: ImageFile) -> str:
    """Made smaller: notebooks keep what they show. Empty where it cannot be had."""
    try:
        image = file.picture(page.number)
    except OcrQueueError:
        return ""
    image.thumbnail(_NOTEBOOK_SIDES)
    return _jpeg(image)


def _picture(page: Page, file: ImageFile) -> str:
    try:
        image = file.picture(page.number)
    except OcrQueueError:
        if page.error is None:
            raise
        return ""
    return _jpeg(image)


def _jpeg(image: Image.Image) -> str:
    written = BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + b64encode(written.getvalue()).decode("ascii")


def _word(word: Word, page: Page) -> str:
    corners = [(clamp(x, page.width), clamp(y, page.height)) for x, y in word.polygon]
    outline = " ".join(f"{x:g},{y:g}" for x, y in corners)
    colour = "#808080" if word.confidence is None else f"hsl({120 * word.confidence:.0f} 90% 40%)"
    text = escape(inline_text(word.text))
    share = "" if word.confidence is None else f" ({100 * word.confidence:.0f} %)"
    (left, bottom), height = corners[3], max(corners[3][1] - corners[0][1], 1)
    length = max(corners[2][0] - corners[3][0], 1)
    return (
        f'<polygon points="{outline}" fill="{colour}" stroke="{colour}"><title>{text}{share}</title></polygon>'
        f'<text x="{left:g}" y="{bottom:g}" font-size="{height:g}" textLength="{length:g}" '
        f'lengthAdjust="spacingAndGlyphs" pointer-events="none">{text} </text>\n'
    )
