"""The files that a job asks for beside its result: stored by the worker, fetched, and gone with the job."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from click.testing import CliRunner
from PIL import Image, ImageDraw

from ocrqueue import AsyncOcrQueue, Document, OcrQueue
from ocrqueue.cleaning import Cleaning
from ocrqueue.cli.program import program
from ocrqueue.core import Hold, Outcome, WorkerRegistry
from ocrqueue.document import stored_document
from ocrqueue.document.formats import FORMATS
from ocrqueue.document.formats import pdf as formats_pdf
from ocrqueue.document.formats.files import KINDS
from ocrqueue.document.formats.page_image import ImageFile
from ocrqueue.errors import JobMalformed, OutputMissing, StorageUnavailable
from ocrqueue.job import Job
from ocrqueue.job.names import NEEDS_IMAGE, OUTPUTS
from ocrqueue.storage import Storage, open_storage
from ocrqueue_worker.engines.null import NullEngine
from ocrqueue_worker.limits.time_limits import TimeLimits
from ocrqueue_worker.pipeline.attempt import Workplace
from ocrqueue_worker.pipeline.job_reader import _is_referred
from ocrqueue_worker.task.delivery import Delivery
from ocrqueue_worker.task.run_job import read_job
from tests.integration.conftest import Installation
from tests.integration.test_jobs import plain_celery
from tests.support.moves import hold_of, job, submit
from tests.support.pictures import png, text_picture, tiff
from tests.support.processes import as_environment

pypdfium2 = pytest.importorskip("pypdfium2")

pytest_plugins = ["tests.support.server_fixtures"]


def fresh_picture(*lines: str) -> Image.Image:
    """A picture that no cache knows."""
    picture = text_picture(*lines or ("Hello 42", "second line"))
    draw = ImageDraw.Draw(picture)
    for place, value in enumerate(uuid.uuid4().bytes):
        # too light to be read
        draw.point((639 - place, 159), 128 + value // 2)
    return picture


def text_of(pdf: bytes) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as opened:
        return [page.get_textpage().get_text_range().split() for page in opened]


# --- through the whole system -----------------------------------------------------------------------------------------


def test_every_format_is_stored_beside_the_result(queue: OcrQueue, tmp_path: Path) -> None:
    image = tiff(fresh_picture(), fresh_picture("Page two"))
    document = queue.submit(image, outputs=OUTPUTS).result(120)
    assert [(each.format, each.page) for each in document.outputs] == [
        item for name in OUTPUTS for item in ([(name, 1), (name, 2)] if name == "page" else [(name, None)])
    ]
    assert document.warnings == ()
    alone = document.model_copy(update={"outputs": ()})
    for name in FORMATS:
        if name not in {"json", "page"}:
            method = {"text-layout": "to_text"}.get(name, f"to_{name}")
            options = {"layout": True} if name == "text-layout" else {}
            assert document.output(name).open().read().decode() == getattr(alone, method)(**options), name
    stored = stored_document(document.output("json").open().read())
    assert [page.model_dump() for page in stored.pages] == [page.model_dump() for page in document.pages]
    assert document.output("page", 2).open().read().decode() == document.to_page(2)
    assert document.output("pdf").open().read() == document.to_pdf(image)
    for path in (tmp_path / "a.pdf", f"{tmp_path}/b.pdf"):
        document.output("pdf").save(path)
        assert Path(path).read_bytes() == document.to_pdf(image)
    assert document.output("overlay-pdf").open().read() == document.to_overlay_pdf(image)
    assert document.output("overlay-html").open().read().decode() == document.to_overlay_html(image)
    assert text_of(document.output("pdf").open().read()) == [page.text.split() for page in document.pages]
    with pytest.raises(OutputMissing):
        document.output("page", 3)


def test_all_doors_take_outputs_and_the_cache_has_none_of_another_job(
    queue: OcrQueue, installation: Installation
) -> None:
    image = installation.file_root / f"{uuid.uuid4().hex}.png"
    image.write_bytes(png(fresh_picture()))
    first = queue.submit(image, outputs=["pdf"]).result(60)

    async def ask() -> Document:
        async with AsyncOcrQueue(installation.settings) as client:
            submitted = await client.submit(image, outputs=["alto", "pdf"])
            return await submitted.result(60)

    second = asyncio.run(ask())
    assert second.cached
    assert [each.format for each in second.outputs] == ["alto", "pdf"]
    assert second.output("pdf").uri != first.output("pdf").uri
    third = queue.submit(image).result(60)
    assert third.cached
    assert third.outputs == ()
    assert "outputs" not in third.model_dump(mode="json")
    queue.delete(first.job_id)
    assert second.output("pdf").open().read() == second.to_pdf(image.read_bytes())
    app = plain_celery(installation)
    named = app.send_task(
        "ocrqueue.recognize", kwargs={"job": {"image": image.as_uri(), "outputs": ["hocr"]}}, queue="ocr.tesseract"
    )
    assert named.get(timeout=60)["state"] == "succeeded"
    assert [each.name for each in queue.job(named.id).result().outputs] == ["document.hocr"]
    refused = app.send_task(
        "ocrqueue.recognize", kwargs={"job": {"image": image.as_uri(), "outputs": ["docx"]}}, queue="ocr.tesseract"
    )
    with pytest.raises(Exception, match=r"job\.malformed: .*'alto'"):
        refused.get(timeout=60)
    app.close()


def test_a_file_that_cannot_be_written_costs_no_other_and_nothing_that_was_there(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(installation.settings).items()}
    images = [tmp_path / f"{name}.png" for name in ("one", "two", "three")]
    for image in images:
        image.write_bytes(png(fresh_picture()))
    spoiled, out = images[1].read_bytes(), tmp_path / "out"
    out.mkdir()
    (out / "two.pdf").write_bytes(b"good")
    write = formats_pdf.write_pdf

    def write_or_fail(document: Document, file: ImageFile, target: BinaryIO, **how: Any) -> None:
        if file.data == spoiled:
            target.write(b"%PDF-1.7")
            raise TypeError("object of a damaged file")
        write(document, file, target, **how)

    monkeypatch.setattr(formats_pdf, "write_pdf", write_or_fail)

    def ask(*arguments: str) -> Any:
        result = CliRunner(env=given).invoke(program, arguments, prog_name="ocrqueue")
        assert result.exit_code == 1, (result.stdout, result.stderr, result.exc_info)
        assert ".pdf: internal.error: TypeError: object of a damaged file" in result.stderr
        assert result.stderr.count("\nerror: ") + result.stderr.startswith("error: ") == 1
        return result

    told = ask("submit", *map(str, images), "-e", "null", "-f", "pdf", "-O", str(out), "--json").stdout
    ended = {Path(each["source"]).stem: each for each in map(json.loads, told.splitlines())}
    assert {path.name: path.read_bytes()[:4] for path in out.iterdir()} == {
        "one.pdf": b"%PDF",
        "two.pdf": b"good",
        "three.pdf": b"%PDF",
    }
    assert [ended[name].get("output_errors") is None for name in ("one", "two", "three")] == [True, False, True]
    assert ended["two"]["output"] == []
    keep = tmp_path / "two.pdf"
    keep.write_bytes(b"good")
    alone = CliRunner(env=given).invoke(program, ["result", ended["two"]["id"], "-f", "pdf", "-O", str(keep)])
    assert alone.exit_code == 1
    assert "internal.error: TypeError" in alone.stderr
    assert keep.read_bytes() == b"good"
    ask("result", ended["two"]["id"], "-f", "pdf", "--output-dir", str(out))


def test_the_command_line_submits_fetches_and_deletes(installation: Installation, tmp_path: Path) -> None:
    image = tmp_path / "scan.png"
    image.write_bytes(png(fresh_picture()))
    environment = {
        f"OCRQUEUE_{name.upper()}": str(value) for name, value in as_environment(installation.settings).items()
    }

    def ask(*arguments: str, status: int = 0) -> Any:
        result = CliRunner(env=environment).invoke(program, arguments, prog_name="ocrqueue")
        assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
        return result

    ask("submit", str(image), "--outputs", "pdf,alto", "--output-dir", str(tmp_path / "out"), "--tag", "outputs")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scan.pdf", "scan.alto.xml"}
    (found,) = installation.queue.jobs(tag="outputs").jobs
    job_id = found.id
    pdf = (tmp_path / "out/scan.pdf").read_bytes()
    assert ask("result", job_id, "-f", "pdf").stdout_bytes == pdf
    ask("result", job_id, "--output-dir", str(tmp_path / "again"))
    assert (tmp_path / f"again/{job_id}.pdf").read_bytes() == pdf
    ask("result", job_id, "-f", "csv", "--output-dir", str(tmp_path / "again"))
    assert (tmp_path / f"again/{job_id}.csv").read_text().startswith("page,")
    refused = ask("submit", str(image), "--outputs", "docx", status=2)
    assert "'alto'" in refused.stderr
    storage = open_storage(installation.settings)
    # a second attempt, of a worker that gave the job back, has a folder of its own
    stored = [key for key in storage.list(f"results/{job_id}/") if "/outputs" in key]
    assert {key.rpartition(".")[2] for key in stored} == {"pdf", "xml"}
    ask("delete", job_id)
    assert list(storage.list(f"results/{job_id}")) == []


@pytest.mark.parametrize("route", ["compare", "fallback"])
def test_jobs_of_several_engines_have_outputs_of_what_stands_at_the_end(queue: OcrQueue, route: str) -> None:
    engines = {"compare": ["tesseract", "null"]} if route == "compare" else {"fallback": ["null"]}
    image = png(fresh_picture())
    document = queue.submit(image, outputs=["pdf", "csv"], **cast("Any", engines)).result(60)
    assert document.trail
    assert document.output("csv").open().read().decode() == document.to_csv()
    assert document.output("pdf").open().read() == document.to_pdf(image)


def test_names_of_no_format_are_refused_before_anything_is_stored(queue: OcrQueue) -> None:
    for outputs in (["docx"], ["pdf", "pdf"], "pdf"):
        with pytest.raises(JobMalformed) as error:
            queue.submit(png(fresh_picture()), outputs=cast("Any", outputs))
        assert outputs != ["docx"] or all(f"'{name}'" in error.value.message for name in OUTPUTS)


def test_each_format_has_a_kind_of_file() -> None:
    assert set(KINDS) == set(OUTPUTS) == {*FORMATS, *NEEDS_IMAGE}
    assert len({kind.ending for kind in KINDS.values()}) == len(KINDS)


# --- one attempt at a time --------------------------------------------------------------------------------------------


class Reading:
    """Jobs of the null engine, read here."""

    def __init__(self, registry: WorkerRegistry) -> None:
        self.registry, self.storage = registry, open_storage(registry.settings)
        self.workplace = Workplace(registry.settings, registry, self.storage, lambda _: NullEngine(registry.settings))

    def submitted(self, image: bytes, **fields: object) -> Job:
        reference = self.storage.put(f"scans/{uuid.uuid4().hex}", image, "image/png")
        made = job(image=reference, **fields)
        submit(self.registry, made)
        return made

    def read(self, made: Job, hold: Hold | None = None) -> Document:
        delivery = Delivery(made, hold or hold_of(self.registry), self.workplace, "worker@host")
        start = delivery.begin()
        outcome = cast("Outcome", read_job(made, delivery.hold, start, self.workplace))
        delivery.end(outcome, start)
        if outcome.result is None:
            raise AssertionError(outcome)
        return stored_document(self.storage.read_uri(outcome.result)).bind(self.storage)

    def stored(self, made: Job) -> list[str]:
        folder = f"results/{made.id}/"
        return sorted(key.removeprefix(folder) for key in self.storage.list(folder))


@pytest.fixture
def reading(registry: WorkerRegistry) -> Reading:
    return Reading(registry)


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [ValueError("nonsense"), MemoryError(), SoftTimeLimitExceeded(), OSError(28, "No space left on device")],
    ids=lambda error: type(error).__name__,
)
def test_an_output_that_fails_is_a_warning_of_a_job_that_succeeds(
    reading: Reading, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.document.formats.pdf.write_pdf", failing(error))
    made = reading.submitted(png(Image.new("L", (60, 40))), outputs=["alto", "pdf", "csv"], crops="none")
    document = reading.read(made)
    assert document.status == "succeeded"
    # the time that is up is up for what comes after, too
    missing = {"pdf", "csv"} if isinstance(error, SoftTimeLimitExceeded) else {"pdf"}
    assert [warning.code for warning in document.warnings] == ["output.failed"] * len(missing)
    assert {each.format for each in document.outputs} == {"alto", "pdf", "csv"} - missing
    assert reading.stored(made) == sorted(["result.json", *(f"outputs/{each.name}" for each in document.outputs)])


def test_storage_that_takes_no_output_costs_the_output_alone(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a format with a file for each page, none stays."""
    put = reading.storage.put_file

    def put_but_one(key: str, *rest: Any) -> str:
        if key.endswith("p002.page.xml"):
            raise StorageUnavailable
        return put(key, *rest)

    monkeypatch.setattr(reading.storage, "put_file", put_but_one)
    pages = [Image.new("L", (60 + number, 40)) for number in range(3)]
    made = reading.submitted(tiff(*pages), outputs=["page", "csv"], crops="none")
    document = reading.read(made)
    (warning,) = document.warnings
    assert warning.message.startswith("The output page is not there: storage.unavailable: ")
    assert reading.stored(made) == ["outputs/document.csv", "result.json"]


