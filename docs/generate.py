"""Writes the parts of docs/*.md that repeat what the code says, and checks that they still do.

    python docs/generate.py            # write them
    python docs/generate.py --check    # exit status 1 if one is out of date

A generated part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`; NAME is a key of PARTS.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from ocrqueue import errors
from ocrqueue.document import json_schema
from ocrqueue.errors import OcrQueueError, error_classes
from ocrqueue.job import Job
from ocrqueue.monitoring.installation_metrics import METRICS as INSTALLATION_METRICS
from ocrqueue.monitoring.installation_metrics import UP
from ocrqueue.monitoring.metric import Metric
from ocrqueue.settings import ClientSettings, WorkerSettings
from ocrqueue_gateway.app import create_app
from ocrqueue_gateway.operating.metrics import METRICS as GATEWAY_METRICS
from ocrqueue_gateway.settings import GatewaySettings
from ocrqueue_worker.engines.keras.options import KerasOptions
from ocrqueue_worker.engines.null import NullOptions
from ocrqueue_worker.engines.rapid import RapidOptions
from ocrqueue_worker.engines.tesseract import TesseractOptions
from ocrqueue_worker.engines.vision import VisionOptions
from ocrqueue_worker.engines.vision.languages import HINTS
from ocrqueue_worker.lifecycle.metrics_server import GAUGES
from ocrqueue_worker.telemetry.metrics import METRICS as WORKER_METRICS

DOCS: Final = Path(__file__).parent
_PART: Final = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end: \2 -->)", re.DOTALL)
_UNITS: Final = {"_s": "s", "_bytes": "bytes", "_pixels": "pixels", "_px": "pixels", "_mib": "MiB", "_pages": "pages"}
_COMPARISONS: Final = {"minimum": "≥ {}", "maximum": "≤ {}", "exclusiveMinimum": "> {}", "exclusiveMaximum": "< {}"}


def settings_of(model: type[BaseModel], prefix: str, heading: str) -> Callable[[], str]:
    """A table for each group of settings; a comment in the class begins a group."""

    def tables() -> str:
        lines: list[str] = []
        for line in inspect.getsource(model).splitlines():
            if group := re.fullmatch(r"    # (.+)", line):
                lines += ["", f"{heading} {group[1]}", "", *_head("variable", "default", "values", "what it sets")]
            elif (field := re.match(r"    (\w+): ", line)) and field[1] in model.model_fields:
                lines.append(_setting_row(model, prefix, field[1], model.model_fields[field[1]]))
        return "\n".join(lines[1:])

    return tables


def routes() -> str:
    """A table of the gateway's routes, by what they are about."""
    described = create_app(GatewaySettings()).openapi()
    rows: list[str] = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            does = operation["description"].partition("\n\n")[0].replace("\n", " ")
            rows.append(_row(f"`{method.upper()} {path}`", does))
    return "\n".join([*_head("route", "what it does"), *rows])


def _setting_row(model: type[BaseModel], prefix: str, name: str, field: FieldInfo) -> str:
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    shown = "" if default in (None, "", ()) else f"`{_plain(default)}` {unit}".rstrip()
    values = _allowed(_schema_of(model, name))
    return _row(f"`{prefix}{name.upper()}`", shown, values, field.description or "")


ERROR_MODULES: Final = (
    "base",
    "jobs",
    "job_lists",
    "workers",
    "sources",
    "images",
    "pdf",
    "engines",
    "storage",
    "broker",
    "access",
    "notices",
    "requests",
)
"""Of ocrqueue.errors, in the order of the page."""


def error_codes() -> str:
    """A table for each module of ocrqueue.errors, with its classes in their order."""
    lines: list[str] = []
    by_module: dict[str, list[type[OcrQueueError]]] = {}
    for cls in sorted(error_classes().values(), key=_line_of):
        by_module.setdefault(cls.__module__, []).append(cls)
    missing = by_module.keys() ^ {f"{errors.__name__}.{name}" for name in ERROR_MODULES}
    if missing:
        raise SystemExit(f"docs/generate.py: ERROR_MODULES and these modules differ: {', '.join(sorted(missing))}")
    for module in (sys.modules[f"{errors.__name__}.{name}"] for name in ERROR_MODULES):
        title = (module.__doc__ or "").split(".", 1)[0]
        lines += ["", f"## {title}", "", *_head("code", "exception", "what happened", "a retry can help", "what to do")]
        for cls in by_module[module.__name__]:
            happened = (cls.__doc__ or "").strip().splitlines()[0]
            # a problem of the gateway names its code's place on the page
            name = f'<a id="{cls.code}"></a>`{cls.__name__}`'
            lines.append(_row(f"`{cls.code}`", name, happened, "yes" if cls.retryable else "no", cls.remedy))
    return "\n".join(lines[1:])


