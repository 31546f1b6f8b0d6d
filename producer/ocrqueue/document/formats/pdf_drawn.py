"""Pages of a searchable PDF that are drawn from image files, written one after the other."""

from __future__ import annotations

from math import isfinite
from typing import BinaryIO, Final

from ocrqueue.document import Page
from ocrqueue.document.formats.glyphless_font import ASCENT, DESCENT, UNITS, Codes, font_file
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.document.formats.pdf_annotations import frames, moved_box
from ocrqueue.document.formats.pdf_file import Name, PdfFile, Reference, Value
from ocrqueue.document.formats.pdf_images import EmbeddedImage, embedded_image
from ocrqueue.document.formats.pdf_text import FONT_NAME, Matrix, language_tag, text_content
from ocrqueue.document.formats.resolution import Axes, page_axes
from ocrqueue.errors import OcrQueueError

_DPI: Final = 300.0
"""For an image that does not state its own."""
_SIDES: Final = (3.0, 14_400.0)
"""Points that a page may measure, by PDF's own limits."""
_FONT: Final = Name("OcrqueueGlyphless")


class DrawnPdf:
    """The PDF that is being made. A page that is written is in memory no longer."""

    def __init__(self, target: BinaryIO, *, annotated: bool = False) -> None:
        self._file = PdfFile(target)
        self._annotated = annotated
        self._codes = Codes()
        self._root, self._pages, self._font = self._file.reserve(), self._file.reserve(), self._file.reserve()
        self._added: list[Reference] = []

    def add(self, page: Page, file: ImageFile) -> None:
        """A page that failed keeps its picture, or is empty. Raises what ImageFile.read() raises."""
        try:
            image = embedded_image(file, page.number)
        except OcrQueueError:
            if page.error is None:
                raise
            image = None
        viewed = (page.width, page.height) if image is None else image.viewed
        # the page's one number would squash a fax; at another size the image is not what was read
        as_read = image is not None and viewed == (page.width, page.height)
        axes = page_axes(file.axes, viewed, page.dpi) if as_read else None
        width, height = _size_in_points(viewed, axes or _square(page.dpi))
        # the Document may have been made from the image at another size
        to_page = (width / max(page.width, 1), 0.0, 0.0, -height / max(page.height, 1), 0.0, height)
        resources: dict[str, Value] = {"Font": {FONT_NAME: self._font}}
        content = b""
        if image is not None:
            resources["XObject"] = {"Image": self._image(image)}
            oriented = " ".join(map(str, image.oriented))
            content = f"q {width:.5f} 0 0 {height:.5f} 0 0 cm {oriented} cm /Image Do Q\n".encode()
        described: dict[str, Value] = {
            "Type": Name("Page"),
            "Parent": self._pages,
            "MediaBox": [0, 0, width, height],
            "Resources": resources,
            "Contents": self._file.add_stream(content + text_content(page, self._codes, to_page)),
        }
        if self._annotated and (annotations := self._annotations(page, to_page)):
            described["Annots"] = annotations
        self._added.append(self._file.add(described))

    def finish(self, languages: tuple[str, ...]) -> None:
        """Without this there is no PDF."""
        self._write_font()
        self._file.write(self._pages, {"Type": Name("Pages"), "Count": len(self._added), "Kids": tuple(self._added)})
        root: dict[str, Value] = {"Type": Name("Catalog"), "Pages": self._pages}
        if language := language_tag(languages[:1]):
            root["Lang"] = language
        self._file.write(self._root, root)
        self._file.finish(self._root, self._file.add({"Producer": "ocrqueue"}))

    def _image(self, image: EmbeddedImage) -> Reference:
        colours: Value = Name(image.colours)
        if image.palette:
            colours = [Name("Indexed"), Name("DeviceRGB"), len(image.palette) // 3 - 1, image.palette]
        elif image.profile:
            count = {"DeviceGray": 1, "DeviceRGB": 3, "DeviceCMYK": 4}[image.colours]
            colours = [Name("ICCBased"), self._file.add_stream(image.profile, N=count, Alternate=colours)]
        described: dict[str, Value] = {
            **{"Type": Name("XObject"), "Subtype": Name("Image"), "Width": image.width, "Height": image.height},
            **{"BitsPerComponent": image.bits, "ColorSpace": colours, "Filter": Name(image.filter)},
        }
        if image.filter == "CCITTFaxDecode":
            # group 4 has black runs of ones; BlackIs1 says that a one is to be drawn as white
            fax: dict[str, Value] = {"K": -1, "Columns": image.width, "Rows": image.height}
            described["DecodeParms"] = {**fax, "BlackIs1": image.white_is_one}
        if image.inverted:
            described["Decode"] = [1, 0] * 4
        if image.alpha:
            mask = {**described, "ColorSpace": Name("DeviceGray"), "BitsPerComponent": 8, "Filter": Name("FlateDecode")}
            described["SMask"] = self._file.add_stream(image.alpha, **mask)
        return self._file.add_stream(image.data, **described)

    def _annotations(self, page: Page, to_page: Matrix) -> list[Value]:
        return [
            self._file.add(
                {
                    **{"Type": Name("Annot"), "Subtype": Name("Square"), "Rect": moved_box(to_page, frame.box)},
                    **{"Contents": frame.text, "C": frame.colour, "CA": 0.6, "BS": {"W": 0.5}, "F": 4},
                }
            )
            for frame in frames(page)
        ]

    def _write_font(self) -> None:
        file = font_file()
        descriptor = self._file.add(
            {
                **{"Type": Name("FontDescriptor"), "FontName": _FONT, "Flags": 4, "ItalicAngle": 0},
                **{"FontBBox": [0, DESCENT, UNITS, ASCENT], "Ascent": ASCENT, "Descent": DESCENT, "CapHeight": ASCENT},
                **{"StemV": 80, "FontFile2": self._file.add_stream(file, Length1=len(file))},
            }
        )
        descendant: dict[str, Value] = {
            **{"Type": Name("Font"), "Subtype": Name("CIDFontType2"), "BaseFont": _FONT, "DW": UNITS // 2},
            "CIDSystemInfo": {"Registry": b"Adobe", "Ordering": b"Identity", "Supplement": 0},
            "FontDescriptor": descriptor,
            "CIDToGIDMap": self._file.add_stream(self._codes.glyphs()),
        }
        if widths := [part for code, width in self._codes.widths() for part in (code, [width])]:
            descendant["W"] = widths
        self._file.write(
            self._font,
            {
                **{"Type": Name("Font"), "Subtype": Name("Type0"), "BaseFont": _FONT, "Encoding": Name("Identity-H")},
                "DescendantFonts": [self._file.add(descendant)],
                "ToUnicode": self._file.add_stream(self._codes.to_unicode()),
            },
        )


def _square(dpi: float | None) -> Axes:
    known = dpi if dpi is not None and isfinite(dpi) and dpi > 0 else _DPI
    return known, known


def _size_in_points(size: tuple[int, int], axes: Axes) -> tuple[float, float]:
    """The size of a page as its file states it, brought within what PDF allows, with its proportions kept."""
    width, height = (max(pixels, 1) * 72 / dpi for pixels, dpi in zip(size, axes, strict=True))
    smallest, largest = _SIDES
    scale = max(1.0, smallest / min(width, height))
    scale = min(scale, largest / max(width, height))
    return width * scale, height * scale
