"""What a request asks for, in this system's terms: which image, in which languages; and what it may not ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from starlette.requests import Request

from ocrqueue.errors import OcrQueueError, RequestInvalid, RequestUnsupported
from ocrqueue.job.language_tags import asked_name_of
from ocrqueue.submitting.image_input import HashedFile
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.rules import CloudRules
from ocrqueue_gateway.hardening.bodies import hashed

MOST_PAGES: Final = 5
"""Of a file that the client waits for."""
_MOST_HINTS: Final = 100
_READ: Final = {5: "TEXT_DETECTION", 11: "DOCUMENT_TEXT_DETECTION"}
"""Feature.Type."""
_OTHERS: Final = {
    0: "TYPE_UNSPECIFIED",
    1: "FACE_DETECTION",
    2: "LANDMARK_DETECTION",
    3: "LOGO_DETECTION",
    4: "LABEL_DETECTION",
    6: "SAFE_SEARCH_DETECTION",
    7: "IMAGE_PROPERTIES",
    9: "CROP_HINTS",
    10: "WEB_DETECTION",
    12: "PRODUCT_SEARCH",
    19: "OBJECT_LOCALIZATION",
}
_FILES: Final = ("application/pdf", "image/tiff", "image/gif")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, by whoever makes it, over either transport."""

    request: Request
    caller: Caller
    files: Mapping[bytes, HashedFile] = field(default_factory=dict)
    """By what stands in their place in the message."""
    within_s: float | None = None
    """How long the client waits, where that is known."""
    when_stored: Callable[[], None] = lambda: None
    """Called once the message is not needed any more."""

    def forget_files(self) -> None:
        """They are stored: the client may wait for long."""
        for file in self.files.values():
            file.file.close()
        self.when_stored()

    @property
    def rules(self) -> CloudRules:
        rules: CloudRules = self.request.app.state.cloud_rules
        return rules


@dataclass(frozen=True, slots=True)
class Asked:
    """One image or file."""

    image: str | HashedFile
    languages: tuple[str, ...]
    pages: str | None = None
    uri: str = ""
    """As the client calls it; empty of what it has sent."""


def is_own_fault(error: OcrQueueError) -> bool:
    """Whether it is one image's: the others of its request are read."""
    return not error.retryable and not error.code.startswith(("key.", "internal."))


async def image_asked(call: Call, message: Any) -> Asked:
    """Of an AnnotateImageRequest: of an image with several pages, the first.

    Raises RequestInvalid, RequestUnsupported, SourceInvalid, ImageEmpty.
    """
    check_features(message.features)
    uri = message.image.source.image_uri or message.image.source.gcs_image_uri
    image = await _image(call, message.image.content, uri)
    told = "" if message.image.content else uri
    return Asked(image, languages_of(message.image_context), "1", told)


async def file_asked(call: Call, message: Any) -> Asked:
    """Of an AnnotateFileRequest, or of one that is answered later. Raises as image_asked()."""
    check_features(message.features)
    if (kind := message.input_config.mime_type) and kind not in _FILES:
        raise RequestInvalid(f"A file of the type {kind[:60]!r} is not read as pages; {', '.join(_FILES)} are.")
    uri = message.input_config.gcs_source.uri
    if uri and not uri.startswith("gs://"):
        raise RequestInvalid("The file's uri is to be gs://bucket/object.")
    image = await _image(call, message.input_config.content, uri)
    told = "" if message.input_config.content else uri
    return Asked(image, languages_of(message.image_context), None, told)


def pages_asked(message: Any) -> str | None:
    """Of an AnnotateFileRequest: five at most; None where it names none.

    Raises RequestInvalid, RequestUnsupported.
    """
    pages = sorted(set(message.pages))
    if len(pages) > MOST_PAGES:
        raise RequestInvalid(f"{len(pages)} pages are asked for at once, and {MOST_PAGES} are the most.")
    if pages and pages[0] < 1:
        raise RequestUnsupported("Pages that are counted from the end are not read.")
    return ",".join(map(str, pages)) or None


def check_features(features: Any) -> None:
    """Raises RequestInvalid where none is asked for, RequestUnsupported where one is that there is not."""
    asked = [feature.type_ for feature in features]
    if not asked:
        raise RequestInvalid("No features are asked for.", remedy=f"Ask for {' or '.join(_READ.values())}.")
    if others := [kind for kind in asked if kind not in _READ]:
        name = _OTHERS.get(others[0], str(others[0]))
        raise RequestUnsupported(f"{name} is not done here: {' and '.join(_READ.values())} are.")


def languages_of(context: Any) -> tuple[str, ...]:
    """Of an ImageContext, by their names here. Raises RequestInvalid."""
    if len(context.language_hints) > _MOST_HINTS:
        raise RequestInvalid(f"{len(context.language_hints)} languageHints are given, and {_MOST_HINTS} are the most.")
    return tuple(dict.fromkeys(asked_name_of(hint[:40]) for hint in context.language_hints if hint))


async def _image(call: Call, content: bytes, uri: str) -> str | HashedFile:
    if content:
        if (file := call.files.get(content)) is not None:
            return file
        return await asyncio.to_thread(hashed, BytesIO(content), None)
    if not uri:
        raise RequestInvalid("There is neither the content of an image nor where it is.")
    if uri.startswith("gs://"):
        # without a rule it is Google's bucket, which workers read if they may
        return call.rules.readable(uri, call.caller.tenant) or uri
    if uri.startswith(("https://", "http://")):
        return uri
    raise RequestInvalid("The image's uri is to be gs://bucket/object, https://host/path or http://host/path.")
