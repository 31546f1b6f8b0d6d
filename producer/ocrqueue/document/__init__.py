"""What was read: a Document of pages, blocks, paragraphs, lines and words with polygons and confidences.

`formats` writes it as text, tables, XML, searchable PDF and as a picture.
"""

from ocrqueue.document.model import (
    Block,
    Box,
    Confidence,
    Crop,
    Document,
    DocumentWarning,
    EngineInfo,
    InputInfo,
    Line,
    Page,
    PageReading,
    Paragraph,
    Point,
    Polygon,
    Region,
    Symbol,
    Timings,
    Verdict,
    Word,
    box_of,
    json_schema,
    mean_confidence,
    polygon_of,
)
from ocrqueue.document.stored import document_for_app, stored_document

__all__ = [
    "Block",
    "Box",
    "Confidence",
    "Crop",
    "Document",
    "DocumentWarning",
    "EngineInfo",
    "InputInfo",
    "Line",
    "Page",
    "PageReading",
    "Paragraph",
    "Point",
    "Polygon",
    "Region",
    "Symbol",
    "Timings",
    "Verdict",
    "Word",
    "box_of",
    "document_for_app",
    "json_schema",
    "mean_confidence",
    "polygon_of",
    "stored_document",
]
