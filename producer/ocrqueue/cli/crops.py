"""`ocrqueue crops`."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from ocrqueue.cli.documents import safe_name, say_page_errors
from ocrqueue.cli.exit_codes import exit_of_states
from ocrqueue.cli.output import json_option, print_json, say
from ocrqueue.cli.results import finished_document
from ocrqueue.client import OcrQueue
from ocrqueue.document import Word
from ocrqueue.document.written_file import write_whole
from ocrqueue.errors import CropMissing

_LONGEST_PART = 100
"""Bytes; a file name has 255."""


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--output-dir",
    "-O",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the PNG files; created if it is missing.",
)
@json_option
@click.pass_context
def crops(context: click.Context, job_id: str, folder: Path, as_json: bool) -> None:
    """Download a picture of each word.

    Each picture becomes WORD_ID-TEXT.png in the folder. With --json, one object a line: id, text, confidence and file.
    """
    with OcrQueue() as queue:
        document = finished_document(context, queue, job_id)
        words = [word for word in document.words() if word.crop is not None]
        if not words and any(True for _ in document.words()):
            raise CropMissing(f"Job {job_id} has no crops.", remedy="Submit it with --crops objects or archive.")
        folder.mkdir(parents=True, exist_ok=True)

        def download(word: Word) -> Path:
            path = folder / crop_name(word)
            write_whole(path, word.crop.open().getvalue() if word.crop else b"")
            return path

        with ThreadPoolExecutor(queue.settings.upload_threads) as threads:
            for word, path in zip(words, threads.map(download, words), strict=True):
                if as_json:
                    print_json({"id": word.id, "text": word.text, "confidence": word.confidence, "file": str(path)})
    if not as_json:
        say(f"{len(words)} crops are in {folder}")
    say_page_errors(document, job_id)
    context.exit(exit_of_states([document.status]))


def crop_name(word: Word) -> str:
    """The word's id and, for people, what of its text can stand in a file name."""
    text = safe_name(unicodedata.normalize("NFC", word.text), _LONGEST_PART).replace(" ", "_").strip("_")
    name = safe_name(word.id, _LONGEST_PART) or "word"
    return f"{name}-{text}.png" if text else f"{name}.png"
