"""`ocrqueue-worker keras fetch`: whole and right files, or none and an error."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ocrqueue.errors import EngineWeightsCorrupt, WorkerDiskFull
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.cli import main
from ocrqueue_worker.engines.keras import fetching
from ocrqueue_worker.engines.keras.fetching import fetch_model
from ocrqueue_worker.engines.keras.models import find_model, verify
from tests.support.keras_models import CONTENTS, manifest, write_files, write_manifest
from tests.support.processes import environment, wait_until
from tests.support.servers import Exchange, Handler, answer, certificate, endless, http_server

URL = "https://127.0.0.1:1/release"
"""Nothing listens there."""
WHOLE = {f"/mirror/{name}": answer(200, content) for name, content in CONTENTS.items()}


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCRQUEUE_KERAS_WEIGHTS_DIR", str(tmp_path / "weights"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Where files are fetched to; the model `mine` names them."""
    write_manifest(tmp_path / "mine", manifest(url=URL))
    return tmp_path / "weights"


def fetch(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["keras", "fetch", "mine", *arguments], prog_name="ocrqueue-worker")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def replaced(name: str, handler: Handler) -> dict[str, Handler]:
    return {**WHOLE, f"/mirror/{name}": handler}


def cut_off(exchange: Exchange) -> None:
    """The head of an answer of 1000 bytes, and 10 of them."""
    exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", bytes(10))
    exchange.connection.shutdown(socket.SHUT_RDWR)


# --- what comes, and from where --------------------------------------------------------------------------------------


