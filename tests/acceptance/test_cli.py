"""The `ocrqueue` command as a user runs it: real processes, a real Redis, real workers, storage in a folder."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue import OcrQueue
from ocrqueue.client import registry_of
from ocrqueue.local import LocalSystem
from tests.support.processes import need_program, wait_until
from tests.support.servers import Exchange, http_server
from tests.support.servers import answer as http_answer

SAMPLES = Path(__file__).parents[2] / "samples"
RECEIPT = SAMPLES / "receipt.jpg"
TWO_PAGES = SAMPLES / "contract.tif"
OCRQUEUE = str(Path(sys.executable).with_name("ocrqueue"))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A Tesseract worker and a null worker that takes one job at a time."""
    for program in ("redis-server", "tesseract"):
        need_program(program)
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OCRQUEUE_SOURCE_FILE_ROOTS", str(folder))
        patch.setenv("OCRQUEUE_SHUTDOWN_GRACE_S", "1")
        patch.setenv("OCRQUEUE_SOURCE_ALLOWED_NETWORKS", "127.0.0.1/32")
        patch.setenv("OCRQUEUE_SOURCE_CONNECT_TIMEOUT_S", "60")
        # a busy machine takes long for the commands during which a job is to run
        patch.setenv("OCRQUEUE_SOFT_TIME_LIMIT_S", "1000")
        patch.setenv("OCRQUEUE_HARD_TIME_LIMIT_S", "1100")
        patch.chdir(folder)
        with LocalSystem(folder / "data", ["tesseract", "null"], concurrency=1) as running:
            yield running


