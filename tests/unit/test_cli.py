"""The `ocrqueue` command as far as it needs no server."""

from __future__ import annotations

import json
import re
import warnings
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ocrqueue import OcrQueue
from ocrqueue.cli.crops import crop_name
from ocrqueue.cli.documents import file_stems, safe_name
from ocrqueue.cli.exit_codes import MEANINGS, ExitStatus, exit_of_error, exit_of_states
from ocrqueue.cli.inputs import expand_ids, expand_images, parse_options, split_languages
from ocrqueue.cli.jobs import _details
from ocrqueue.cli.pictures import picture_read
from ocrqueue.cli.program import COMMANDS, program
from ocrqueue.cli.tenants import parse_weights
from ocrqueue.core import JobStatus
from ocrqueue.document import Word
from ocrqueue.errors import BrokerUnavailable, SourceInvalid, error_classes
from ocrqueue.job import Job
from ocrqueue.job.route import Route, Step
from ocrqueue.settings import WorkerSettings
from tests.unit.test_document import document, word

DEAD_BROKER = {"OCRQUEUE_REDIS_URL": "redis://:hush@127.0.0.1:1/0", "OCRQUEUE_REDIS_TIMEOUT_S": "0.2"}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str, stdin: str = "", status: int = 0, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(program, arguments, input=stdin, prog_name="ocrqueue")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result


# --- the program ------------------------------------------------------------------------------------------------------


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for name, (place, text) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        assert command.name == name
        assert (command.help or "").splitlines()[0] == text


def test_help_lists_commands_and_exit_statuses() -> None:
    text = invoke("--help").stdout
    for name in COMMANDS:
        assert f"  {name} " in text
    for status in ExitStatus:
        assert f"{status:>3}  {MEANINGS[status]}" in text


def test_a_command_mistyped_is_guessed() -> None:
    assert "Did you mean 'submit'?" in invoke("sumbit", status=2).stderr
    assert "No such command 'xyzzy'.\n" in invoke("xyzzy", status=2).stderr


def test_version() -> None:
    assert invoke("--version").stdout.startswith("ocrqueue, version ")


def test_every_error_has_an_exit_status_and_jobs_the_one_that_weighs_most() -> None:
    assert all(exit_of_error(code) in MEANINGS for code in error_classes())
    assert exit_of_error("job.unknown") == exit_of_error("job.ended") == 3
    assert exit_of_error("image.corrupt") == exit_of_error("not.known.here") == 1
    assert exit_of_states([]) == exit_of_states(["succeeded"]) == 0
    assert exit_of_states(["partial", "succeeded"]) == 7
    assert exit_of_states(["partial", "cancelled"]) == 6
    assert exit_of_states(["cancelled", "failed", "succeeded"]) == 1


def test_a_wrong_setting_is_one_line_and_an_exit_status() -> None:
    result = invoke("queues", status=2, OCRQUEUE_REDIS_URL="http://:hush@host")
    assert result.stderr.startswith("error: settings.invalid: redis_url must ")
    assert "hush" not in result.output


