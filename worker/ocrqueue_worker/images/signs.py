"""What bytes of no readable format probably are, for a message to people."""

from __future__ import annotations

import re
from typing import Final

_TEXT: Final = rb"(?:\xef\xbb\xbf)?\s*"

_LOOKS_LIKE: Final = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive"),
        (_TEXT + rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg", "an SVG drawing"),
        (_TEXT + rb"<(!(?i:doctype) (?i:html)|(?i:html))", "an HTML page, perhaps a login or error page"),
        (rb"P7\s", "a Portable Arbitrary Map (PAM)"),
        (rb"P[Ff]\s", "a Portable Float Map (PFM)"),
        (rb"8BPS", "a Photoshop document"),
        (rb"gimp xcf", "a GIMP document"),
        (rb"AT&TFORM", "a DjVu document"),
        (rb"\x97JB2\r\n\x1a\n", "a JBIG2 picture"),
        (rb"II\xbc", "a JPEG XR picture"),
        (rb"\xff\xf7", "a JPEG-LS picture"),
        (rb".{128}DICM", "a DICOM file"),
        (rb"v/1\x01", "an OpenEXR picture"),
        (rb"#\?(RADIANCE|RGBE)", "a Radiance picture"),
        (rb"qoif", "a QOI picture"),
        (rb"BPG\xfb", "a BPG picture"),
        (rb"FLIF", "a FLIF picture"),
        (rb"\0\0[\x01\x02]\0[^\0]\0", "a Windows icon or cursor"),
        (rb"icns", "an Apple icon"),
        (rb"DDS ", "a DirectDraw surface"),
        (rb"\x59\xa6\x6a\x95", "a Sun raster picture"),
        (rb"\x01\xda[\0\x01][\x01\x02]", "an SGI picture"),
        (rb"SIMPLE  =", "a FITS file"),
        (rb"/\* XPM \*/", "an X pixmap"),
        (rb"#define \w+_width ", "an X bitmap"),
        (rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", "a Windows metafile"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file"),
        (rb"\{\\rtf", "a text document (RTF)"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
        (rb"\x1f\x8b", "a gzip archive; unpack it first"),
        (rb"....ftyp(mp4|isom|iso\d|M4V|qt  )", "a video"),
        (rb"\x1aE\xdf\xa3|RIFF....AVI ", "a video"),
        (_TEXT + rb"data:image/", "a data: URL; decode its base64 first"),
        (_TEXT + rb"(iVBORw0KGgo|/9j/|R0lGOD|SUkqA|TU0AK|UklGR)", "a picture in base64; decode it first"),
        (_TEXT + rb"[{\[]\s*[\"{\]}]", "JSON, perhaps an error message"),
    )
)


def looks_like(data: bytes) -> str | None:
    """A name, with its article, and what to do; None where nothing is known."""
    return next((name for pattern, name in _LOOKS_LIKE if pattern.match(data[:1024])), None)
