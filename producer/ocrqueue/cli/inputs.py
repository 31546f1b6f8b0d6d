"""What the user names, as a list: images from paths, globs, references and stdin; ids; key=value pairs."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import click
from pydantic import JsonValue

from ocrqueue.errors import SourceInvalid
from ocrqueue.job.references import SCHEMES, is_reference, redact_uri, split_uri
from ocrqueue.submitting.submission import Waiting

STDIN = "-"


def expand_images(arguments: Sequence[str], stdin: Iterable[str | Waiting]) -> Iterator[str | Waiting]:
    """Paths and references, in order: globs expanded, `-` replaced by the lines of `stdin` as they are read.

    All arguments are checked before the first is yielded, lines when their turn comes. Raises click.UsageError for
    what is not there or is a directory, SourceInvalid for a reference of an unknown scheme.
    """
    if list(arguments).count(STDIN) > 1:
        raise click.UsageError("`-` (stdin) can be given once.")
    parts = [_lines(stdin) if argument == STDIN else _expand(argument) for argument in arguments]
    return chain.from_iterable(parts)


def _lines(stdin: Iterable[str | Waiting]) -> Iterator[str | Waiting]:
    for line in stdin:
        if isinstance(line, Waiting):
            yield line
        elif text := line.strip("\r\n"):
            yield _checked(text)


def _expand(argument: str) -> list[str]:
    if is_reference(argument) or Path(argument).exists() or not glob.has_magic(argument):
        return [_checked(argument)]
    # unlike Path.glob it leaves hidden files out, as a shell does
    matches = glob.glob(argument, recursive=True)  # noqa: PTH207 (see above)
    files = sorted(path for path in matches if Path(path).is_file())
    if not files:
        raise click.UsageError(f"No file matches {argument!r}.")
    return files


def _checked(image: str) -> str:
    if is_reference(image):
        if _scheme(image) not in SCHEMES:
            raise SourceInvalid(f"{redact_uri(image)[:200]} is not a reference of a known scheme.")
        return image
    path = Path(image)
    try:
        if path.is_dir():
            raise click.UsageError(f"{image!r} is a directory; name the files in it: '{path / '*'}'")
        found = path.exists()
    except ValueError:  # a NUL character
        found = False
    if not found:
        raise click.UsageError(f"There is no file {image!r}.")
    return image


def _scheme(uri: str) -> str:
    try:
        return split_uri(uri).scheme
    except SourceInvalid:
        return ""


def expand_ids(arguments: Sequence[str], stdin: Iterable[str]) -> list[str]:
    """Job ids without duplicates, in order; `-` stands for the lines of `stdin`, the first word of each."""
    ids = chain.from_iterable(
        (line.split()[0] for line in stdin if line.strip()) if argument == STDIN else (argument,)
        for argument in arguments
    )
    return list(dict.fromkeys(ids))


def parse_options(pairs: Sequence[str]) -> dict[str, JsonValue]:
    """Engine options from `key=value`: the value is JSON if it parses as such, else text."""
    options: dict[str, JsonValue] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE.", param_hint="'--option'")
        if key in options:
            raise click.BadParameter(f"{key!r} is given twice.", param_hint="'--option'")
        options[key] = _json_or_text(value)
    return options


def parse_options_by_engine(pairs: Sequence[str]) -> dict[str, JsonValue]:
    """{engine: {key: value}} from `engine.key=value`."""
    options: dict[str, dict[str, JsonValue]] = {}
    for name, value in parse_options(pairs).items():
        engine, dot, key = name.partition(".")
        if not engine or not dot or not key:
            raise click.BadParameter(
                f"{name!r} is not ENGINE.KEY, such as tesseract.psm=6: the job is for several engines, and each has "
                "its own options.",
                param_hint="'--option'",
            )
        options.setdefault(engine, {})[key] = value
    return dict(options)


def _json_or_text(value: str) -> JsonValue:
    def refuse(constant: str) -> None:
        raise ValueError(constant)  # NaN and Infinity are not JSON

    try:
        parsed: JsonValue = json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return value
    return parsed


def split_names(values: Sequence[str]) -> tuple[str, ...] | None:
    """`a,b` and `c` as ("a", "b", "c"); None where none is given."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip()) or None


def split_languages(values: Sequence[str]) -> tuple[str, ...] | None:
    """`-l kor+eng -l deu` as ("kor", "eng", "deu"); None where none is given."""
    return tuple(language for value in values for language in value.split("+")) or None
