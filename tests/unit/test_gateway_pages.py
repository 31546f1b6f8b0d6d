"""The pages' words, files and policies, without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.pages import catalogue, static_files
from ocrqueue_gateway.pages.rendering import _FOLDER as TEMPLATES
from ocrqueue_gateway.pages.rendering import _templates
from ocrqueue_gateway.pages.security_policy import POLICY
from ocrqueue_gateway.pages.session import _own_address

VENDOR = static_files.FOLDER / "vendor"
SCRIPTS = [path for path in static_files.FOLDER.rglob("*.js") if VENDOR not in path.parents]
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
PLURAL = re.compile(r"\.(zero|one|two|few|many)$")


@pytest.mark.parametrize("language", list(catalogue.LANGUAGES))
def test_each_language_has_the_same_texts_with_the_same_values(language: str) -> None:
    first, other = catalogue.texts("en"), catalogue.texts(language)
    assert {PLURAL.sub("", name) for name in other} == {PLURAL.sub("", name) for name in first}
    for name, text in other.items():
        assert text.strip(), name
        assert set(re.findall(r"\{\w+\}", text)) <= set(re.findall(r"\{\w+\}", first.get(name, "") + "{n}")), name


def test_no_name_is_in_two_parts() -> None:
    for language in catalogue.LANGUAGES:
        parts = [json.loads(path.read_text("utf-8")) for path in (catalogue.FOLDER / language).glob("*.json")]
        assert sum(map(len, parts)) == len(catalogue.texts(language))


def test_every_text_that_is_asked_for_is_there() -> None:
    known = catalogue.texts("en")
    asked = set()
    for path in [*TEMPLATES.rglob("*.html"), *SCRIPTS]:
        asked |= set(re.findall(r"""\bt\(\s*["']([a-z_0-9.]+[a-z0-9_])["']\s*[,)]""", path.read_text("utf-8")))
    assert asked - set(known) == set()


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        ("ko", "en", "ko"),
        ("xx", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        (None, "fr, ko;q=0.3, en;q=0.7", "en"),
        (None, ";;;q=,ko" * 200, "en"),
    ],
)
def test_the_language_is_the_readers(chosen: str | None, accepted: str, language: str) -> None:
    assert catalogue.language_for(chosen, accepted) == language


def test_vendored_libraries_are_those_of_the_manifest() -> None:
    manifest = json.loads((VENDOR / "manifest.json").read_text("utf-8"))
    there = {
        f"{folder.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in VENDOR.iterdir()
        if folder.is_dir()
        for path in folder.iterdir()
    }
    told = {f"{name}/{file}": summed for name, each in manifest.items() for file, summed in each["files"].items()}
    assert told == there
    for name, each in manifest.items():
        assert f"{name}/{each['licence_file']}" in there
        assert each["licence"]


def test_nothing_comes_from_elsewhere_and_nothing_runs_in_the_page() -> None:
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert "http" not in POLICY
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.findall(r"<[^>]* (?:on\w+|style)=", text), path.name
        assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", text), path.name
        assert not re.findall(r"<style|<script(?![^>]*(?: src=| type=\"application/json\"))", text), path.name
        assert "|safe" not in text, path.name
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )


@pytest.mark.parametrize("address", ["/jobs/1?page=2", "/operate/queues", "/"])
def test_the_way_back_is_a_page_of_ours(address: str) -> None:
    assert _own_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%2Fevil.example",
        "javascript:alert(1)",
        "/\r\nx: y",
        "",
        "/sign-in?next=/sign-in",
        "/%0d%0a",
        "/" + "a" * 1000,
    ],
)
def test_no_other_way_back_is_taken(address: str) -> None:
    assert _own_address(address) == "/"


HOSTILE = "\"'><img src=x onerror=alert(1)></script><script>alert(1)</script>{{7*7}}\u202e\x00"


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_no_value_becomes_markup_in_a_template(template: Path) -> None:
    caller = Caller(HOSTILE, HOSTILE, frozenset(("read",)), None, has_session=True)
    shown = _templates().get_template(template.relative_to(TEMPLATES).as_posix())
    texts = dict.fromkeys(catalogue.texts("en"), HOSTILE)
    text = shown.render(
        t=lambda name, **_: f"{name} {HOSTILE}",
        texts=texts,
        language="en",
        languages={"en": HOSTILE},
        theme="auto",
        themes=("auto",),
        caller=caller,
        path=HOSTILE,
        back=HOSTILE,
        scopes=[HOSTILE],
        error=SimpleNamespace(code=HOSTILE, message=HOSTILE, remedy=HOSTILE, retryable=True),
        job=SimpleNamespace(id=HOSTILE, name=HOSTILE, state=HOSTILE),
    )
    assert "<img src=x" not in text
    assert "<script>" not in text
    assert not re.search(r"""=(?:"[^"]*"|'[^']*')[^\s>/]""", re.sub(r"<!--.*?-->|>[^<]*<", "><", text)), (
        "an attribute is left"
    )
