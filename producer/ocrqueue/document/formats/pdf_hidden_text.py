"""Text of a page that is there but not drawn: the layer that another OCR program has left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pikepdf

_HIDDEN: Final = 3
"""The text rendering mode that draws nothing (ISO 32000-1, 9.3.6)."""
_SETS_IT: Final = re.compile(rb"(?<![\w.])3\s+Tr\b")
_SHOWING: Final = frozenset({"Tj", "TJ", "'", '"'})
_CODING: Final = ("/Length", "/Filter", "/DecodeParms", "/F", "/FFilter", "/FDecodeParms")
_PARSED_BYTES: Final = 32 * 1024 * 1024
"""Longer content is left as it is: parsed, it would be many times as large."""


def remove_hidden_text(pdf: pikepdf.Pdf, page: pikepdf.Page) -> None:
    """Of the page's content, and of the forms that it draws. What cannot be parsed stays as it was."""
    import pikepdf

    try:
        content = b"\n".join(_parts(page.obj.get("/Contents")))
        if (kept := _without(page, content)) is not None:
            page.obj.Contents = pdf.make_stream(kept)
        forms: Any = page.obj.Resources.get("/XObject", {})
        replaced: dict[str, Any] = {}
        for name, form in forms.items():
            if form.get("/Subtype") == "/Form" and (kept := _without(form, form.read_bytes())) is not None:
                entries = {key: value for key, value in form.items() if key not in _CODING}
                # other pages, which were not read, may draw it too
                replaced[name] = pdf.make_stream(kept, entries)
        if replaced:
            page.obj.Resources.XObject = pikepdf.Dictionary({**dict(forms.items()), **replaced})
    except (pikepdf.PikepdfError, AttributeError, TypeError, ValueError):
        return


def _parts(contents: Any) -> Iterable[bytes]:
    """The page's streams; it may have one, several or none."""
    import pikepdf

    if contents is None:
        return []
    if isinstance(contents, pikepdf.Array):
        return [part.read_bytes() for part in contents]
    return [contents.read_bytes()]


def _without(holder: Any, content: bytes) -> bytes | None:
    """None: there is no hidden text in it."""
    import pikepdf

    if len(content) > _PARSED_BYTES or not _SETS_IT.search(content):
        return None
    kept: list[Any] = []
    mode, outer, has_hidden = 0, [], False
    for instruction in pikepdf.parse_content_stream(holder):
        operator = str(instruction.operator)
        if operator == "q":
            outer.append(mode)
        elif operator == "Q":
            mode = outer.pop() if outer else mode
        elif operator == "Tr":
            mode = int(instruction.operands[0])
        elif mode == _HIDDEN and operator in _SHOWING:
            has_hidden = True
            if operator == '"':  # it sets both spacings for the text that follows
                kept.append(([instruction.operands[0]], pikepdf.Operator("Tw")))
                kept.append(([instruction.operands[1]], pikepdf.Operator("Tc")))
            if operator in {"'", '"'}:  # and both go to the next line
                kept.append(([], pikepdf.Operator("T*")))
            continue
        kept.append(instruction)
    return pikepdf.unparse_content_stream(kept) if has_hidden else None