@pytest.fixture
def run(system: LocalSystem, tmp_path: Path) -> Run:
    """Runs `ocrqueue ARGUMENTS` in an empty folder and checks its exit status."""

    def run_command(*arguments: object, status: int = 0, stdin: str = "", **environment: str) -> object:
        done = subprocess.run(
            [OCRQUEUE, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env=system.environment | environment,
            cwd=tmp_path,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return run_command


@pytest.fixture
def busy_worker(run: Run, system: LocalSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The id of a job that keeps the null worker busy for as long as the test lasts; it is running."""
    image = tmp_path_factory.mktemp("busy") / "many-pages.tif"
    pages = [Image.new("L", (8, 8), shade) for shade in range(200)]
    pages[0].save(image, save_all=True, append_images=pages[1:])
    job_id = run("submit", image, "-e", "null", "-o", "delay_s=1.5", "--priority", "high").stdout.strip()
    with OcrQueue(system.settings) as queue:
        wait_until(lambda: queue.job(job_id).status().state == "running", 60, "it is running")
    yield job_id
    run("cancel", job_id)
    run("wait", job_id, "--timeout", 60, status=6)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# --- submit -----------------------------------------------------------------------------------------------------------


def test_submit_prints_the_text_of_an_image(run: Run) -> None:
    done = run("submit", RECEIPT, "--format", "text", "-o", "psm=6", "-l", "eng")
    assert "GREEN LANTERN GROCERY" in done.stdout
    assert done.stderr == ""


def test_what_is_piped_is_ids_alone_and_they_can_be_piped_on(run: Run) -> None:
    ids = run("submit", RECEIPT, RECEIPT, "-e", "null").stdout
    assert len(ids.split()) == len(set(ids.split())) == 2
    done = run("wait", "-", "nonesuch", "--json", stdin=ids, status=3)
    *known, unknown = lines(done.stdout)
    assert {str(status["id"]) for status in known} == set(ids.split())
    assert {status["state"] for status in known} == {"succeeded"}
    assert (unknown["id"], unknown["state"]) == ("nonesuch", "unknown")


def test_a_glob_in_quotes_and_files_of_the_same_name_go_to_files_of_their_own(run: Run, tmp_path: Path) -> None:
    for name in ("a/page.jpg", "a/page.jpeg", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(RECEIPT.read_bytes())
    run("submit", "a/*", RECEIPT, "-e", "null", "-o", "words=3", "-f", "json", "-O", "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("page.jpeg.json", "page.jpg.json", "receipt.json"),
    ]
    document = json.loads((tmp_path / "out/page.jpg.json").read_text(encoding="utf-8"))
    assert document["engine"]["name"] == "null"
    no_match = run("submit", "b/*", status=2)
    assert "No file matches 'b/*'" in no_match.stderr


def test_names_from_stdin_are_paths_and_references(run: Run, tmp_path: Path, system: LocalSystem) -> None:
    (tmp_path / "one.jpg").write_bytes(RECEIPT.read_bytes())
    with OcrQueue(system.settings) as queue:
        stored = queue.storage.put("inputs/two.jpg", RECEIPT.read_bytes(), "image/jpeg")
    done = run("submit", "-", "-e", "null", "--wait", "--json", stdin=f"one.jpg\n\n{stored}\r\n")
    assert {(status["source"], status["state"]) for status in lines(done.stdout)} == {
        ("one.jpg", "succeeded"),
        (stored, "succeeded"),
    }


def test_what_was_queued_before_an_error_is_told(run: Run) -> None:
    names = "https://host.example/page.png?secret\n" * 500 + "missing.png\n"
    lonely = {"stdin": names, "OCRQUEUE_ENGINES": "lonely", "status": 2}
    piped = run("submit", "-", "-e", "lonely", "--json", **lonely)
    queued = lines(piped.stdout)
    assert {record["image"] for record in queued} == {"https://host.example/page.png?..."}
    assert len({str(record["id"]) for record in queued}) == 500
    assert "There is no file 'missing.png'" in piped.stderr
    waiting = run("submit", "-", "-e", "lonely", "--wait", **lonely)
    assert len(re.findall(r"^queued before the error: \S{36}$", waiting.stderr, re.MULTILINE)) == 500


def test_several_images_on_stdout_are_titled_and_in_order(run: Run, tmp_path: Path) -> None:
    (tmp_path / "slow.jpg").write_bytes(RECEIPT.read_bytes())
    done = run("submit", "slow.jpg", TWO_PAGES, "-e", "null", "-f", "text")
    assert done.stdout == f"==> slow.jpg <==\nnull1\n==> {TWO_PAGES} <==\nnull1\n\fnull1\n"
    hocr = run("submit", "slow.jpg", TWO_PAGES, "-e", "null", "-f", "hocr", status=2)
    assert "--output-dir" in hocr.stderr


def test_all_fields_of_a_job_can_be_given(run: Run, system: LocalSystem) -> None:
    fields = ("--priority", "high", "--crops", "none", "--crop-padding", 5, "--reply-to", "answers")
    whose = ("--tag", "쪽지", "--tenant", "acme")
    job_id = run(
        *("submit", RECEIPT, "-e", "null", "-l", "kor+eng", "-l", "deu", "-o", "words=2", "-o", "delay_s=0.5"),
        *(*fields, *whose, "--no-cache", "--idempotency-key", "only-once"),
    ).stdout.strip()
    again = run("submit", RECEIPT, "-e", "null", "--tenant", "acme", "--idempotency-key", "only-once").stdout.strip()
    assert again == job_id
    of_another = run("submit", RECEIPT, "-e", "null", "--idempotency-key", "only-once").stdout.strip()
    assert of_another != job_id, "a key is a tenant's own"
    with OcrQueue(system.settings) as queue:
        (job,) = registry_of(queue).jobs([job_id])
    assert job is not None
    assert job.languages == ("kor", "eng", "deu")
    assert job.options == {"words": 2, "delay_s": 0.5}
    assert (job.tag, job.priority, job.crops, job.crop_padding) == ("쪽지", "high", "none", 5)
    assert (job.reply_to, job.cache, job.tenant) == ("answers", False, "acme")


def test_a_failed_job_is_an_exit_status_and_one_line(run: Run) -> None:
    done = run("submit", RECEIPT, "-e", "null", "-o", "fault=error", "--wait", status=1)
    assert re.search(r"^error: .*receipt\.jpg: engine\.failed: .*$", done.stderr, re.MULTILINE)
    (record,) = lines(run("submit", RECEIPT, "-e", "null", "-o", "fault=error", "--wait", "--json", status=1).stdout)
    assert record["state"] == "failed"
    assert record["error"]["code"] == "engine.failed"  # type: ignore[index]  # JSON


def test_a_partial_job_has_a_result_and_an_exit_status_of_its_own(run: Run, tmp_path: Path) -> None:
    options = ("-e", "null", "-o", "fault=error", "-o", "fault_page=2")
    done = run("submit", TWO_PAGES, *options, "-f", "text", status=7)
    assert done.stdout == "null1\n\f\n"
    assert "page 2: engine.failed" in done.stderr
    done = run("submit", TWO_PAGES, *options, "-O", "out", "--json", status=7)
    (record,) = lines(done.stdout)
    assert (tmp_path / str(record["output"])).read_text(encoding="utf-8") == "null1\n\f\n"
    assert "page 2: engine.failed" in done.stderr
    run("overlay", record["id"], "-O", "drawn.png", status=7)
    assert [path.name for path in tmp_path.glob("drawn*")] == ["drawn-p001.png"]


def test_running_out_of_time_names_the_jobs_that_go_on(run: Run, busy_worker: str) -> None:
    done = run("submit", RECEIPT, "-e", "null", "--timeout", "0.3", "--json", status=4)
    queued, error = lines(done.stdout)
    assert queued["state"] == "queued"
    assert error["error"]["code"] == "job.wait_timeout"  # type: ignore[index]  # JSON
    assert str(queued["id"]) in done.stderr
    run("cancel", queued["id"])


def test_ctrl_c_ends_the_wait_and_not_the_job(run: Run, system: LocalSystem, busy_worker: str) -> None:
    waiting = subprocess.Popen(
        [OCRQUEUE, "wait", busy_worker], env=system.environment, stderr=subprocess.PIPE, encoding="utf-8"
    )
    with OcrQueue(system.settings) as queue:
        try:
            wait_until(lambda: _subscribers(queue) > 0, 60, "the command waits")
            waiting.send_signal(signal.SIGINT)
            _, complaints = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
            waiting.communicate()
        assert queue.job(busy_worker).status().state == "running"
    assert waiting.returncode == 130
    assert busy_worker in complaints
    assert complaints.splitlines()[-1] == "interrupted"


def _subscribers(queue: OcrQueue) -> int:
    counts = registry_of(queue).client.pubsub_numsub(*(f"ocrqueue:events:{part}" for part in range(16)))
    return sum(count for _, count in counts)


def test_a_terminal_sees_progress_and_a_pipe_does_not(run: Run, system: LocalSystem, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    variables = system.environment | {"TERM": "xterm-256color", "COLUMNS": "100"}
    is_drawn = threading.Event()

    def image(exchange: Exchange) -> None:
        # the job runs for as long as the command takes to say so
        is_drawn.wait(50)
        http_answer(200, RECEIPT.read_bytes())(exchange)

    with http_server(image) as server:
        command = [OCRQUEUE, "submit", server.url("/receipt.jpg"), "-e", "null", "-f", "text"]
        with subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.PIPE, stderr=terminal) as process:
            os.close(terminal)
            drawn = b""
            with suppress(OSError):  # EIO: nobody has the terminal open any more
                while part := os.read(main, 65536):
                    drawn += part
                    if b"1 running" in drawn:
                        is_drawn.set()
            text, _ = process.communicate(timeout=60)
    os.close(main)
    assert process.returncode == 0
    assert b"0/1" in drawn
    assert b"1 running" in drawn
    assert text == b"null1\n"


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_status_of_one_of_many_and_of_none(run: Run) -> None:
    first, second = run("submit", RECEIPT, TWO_PAGES, "-e", "null", "--tag", "T").stdout.split()
    run("wait", first, second)
    detail = run("status", first).stdout
    for text in (first, "succeeded", "null", "1 of 1", "T"):
        assert text in detail
    table = run("status", first, second, "gone", status=3)
    assert first in table.stdout
    assert second in table.stdout
    assert "\x1b" not in table.stdout
    assert table.stderr.startswith("error: job.unknown: No job gone.")
    records = lines(run("status", second, "gone", "--json", status=3).stdout)
    assert [record["state"] for record in records] == ["succeeded", "unknown"]


@pytest.mark.parametrize("command", ["wait", "result", "cancel", "crops -O out", "overlay"])
def test_an_unknown_id_is_an_error_of_its_own(run: Run, command: str) -> None:
    name, *options = command.split()
    done = run(name, "nonesuch", *options, "--json", status=3)
    assert done.stderr.startswith("error: job.unknown: No job nonesuch.")
    (answer,) = lines(done.stdout)
    assert answer["error"]["code"] == "job.unknown"  # type: ignore[index]  # JSON


def test_cancel(run: Run, busy_worker: str) -> None:
    job_id = run("submit", RECEIPT, "-e", "null").stdout.strip()
    assert "job.not_finished" in run("result", job_id, status=4).stderr
    assert run("cancel", job_id).stdout == f"{job_id}  cancelled\n"
    assert lines(run("cancel", job_id, "--json").stdout) == [{"id": job_id, "state": "cancelled"}]
    run("wait", job_id, status=6)
    assert "job.cancelled" in run("result", job_id, status=6).stderr


def test_the_result_of_a_failed_job_is_its_error(run: Run) -> None:
    job_id = run("submit", RECEIPT, "-e", "null", "-o", "fault=error").stdout.strip()
    run("wait", job_id, status=1)
    done = run("result", job_id, "--json", status=1)
    assert lines(done.stdout)[0]["error"]["code"] == "engine.failed"  # type: ignore[index]  # JSON


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def korean(system: LocalSystem) -> str:
    """The id of a job that has read Korean."""
    with OcrQueue(system.settings) as queue:
        job = queue.submit(SAMPLES / "korean-page.png", languages="kor")
        job.result(timeout=300)
    return job.id


def test_result_in_each_format(run: Run, korean: str, tmp_path: Path) -> None:
    text = run("result", korean).stdout
    assert "작은 도서관의 하루" in text
    assert run("result", korean, "--format", "tsv").stdout.startswith("level\tpage_num\t")
    assert "ocrx_word" in run("result", korean, "--format", "hocr").stdout
    for name, mark in {"alto": "<String ", "page": "<Word ", "csv": "page,block", "markdown": "작은"}.items():
        assert mark in run("result", korean, "-f", name).stdout
    document = json.loads(run("result", korean, "--json").stdout)
    assert document["job_id"] == korean
    run("result", korean, "-O", "deep/korean.txt")
    assert (tmp_path / "deep/korean.txt").read_text(encoding="utf-8") == text


def test_text_that_the_terminal_cannot_show_is_no_failure_and_json_loses_nothing(run: Run, korean: str) -> None:
    shown = run("result", korean, PYTHONIOENCODING="iso-8859-1").stdout
    assert shown.startswith("??")
    document = json.loads(run("result", korean, "-f", "json", PYTHONIOENCODING="iso-8859-1").stdout)
    assert "도서관의" in document["pages"][0]["text"]


def test_a_file_that_cannot_be_written_is_one_line(run: Run, korean: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("result", korean, "-O", "file/below", status=1)
    assert re.fullmatch(r"error: .*: (Not a directory|File exists)\n", done.stderr)


def test_crops_are_a_picture_of_each_word(run: Run, korean: str, tmp_path: Path, system: LocalSystem) -> None:
    answers = lines(run("crops", korean, "-O", "words", "--json").stdout)
    with OcrQueue(system.settings) as queue:
        words = list(queue.job(korean).result().words())
    assert [answer["id"] for answer in answers] == [word.id for word in words]
    named = tmp_path / str(answers[0]["file"])
    assert named.name == f"{words[0].id}-{words[0].text}.png"
    for answer in answers:
        with Image.open(tmp_path / str(answer["file"])) as picture:
            assert picture.format == "PNG"
    without = run("submit", RECEIPT, "-e", "null", "--crops", "none").stdout.strip()
    run("wait", without)
    assert "crop.missing" in run("crops", without, "-O", "none", status=1).stderr
    archive = run("submit", RECEIPT, "-e", "null", "-o", "words=5", "--crops", "archive").stdout.strip()
    run("wait", archive)
    run("crops", archive, "-O", "archive")
    assert len(list((tmp_path / "archive").glob("p001-w*-null*.png"))) == 5


def test_overlay_draws_each_page(run: Run, tmp_path: Path) -> None:
    job_id = run("submit", TWO_PAGES, "-e", "null").stdout.strip()
    run("wait", job_id)
    files = [str(answer["file"]) for answer in lines(run("overlay", job_id, "-O", "o/x.png", "--json").stdout)]
    assert files == ["o/x-p001.png", "o/x-p002.png"]
    with Image.open(TWO_PAGES) as page, Image.open(tmp_path / files[0]) as drawn:
        assert drawn.size == (2 * page.width, page.height)
        assert drawn.crop((0, 0, *page.size)).tobytes() != page.convert("RGB").tobytes()
    run("overlay", job_id, "--page", "2", "-O", "second.png")
    assert (tmp_path / "second.png").exists()
    assert "page.not_found" in run("overlay", job_id, "--page", "3", status=2).stderr
    assert "try .png" in run("overlay", job_id, "-O", "x.docx", status=2).stderr


def test_a_searchable_pdf_and_files_by_page(run: Run, tmp_path: Path) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="pip install 'ocrqueue[pdf]'")
    job_id = run("submit", TWO_PAGES, "-e", "null").stdout.strip()
    run("wait", job_id)
    run("result", job_id, "-f", "pdf", "-O", "a.pdf")
    run("overlay", job_id, "-O", "b.pdf")
    run("overlay", job_id, "-O", "c.html")
    for name, annotated in (("a.pdf", False), ("b.pdf", True)):
        with pikepdf.open(tmp_path / name) as pdf:
            assert [("/Annots" in page) for page in pdf.pages] == [annotated] * 2
    assert (tmp_path / "c.html").read_text(encoding="utf-8").count("<svg ") == 2
    run("result", job_id, "-f", "page", "-O", "d.page.xml")
    assert sorted(path.name for path in tmp_path.glob("d*")) == ["d-p001.page.xml", "d-p002.page.xml"]
    assert "page.not_found" in run("result", job_id, "-f", "page", status=2).stderr
    run("submit", TWO_PAGES, RECEIPT, "-e", "null", "-f", "pdf", "--output-dir", "out")
    assert len(list((tmp_path / "out").glob("*.pdf"))) == 2


def test_overlay_takes_the_picture_from_where_it_can(run: Run, tmp_path: Path, system: LocalSystem) -> None:
    original = system.data.parent / "original page.jpg"
    original.write_bytes(RECEIPT.read_bytes())
    job_id = run("submit", original.as_uri(), "-e", "null", "--no-cache").stdout.strip()
    run("wait", job_id)
    run("overlay", job_id)
    assert [path.name for path in tmp_path.iterdir()] == [f"{job_id}-overlay.png"]
    original.unlink()
    gone = run("overlay", job_id, status=2)
    assert "give it as --image FILE" in gone.stderr
    assert "SHA-256 differs" in run("overlay", job_id, "--image", TWO_PAGES, status=2).stderr
    run("overlay", job_id, "--image", RECEIPT)


# --- the installation -------------------------------------------------------------------------------------------------


def test_queues_and_engines(run: Run, system: LocalSystem) -> None:
    table = run("queues").stdout
    assert re.search(r"^ocr\.tesseract\.high +0 +- +0 +1 ", table, re.MULTILINE)
    found = {lane["name"]: lane for lane in json.loads(run("queues", "--json").stdout)}
    assert found["ocr.null"]["workers"] == 1
    engines = json.loads(run("engines", "--json").stdout)
    assert "kor" in engines["tesseract"]["workers"][0]["engines"][0]["languages"]
    assert engines["null"]["workers"][0]["pid"] == system.workers["null"].pid
    assert engines["null"]["waiting"] == {"high": 0, "normal": 0, "low": 0}
    assert "auto" not in engines
    assert "eng" in run("engines").stdout


def test_a_queue_without_workers_is_pointed_out(run: Run, system: LocalSystem) -> None:
    job_id = run("submit", RECEIPT, "-e", "lonely", OCRQUEUE_ENGINES="lonely").stdout.strip()
    assert "ocrqueue-worker --engine lonely" in run("queues", OCRQUEUE_ENGINES="lonely").stderr
    run("cancel", job_id)


def test_after_all_that_the_keys_agree(run: Run) -> None:
    assert run("check").stdout == ""


def test_config_hides_the_password(run: Run, system: LocalSystem) -> None:
    password = system.variables["OCRQUEUE_REDIS_URL"].split(":")[2].split("@")[0]
    for arguments in (("config",), ("config", "--json"), ("config", "--changed")):
        done = run(*arguments)
        assert password not in done.stdout
        assert "***" in done.stdout


def test_a_reader_that_goes_away_is_no_traceback(run: Run, system: LocalSystem, korean: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [OCRQUEUE, "result", korean, "--format", "hocr"],
        env=system.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    closed = subprocess.Popen([OCRQUEUE, "schema", "document"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert closed.stdout is not None
    assert closed.stderr is not None
    closed.stdout.close()
    assert closed.wait(100) == 141
    assert closed.stderr.read() == b""
    closed.stderr.close()
