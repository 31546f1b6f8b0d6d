"""`ocrqueue schema`."""

from __future__ import annotations

import json

import click
from pydantic import BaseModel

from ocrqueue.document import Document, json_schema
from ocrqueue.job import Job

_MODELS: dict[str, type[BaseModel]] = {"job": Job, "document": Document}


@click.command()
@click.argument("name", type=click.Choice(sorted(_MODELS)), metavar="job|document")
def schema(name: str) -> None:
    """Print the JSON Schema of a job or document.

    `job` is for messages, `document` for result.json.
    """
    click.echo(json.dumps(json_schema(_MODELS[name]), indent=2))