def _line_of(cls: type[OcrQueueError]) -> int:
    return inspect.getsourcelines(cls)[1]


def fields_of(model: type[BaseModel], kind: str) -> Callable[[], str]:
    """A table of a model's fields; `kind` is what they are called."""

    def table() -> str:
        rows = [_row(f"`{name}`", *_type_and_default(model, name, field)) for name, field in model.model_fields.items()]
        return "\n".join([*_head(kind, "values", "default", "meaning"), *rows])

    return table


def metrics_of(declared: Iterable[Metric]) -> Callable[[], str]:
    """A table of metrics."""

    def table() -> str:
        rows = [
            _row(f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
            for metric in declared
        ]
        return "\n".join([*_head("metric", "kind", "labels", "tells"), *rows])

    return table


PARTS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "client-settings": settings_of(ClientSettings, "OCRQUEUE_", "###"),
        "worker-settings": settings_of(WorkerSettings, "OCRQUEUE_", "###"),
        "gateway-settings": settings_of(GatewaySettings, "OCRQUEUE_GATEWAY_", "###"),
        "gateway-routes": routes,
        "errors": error_codes,
        "job-fields": fields_of(Job, "field"),
        "tesseract-options": fields_of(TesseractOptions, "option"),
        "keras-options": fields_of(KerasOptions, "option"),
        "rapid-options": fields_of(RapidOptions, "option"),
        "vision-options": fields_of(VisionOptions, "option"),
        "vision-languages": lambda: ", ".join(f"`{name}`" for name in sorted(HINTS)),
        "installation-metrics": metrics_of((UP, *INSTALLATION_METRICS)),
        "gateway-metrics": metrics_of(GATEWAY_METRICS),
        "worker-metrics": metrics_of((*WORKER_METRICS, *GAUGES)),
        "null-options": fields_of(NullOptions, "option"),
    }
)


def _type_and_default(model: type[BaseModel], name: str, field: FieldInfo) -> tuple[str, str, str]:
    schema = _schema_of(model, name)
    if field.is_required():
        shown = "required"
    elif field.default_factory is not None or field.default in (None, "", ()):
        shown = ""
    else:
        shown = f"`{_plain(field.default)}`"
    return _allowed(schema) or _type(schema), shown, field.description or ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _schema_of(model: type[BaseModel], name: str) -> dict[str, Any]:
    """The field's JSON Schema, without the null of an optional one."""
    found: dict[str, Any] = json_schema(model)["properties"][name]
    choices = [choice for choice in found.get("anyOf", []) if choice.get("type") != "null"]
    return choices[0] if len(choices) == 1 else found


def _allowed(schema: Mapping[str, Any]) -> str:
    """Choices or limits; empty where the type says it all."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("format") == "per-engine":
        return "number, or by engine: `1,keras=2`"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']:g} to {schema['maximum']:g}"
    limits = [text.format(f"{schema[key]:g}") for key, text in _COMPARISONS.items() if key in schema]
    return ", ".join(limits)


def _type(schema: Mapping[str, Any]) -> str:
    names = {"array": "list", "boolean": "true, false", "object": "object", "string": "text"}
    kind = str(schema.get("type", ""))
    if kind == "string" and "maxLength" in schema:
        return f"text, up to {schema['maxLength']} characters"
    return "RFC 3339 time" if schema.get("format") == "date-time" else names.get(kind, kind)


def _head(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in escaped)}|"


def render(text: str) -> str:
    """`text` with its generated parts made anew. Raises KeyError for a part that is not in PARTS."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[4]}", text)


def stale(pages: Iterable[Path]) -> dict[Path, str]:
    """The pages that are out of date, and what they should be."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    return {page: new for page, text in texts.items() if (new := render(text)) != text}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if something is out of date.")
def main(check: bool) -> None:
    """Write what docs/*.md repeat of the code."""
    found = stale(sorted(DOCS.glob("*.md")))
    for page, text in found.items():
        click.echo(f"{page.name}: {'out of date; run: python docs/generate.py' if check else 'written'}", err=True)
        if not check:
            page.write_text(text, encoding="utf-8")
    sys.exit(1 if check and found else 0)


if __name__ == "__main__":
    main()