# --- what the user names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "There is no file 'missing.png'"),
        (["folder"], "'folder' is a directory; name the files in it: 'folder/*'"),
        (["*.gif"], "No file matches '*.gif'"),
        (["nul\0.png"], "There is no file"),
        (["ftp://user:hush@host/a.png"], "source.invalid: ftp://host/a.png"),
        (["https://[/a.png"], "source.invalid"),
        (["a.png", "-l", "../etc"], "job.malformed: languages"),
        (["a.png", "-o", "psm"], "is not KEY=VALUE"),
        (["a.png", "-o", "psm=6", "-o", "psm=7"], "'psm' is given twice"),
        (["a.png", "a.png", "--idempotency-key", "k"], "give one image"),
        (["a.png", "--json", "--format", "text"], "choose one"),
        (["a.png", "a.png", "--format", "hocr"], "give --output-dir"),
        (["-", "-"], "can be given once"),
        (["a.png", "--timeout", "-1"], "not in the range"),
    ],
)
def test_submit_says_what_is_wrong_before_anything_is_queued(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    # with a broker that does not answer: had it been asked, the exit status would be another
    result = invoke("submit", *arguments, status=2, **DEAD_BROKER, OCRQUEUE_STORAGE=tmp_path.as_uri())
    assert message in result.stderr
    assert "hush" not in result.output


def test_images_are_paths_globs_references_and_lines(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "deep/er/c.png", "odd[1].png", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(expand_images(["*.png"], [])) == ["a.png", "b.png", "odd[1].png"]
    assert list(expand_images(["**/*.png", "b.png"], [])) == ["a.png", "b.png", "deep/er/c.png", "odd[1].png", "b.png"]
    assert list(expand_images(["odd[1].png"], [])) == ["odd[1].png"]
    references = ["s3://bucket/a*b?c.png", "https://host/a.png?sig=x", "file:///a.png"]
    assert list(expand_images(references, [])) == references
    assert list(expand_images(["a.png", "-"], ["s3://b/k\r\n", "\n"])) == ["a.png", "s3://b/k"]


def test_lines_are_read_one_at_a_time_and_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    images = expand_images(["-"], iter(["a.png\n", "*.png\n"]))
    assert next(images) == "a.png"
    with pytest.raises(click.UsageError, match=r"There is no file '\*.png'"):
        next(images)


def test_an_argument_that_is_wrong_is_found_before_the_first_image_is_handed_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(SourceInvalid):
        expand_images(["a.png", "gopher://x/y"], [])


def test_option_values_are_json_or_else_text() -> None:
    pairs = ["n=6", "f=0.5", "b=true", "none=null", 'list=[1,"a"]', "text=auto", "empty=", "eq=a=b", "nan=NaN"]
    assert parse_options(pairs) == {
        "n": 6,
        "f": 0.5,
        "b": True,
        "none": None,
        "list": [1, "a"],
        "text": "auto",
        "empty": "",
        "eq": "a=b",
        "nan": "NaN",
    }
    assert parse_options(["deep=" + "[" * 100_000])["deep"].startswith("[[[")  # type: ignore[union-attr]  # it is text


def test_weights_are_positive_numbers_by_tenant() -> None:
    assert parse_weights(["acme=3", "b@c.example=0.5", "=2"]) == {"acme": 3.0, "b@c.example": 0.5, "": 2.0}
    for wrong in ("acme", "acme=", "acme=x", "acme=0", "acme=-1", "acme=inf", "acme=nan", "a b=1", ".a=1", "a\n=1"):
        with pytest.raises(click.BadParameter):
            parse_weights([wrong])
    with pytest.raises(click.BadParameter, match="each name once"):
        parse_weights(["acme=1", "acme=2"])


def test_languages_and_ids() -> None:
    assert split_languages(["kor+eng", "deu"]) == ("kor", "eng", "deu")
    assert split_languages([]) is None
    assert expand_ids(["b", "-", "b"], ["a  scan.png\n", "\n", "c\n"]) == ["b", "a", "c"]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hostile",
    ["../../etc/passwd", "/etc/passwd", "..", ".bashrc", "a\0b", "a\nb", "\x1b[31m", "\udcff", "가" * 500, "con:", ""],
)
def test_names_made_of_what_comes_from_outside_stay_in_their_folder(hostile: str, tmp_path: Path) -> None:
    word = Word(id=hostile, text=hostile, polygon=((0, 0),) * 4, bbox=(0, 0, 0, 0), confidence=None)
    for name in (safe_name(hostile) or "image", *file_stems([hostile, f"s3://b/{hostile}"]), crop_name(word)):
        path = tmp_path / name
        path.write_bytes(b"")
        assert path.resolve().parent == tmp_path.resolve()
        assert not name.startswith(".")
        assert name.isprintable()


def test_names_keep_what_people_read_and_are_distinct() -> None:
    images = [
        "a/scan.png",
        "b/scan.jpg",
        "s3://bucket/SCAN.tif?x",
        "https://host/%EA%B0%80%20b.png?sig=s",
        "https://host",
        "https://[/a.png",
    ]
    assert file_stems(images) == ["scan.png", "scan.jpg", "SCAN.tif_x", "가 b", "image", "image-2"]
    assert file_stems(["a/inv.jpg", "b/inv.jpg", "b/inv.png"]) == ["inv.jpg", "inv.jpg-2", "inv.png"]


def test_a_crop_is_named_by_id_and_text() -> None:
    word = Word(id="p001-w0007", text="Größe/3 €?", polygon=((0, 0),) * 4, bbox=(0, 0, 0, 0), confidence=None)
    assert crop_name(word) == "p001-w0007-Größe_3.png"


# --- config, schema, completion ---------------------------------------------------------------------------------------


def test_config_shows_what_differs_and_masks_passwords() -> None:
    environment = {
        "OCRQUEUE_REDIS_URL": "redis://me:hush@host/3",
        "OCRQUEUE_RETRY_LIMIT": "9",
        "OCRQUEUE_S3_ADDRESSING": "auto",
    }
    everything = invoke("config", "--json", **environment)
    values = json.loads(everything.stdout)
    assert set(values) == set(WorkerSettings.model_fields)
    assert values["retry_limit"] == {"value": "9", "default": "8", "changed": True}
    assert values["redis_url"]["value"] == "redis://me:***@host/3"
    assert {name for name, setting in values.items() if setting["changed"]} == {"retry_limit", "redis_url"}
    table = invoke("config", "--changed", **environment).stdout
    assert "OCRQUEUE_RETRY_LIMIT" in table
    assert "OCRQUEUE_S3_ADDRESSING" not in table
    assert "hush" not in table + everything.stdout


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", [("config", "--changed"), ("submit", "s3://b/a.png", "-e", "NO")])
def test_every_command_warns_of_variables_that_are_ignored(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocrqueue.settings.unknown._told", set())
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    mistyped = {"OCRQUEUE_REDIS_ULR": "redis://x", "ocrqueue_retry_limit": "3", "OCRQUEUE_GATEWAY_PORT": "1"}
    result = invoke(*command, status=0 if command[0] == "config" else 2, **mistyped)
    assert result.stderr.splitlines()[0] == (
        "warning: OCRQUEUE_REDIS_ULR is not a setting; did you mean OCRQUEUE_REDIS_URL?"
    )
    assert result.stderr.count("warning") == 1


def test_schema_is_the_schema_of_messages() -> None:
    schema = json.loads(invoke("schema", "job").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) == set(Job.model_fields)
    assert json.loads(invoke("schema", "document").stdout)["title"] == "ocrqueue document"


def test_completion_completes_commands_and_options() -> None:
    def complete(*words: str) -> str:
        place = {"COMP_WORDS": " ".join(["ocrqueue", *words]), "COMP_CWORD": str(len(words))}
        return invoke(**place, _OCRQUEUE_COMPLETE="bash_complete").stdout

    assert complete("s") == "plain,submit\nplain,status\nplain,schema\n"
    assert complete("--v") == "plain,--version\n"
    assert complete("submit", "--prio") == "plain,--priority\n"
    assert complete("submit", "--priority", "h") == "plain,high\n"
    assert complete("submit", "x") == "file,x\n"


def test_the_documentation_lists_every_command_and_exit_status() -> None:
    text = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
    # the first column of the table of commands
    listed = re.search(r"^\| command \| does \|\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    rows = [row.split(" | ")[0] for row in listed[1].splitlines()[1:]]
    assert {name for row in rows for name in re.findall(r"`(\w+)", row)} == set(COMMANDS)
    for status, meaning in MEANINGS.items():
        assert f"| {status:d} | {meaning} |" in text


def test_the_status_of_a_comparison_shows_all_its_engines_and_how_far_they_agree() -> None:
    route = Route(asked="keras", mode="compare", engines=("keras", "tesseract"), reason="as asked")
    job = JobStatus(
        id="j",
        state="succeeded",
        engine="tesseract",
        route=route,
        agreement=0.875,
        image="s3://b/0123.png",
        name="invoice.png",
        queue="ocr.tesseract",
        queued_at=datetime.now(UTC),
    )
    shown = {name: str(value) for name, value in _details(job)}
    assert shown["engine"] == "keras, tesseract"
    assert shown["agreement"] == "0.875"
    assert shown["name"] == "invoice.png"


def test_status_names_the_engines_of_a_route_that_had_no_turn() -> None:
    route = Route(engines=("tesseract", "rapid"), mode="fallback", asked="fallback", reason="tesseract first")
    job = JobStatus(
        id="j",
        state="succeeded",
        engine="tesseract",
        route=route,
        trail=(Step(engine="tesseract", attempt=1, pages=1),),
        image="s3://b/0123.png",
        queue="ocr.tesseract",
        queued_at=datetime.now(UTC),
    )
    assert str(dict(_details(job))["  rapid"]).startswith("had no turn")
    running = job.model_copy(update={"state": "running"})
    assert "  rapid" not in dict(_details(running))


def test_a_picture_that_the_engine_fetched_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.png").write_bytes(b"picture")
    made = document([word(1, "a", 0.5)])
    with OcrQueue() as queue:
        with pytest.raises(SourceInvalid, match="SHA-256"):
            picture_read(queue, "j", made, tmp_path / "page.png")
        fetched = made.model_copy(update={"input": made.input.model_copy(update={"sha256": None})})
        assert picture_read(queue, "j", fetched, tmp_path / "page.png") == b"picture"
    assert "fetched the picture itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("wait", "j", "--timeout", "nan"),
        ("submit", "s3://b/a.png", "--timeout", "NaN"),
        ("submit", "s3://b/a.png", "--wait-for-room", "nan"),
        ("batch", "b", "--timeout", "nan"),
        ("workers", "drain", "w", "--wait", "nan"),
        ("top", "--interval", "nan"),
        ("watch", ".", "--interval", "nan"),
        ("watch", ".", "--settle", "nan"),
    ],
)
def test_what_is_no_number_of_seconds_is_refused(arguments: tuple[str, ...]) -> None:
    assert "is not a number of seconds" in invoke(*arguments, status=2).stderr


@pytest.mark.parametrize("may_pass", [True, False])
def test_draining_outlasts_a_moment_without_redis(may_pass: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = BrokerUnavailable("gone")
    outage.may_pass = may_pass
    answers: list[BrokerUnavailable | list[str]] = [outage, []]

    def still_there(*_: object) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, BrokerUnavailable):
            raise answer
        return answer

    monkeypatch.setattr("ocrqueue.cli.workers._still_there", still_there)
    monkeypatch.setattr("ocrqueue.cli.workers._LOOK_EVERY_S", 0)
    monkeypatch.setattr(OcrQueue, "drain", lambda *_: ["w"])
    invoke("workers", "drain", "w", "--wait", "60", status=0 if may_pass else 5)
