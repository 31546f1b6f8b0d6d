"""What was read: a Document of pages, blocks, paragraphs, lines and words with polygons and confidences.

`formats` writes it as text, tables, XML, searchable PDF and as a picture.
"""

from ocrqueue.document.geometry import Box, Point, Polygon, box_of, polygon_of
from ocrqueue.document.model import Document
from ocrqueue.document.page import Page, PageReading, Preparation, Verdict
from ocrqueue.document.page_objects import MOST_INLINE, PageObjects, PagesTally, ahead
from ocrqueue.document.reading_info import DocumentWarning, EngineInfo, InputInfo, Timings
from ocrqueue.document.regions import (
    Block,
    Confidence,
    Line,
    Paragraph,
    Region,
    Symbol,
    Word,
    mean_confidence,
)
from ocrqueue.document.stored import document_from_json, stored_document
from ocrqueue.document.stored_files import Crop, Output
from ocrqueue.document.stored_pages import PageObject, PagesSummary
from ocrqueue.document.values import json_schema

__all__ = [
    "MOST_INLINE",
    "Block",
    "Box",
    "Confidence",
    "Crop",
    "Document",
    "DocumentWarning",
    "EngineInfo",
    "InputInfo",
    "Line",
    "Output",
    "Page",
    "PageObject",
    "PageObjects",
    "PageReading",
    "PagesSummary",
    "PagesTally",
    "Paragraph",
    "Point",
    "Polygon",
    "Preparation",
    "Region",
    "Symbol",
    "Timings",
    "Verdict",
    "Word",
    "ahead",
    "box_of",
    "document_from_json",
    "json_schema",
    "mean_confidence",
    "polygon_of",
    "stored_document",
]