def test_outputs_end_with_the_jobs_time(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Image.new("L", (60 + number, 40)) for number in range(3)]
    made = reading.submitted(tiff(*pages), outputs=["hocr", "pdf"], crops="none")
    monkeypatch.setattr(TimeLimits, "outputs_s", -1.0)
    document = reading.read(made)
    assert document.outputs == ()
    assert [warning.code for warning in document.warnings] == ["output.failed"] * 2
    assert "time limit" in document.warnings[0].message
    assert reading.stored(made) == ["result.json"]


def test_what_was_read_in_parts_is_written_when_it_is_gathered(reading: Reading) -> None:
    pages = [Image.new("L", (60 + number, 40), 255) for number in range(3)]
    made = reading.submitted(tiff(*pages), outputs=["pdf", "page"], options={"split": True}, crops="none")
    delivery = Delivery(made, hold_of(reading.registry), reading.workplace, "worker@host")
    start = delivery.begin()
    delivery.end(read_job(made, delivery.hold, start, reading.workplace), start)
    closing = None
    for _ in pages:
        part = Delivery(made, hold_of(reading.registry), reading.workplace, "worker@host")
        start = part.begin()
        closing = part.end(read_job(made, part.hold, start, reading.workplace), start)
    assert closing is not None
    document = reading.read(made, closing.hold)
    assert len(text_of(document.output("pdf").open().read())) == 3
    assert len(document.outputs) == 4
    assert reading.stored(made) == sorted(["result.json", *(f"outputs/{each.name}" for each in document.outputs)])