def test_files_come_from_their_urls_through_redirects(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a release page: TLS, then a redirect to another host's file."""
    authority, context = certificate(["127.0.0.1"], tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with http_server(WHOLE) as files:

        def to_files(exchange: Exchange) -> None:
            location = files.url(f"/mirror/{exchange.target.rpartition('/')[2]}?token=hush")
            answer(302, location=location)(exchange)

        with http_server(to_files, tls=context) as release:
            write_manifest(tmp_path / "mine", manifest(url=release.url("/v1"), onnx=True))
            result = fetch()
    assert result.stdout.splitlines() == [
        f"{weights}/{name}  fetched, sha256 is right"
        for name in ("detector.h5", "recognizer.h5", "detector.onnx", "recognizer.onnx")
    ]
    for runtime in ("tensorflow", "onnx"):
        verify(find_model(load_worker_settings(keras_model="mine", keras_runtime=runtime)))
    assert all((weights / name).stat().st_mode & 0o444 == 0o444 for name in names(weights))


@pytest.mark.parametrize("kind", ["URL", "URL with a query", "folder"])
def test_a_mirror_takes_the_place_of_the_urls(kind: str, tmp_path: Path, weights: Path) -> None:
    write_files(tmp_path / "mirror")
    with http_server(WHOLE) as server:
        url = server.url("/mirror/", host="user:hush@127.0.0.1")
        mirror = {"URL": url, "URL with a query": f"{url}?token=hush", "folder": "mirror"}[kind]
        fetch("--from", mirror)
        assert all(("?token=hush" in seen.target) == (kind == "URL with a query") for seen in server.exchanges)
    assert names(weights) == ["detector.h5", "recognizer.h5"]
    verify(find_model(load_worker_settings(keras_model="mine")))


def test_what_is_there_and_right_is_left_alone(tmp_path: Path, weights: Path) -> None:
    write_files(tmp_path / "mine", "detector.h5")
    write_files(weights, "recognizer.h5")
    assert [line.partition("  ") for line in fetch().stdout.splitlines()] == [
        ("mine/detector.h5", "  ", "was there, sha256 is right"),
        (f"{weights}/recognizer.h5", "  ", "was there, sha256 is right"),
    ]


def test_a_wrong_file_is_replaced_once_the_right_one_is_there(weights: Path) -> None:
    write_files(weights, "detector.h5")
    (weights / "recognizer.h5").write_bytes(b"cut o")
    assert "weights_missing" in fetch(status=1).stderr
    assert (weights / "recognizer.h5").read_bytes() == b"cut o"
    with http_server(WHOLE) as server:
        fetch("--from", server.url("/mirror"))
        assert [exchange.target for exchange in server.exchanges] == ["/mirror/recognizer.h5"]
    verify(find_model(load_worker_settings(keras_model="mine")))


def test_a_wrong_file_beside_the_manifest_is_not_hidden(tmp_path: Path, weights: Path) -> None:
    """It is the one that a worker would load."""
    (tmp_path / "mine/detector.h5").write_bytes(b"wrong")
    assert "error: engine.weights_corrupt: mine/detector.h5" in fetch(status=1).stderr
    assert names(weights) == []


def test_a_model_without_urls_has_nothing_to_fetch(tmp_path: Path) -> None:
    write_manifest(tmp_path / "mine", manifest())
    result = fetch()
    assert (result.stdout, result.stderr) == ("", "mine has nothing to fetch: its files lie beside its manifest\n")


def test_progress_is_told_by_file(weights: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with http_server(WHOLE) as server:
        list(
            fetch_model(
                load_worker_settings(keras_model="mine"), server.url("/mirror"), lambda *told: seen.append(told)
            )
        )
    for name in ("detector.h5", "recognizer.h5"):
        size = len(CONTENTS[name])
        assert [told[1:] for told in seen if told[0] == name] == [(0, size), (size, size)]


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_without_a_network_the_error_says_how_to_do_without(weights: Path) -> None:
    text = fetch(status=1).stderr
    assert text.startswith(f"error: engine.weights_missing: {URL}/detector.h5 cannot be fetched: ")
    assert "--from" in text
    assert "OCRQUEUE_KERAS_WEIGHTS_DIR" in text
    assert names(weights) == []


@pytest.mark.parametrize(
    ("handler", "code", "says"),
    [
        (answer(404), "engine.weights_missing", "answers with status 404"),
        (answer(302, location="/mirror/recognizer.h5"), "engine.weights_missing", "redirect"),
        (answer(302, location="gopher://there/"), "engine.weights_missing", "gopher"),
        (cut_off, "engine.weights_missing", "cannot be fetched: "),
        (answer(200, b"<html>Log in</html>"), "engine.weights_corrupt", "its sha256 is"),
        (answer(200, CONTENTS["recognizer.h5"][:-1]), "engine.weights_corrupt", "its sha256 is"),
        (answer(200, b""), "engine.weights_corrupt", "its sha256 is"),
        (lambda exchange: exchange.send(b"SSH-2.0-there\r\n\r\n"), "engine.weights_missing", "cannot be fetched: "),
    ],
    ids=["404", "redirect loop", "other scheme", "cut off", "a page", "short", "empty", "no HTTP"],
)
def test_what_does_not_come_whole_and_right_leaves_nothing(
    handler: Handler, code: str, says: str, weights: Path
) -> None:
    with http_server(replaced("recognizer.h5", handler)) as server:
        text = fetch("--from", server.url("/mirror", host="user:hush@127.0.0.1"), status=1).stderr
        assert text.startswith(f"error: {code}: {server.url('/mirror/recognizer.h5')} ")
    assert says in text
    assert "hush" not in text
    assert names(weights) == ["detector.h5"]


@pytest.mark.parametrize(
    ("mirror", "says"),
    [
        ("nonesuch", "nonesuch/detector.h5 cannot be read: No such file"),
        ("s3://bucket/models", "neither a folder nor"),
        ("http://", "http:"),
        ("http://[", "invalid URI"),
        ("http://there\n/", "cannot be fetched"),
    ],
)
def test_a_mirror_that_is_none_is_an_error(mirror: str, says: str, weights: Path) -> None:
    text = fetch("--from", mirror, status=1).stderr
    assert text.startswith("error: engine.weights_missing: ")
    assert says in text
    assert names(weights) == []


def test_an_answer_without_end_does_not_fill_the_disk(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_MOST_BYTES", 1_000_000)
    with (
        http_server(endless(b"HTTP/1.1 200 OK\r\n\r\n")) as server,
        pytest.raises(EngineWeightsCorrupt, match="more than 1000000 bytes"),
    ):
        list(fetch_model(load_worker_settings(keras_model="mine"), server.url("/mirror")))
    assert names(weights) == []


def test_a_full_disk_is_told_from_a_folder_that_cannot_be_written_to(tmp_path: Path, weights: Path) -> None:
    write_files(tmp_path / "mirror")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        with pytest.raises(WorkerDiskFull, match=r"detector\.h5 cannot be written: File too large"):
            list(fetch_model(load_worker_settings(keras_model="mine"), "mirror"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(weights) == []
    weights.rmdir()
    weights.write_bytes(b"")
    text = fetch("--from", "mirror", status=1).stderr
    assert text.startswith(f"error: engine.weights_missing: {weights}/detector.h5 cannot be written: File exists")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_fetch_that_is_stopped_leaves_nothing(number: signal.Signals, status: int, weights: Path) -> None:
    def slow(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        exchange.drip(bytes(1000), 0.5)

    with http_server(slow) as server:
        command = [sys.executable, "-m", "ocrqueue_worker", "keras", "fetch", "mine", "--from", server.url("/mirror")]
        variables = environment({"keras_weights_dir": weights})
        with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE) as process:
            wait_until(lambda: any(name.endswith(".part") for name in names(weights)), 60, "it has begun")
            process.send_signal(number)
            process.communicate(timeout=60)
    assert process.returncode == status
    assert names(weights) == []
