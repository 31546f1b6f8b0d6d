"""What a PDF that is written anew does not keep: signatures, and what would run by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pikepdf


def forget_scripts(pdf: pikepdf.Pdf) -> None:
    """And what else would happen when the document is opened; the page that it opens at stays."""
    import pikepdf
    from pikepdf.sanitize import remove_javascript

    remove_javascript(pdf)
    opens = pdf.Root.get("/OpenAction")
    # an array is a place alone
    if isinstance(opens, pikepdf.Dictionary):
        if opens.get("/S") != "/GoTo":
            del pdf.Root["/OpenAction"]
        elif "/Next" in opens:
            del opens["/Next"]
    for holder in (pdf.Root, *(page.obj for page in pdf.pages)):
        if "/AA" in holder:
            del holder["/AA"]


def forget_signatures(pdf: pikepdf.Pdf) -> None:
    """They are for a file that is byte for byte the same: readers would warn of a forged one."""
    form = pdf.Root.get("/AcroForm")
    try:
        if form is None or not int(form.get("/SigFlags", 0)):
            return
        del form["/SigFlags"]
        for field in _fields(form.get("/Fields")):
            if field.get("/FT") == "/Sig" and "/V" in field:
                del field["/V"]
        if "/Perms" in pdf.Root:
            del pdf.Root["/Perms"]
    except (AttributeError, TypeError, ValueError):
        return


def _fields(kids: Any) -> Iterator[Any]:
    """All of a form, each once: a damaged tree may lead back to itself."""
    seen: set[tuple[int, int]] = set()
    waiting = list(kids or ())
    while waiting:
        field = waiting.pop()
        if field.is_indirect:
            if field.objgen in seen:
                continue
            seen.add(field.objgen)
        yield field
        waiting.extend(field.get("/Kids", ()))