def test_a_source_that_has_changed_since_gives_no_picture(reading: Reading) -> None:
    """The pages are of another file than the one that is there when they are gathered."""
    pages = [Image.new("L", (60 + number, 40), 255) for number in range(2)]
    made = reading.submitted(tiff(*pages), outputs=["pdf", "csv"], options={"split": True}, crops="none")
    closing = None
    for _ in range(3):
        part = Delivery(made, hold_of(reading.registry), reading.workplace, "worker@host")
        start = part.begin()
        closing = part.end(read_job(made, part.hold, start, reading.workplace), start)
    reading.storage.put(made.image.rpartition("/scans/")[1].strip("/") + "/" + made.image.rpartition("/")[2], b"x", "")
    assert closing is not None
    document = reading.read(made, closing.hold)
    assert [each.format for each in document.outputs] == ["csv"]
    assert "source.changed" in document.warnings[0].message


def test_a_second_attempt_leaves_nothing_of_the_first(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reading.submitted(png(Image.new("L", (60, 40))), outputs=["csv"], crops="none")
    put_once = reading.storage.put_once
    monkeypatch.setattr(reading.storage, "put_once", failing(StorageUnavailable("It is away.")))
    hold = hold_of(reading.registry)
    first = Delivery(made, hold, reading.workplace, "worker@host")
    start = first.begin()
    with pytest.raises(StorageUnavailable) as error:
        read_job(made, hold, start, reading.workplace)
    assert reading.stored(made) == ["outputs/document.csv"]
    monkeypatch.setattr(reading.storage, "put_once", put_once)
    first.give_back(error.value)
    document = reading.read(made)
    assert document.attempts == 2
    output, result = reading.stored(made)
    assert re.fullmatch(r"outputs-2-[0-9a-f]{8}/document\.csv", output)
    assert result == "result.json"


def test_an_engine_that_fetches_by_itself_does_not_where_a_format_shows_the_page() -> None:
    engine = cast("Any", SimpleNamespace(reference_schemes=("s3",)))
    asked = {"image": "s3://b/page.png", "crops": "none"}
    assert _is_referred(engine, Job.model_validate({**asked, "outputs": ["csv"]}))
    assert not _is_referred(engine, Job.model_validate({**asked, "outputs": ["csv", "pdf"]}))


def test_cleaning_takes_outputs_with_the_result(reading: Reading, registry: WorkerRegistry) -> None:
    made = reading.submitted(png(Image.new("L", (60, 40))), outputs=["csv", "pdf"], crops="none")
    reading.read(made)
    registry.client.delete(registry.keys.record(made.id))
    storage: Storage = reading.storage
    done = Cleaning(registry, storage, False, -60, least_age_s=-60).run()
    assert (done.results.count, done.results.objects) == (1, 3)
    assert reading.stored(made) == []


def test_a_picture_that_pillow_does_not_read_by_itself_is_drawn_as_it_was_read(reading: Reading) -> None:
    """A PNG without its end."""
    whole = BytesIO()
    Image.radial_gradient("L").save(whole, "PNG")
    made = reading.submitted(whole.getvalue()[:-20], outputs=["pdf"], crops="none")
    document = reading.read(made)
    assert [warning.code for warning in document.warnings if warning.code == "output.failed"] == []
    with pypdfium2.PdfDocument(document.output("pdf").open().read()) as pdf:
        assert pdf[0].render(scale=1).to_pil().convert("L").getextrema()[1] > 100
