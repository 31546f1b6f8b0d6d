"""A template as an answer: in the reader's language and colours, with the policy of every page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ocrqueue.document.formats.sanitise import inline_text
from ocrqueue.errors import ErrorInfo
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.pages import catalogue
from ocrqueue_gateway.pages.security_policy import HEADERS
from ocrqueue_gateway.pages.static_files import address, modules
from ocrqueue_gateway.problems import status_of, told_to

LANGUAGE_COOKIE: Final = "ocrqueue_language"
THEME_COOKIE: Final = "ocrqueue_theme"
THEMES: Final = ("auto", "light", "dark")
_FOLDER: Final = Path(__file__).parent / "templates"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["inline"] = inline_text
    made.globals["static"] = address
    made.globals["modules"] = modules
    return made


def page(request: Request, template: str, caller: Caller | None, *, status: int = 200, **values: Any) -> Response:
    """`caller`: who is signed in, or may ask without; None: nobody is. `values`: the template's own."""
    language = language_of(request)
    theme = request.cookies.get(THEME_COOKIE, "auto")

    def t(name: str, **given: object) -> str:
        return catalogue.text(language, name, **given)

    content = (
        _templates()
        .get_template(template)
        .render(
            t=t,
            texts=catalogue.texts(language),
            language=language,
            languages=catalogue.LANGUAGES,
            theme=theme if theme in THEMES else "auto",
            themes=THEMES,
            caller=caller,
            path=request.url.path,
            **values,
        )
    )
    return HTMLResponse(content, status, headers={**HEADERS, "vary": "cookie, accept-language"})


def error_page(request: Request, caller: Caller | None, info: ErrorInfo, status: int | None = None) -> Response:
    """The error as a person is told of it. `caller`: None where it is not known, as in an outage."""
    told = told_to(request.scope, info)
    return page(request, "error.html", caller, status=status_of(info.code) if status is None else status, error=told)


def language_of(request: Request) -> str:
    return catalogue.language_for(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))


def redirect(to: str) -> Response:
    """To another of our pages, by GET."""
    return RedirectResponse(to, 303, headers=dict(HEADERS))
