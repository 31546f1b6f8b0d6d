"""Small parts of the Vision engine: languages, options, encoding, endpoint."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from ocrqueue.errors import EngineAccessDenied, EngineImageRefused, LanguageUnsupported, OptionUnknown, SettingsInvalid
from ocrqueue.job import Job
from ocrqueue.settings import load_worker_settings
from ocrqueue_worker.engines.vision import VisionEngine, VisionOptions
from ocrqueue_worker.engines.vision.api_client import check_service
from ocrqueue_worker.engines.vision.encoding import LIMITS, SizeLimits, encode
from ocrqueue_worker.engines.vision.languages import HINTS, hints_for, name_of


def test_names_are_given_to_google_as_its_hints() -> None:
    assert hints_for(["kor", "eng", "chi_sim", "chi_tra", "srp_latn", "heb", "msa"]) == [
        *("ko", "en", "zh-Hans", "zh-Hant", "sr-Latn", "iw", "ms")
    ]
    assert len(set(HINTS.values())) == len(HINTS) == 224
    Job(image="s3://b/k", languages=tuple(HINTS)[:16])


def test_what_google_detects_has_its_name_here() -> None:
    assert {name: name_of(hint) for name, hint in HINTS.items()} == {name: name for name in HINTS}
    found = {code: name_of(code) for code in ("en-US", "es-419", "zh-Hans-CN", "he", "EN", "tlh", "pt-PT")}
    assert found == {
        **{"en-US": "eng", "es-419": "spa", "zh-Hans-CN": "chi_sim", "he": "heb", "EN": "eng"},
        **{"tlh": "tlh", "pt-PT": "por"},
    }


def test_a_language_that_google_does_not_read_is_refused() -> None:
    engine = VisionEngine(load_worker_settings())
    engine.check_languages(("eng", "kor"))
    assert engine.fixed_languages
    with pytest.raises(LanguageUnsupported, match="tlh"):
        engine.check_languages(("eng", "tlh"))


def test_options_are_googles() -> None:
    engine = VisionEngine(load_worker_settings())
    assert engine.parse_options({}) == VisionOptions(feature="document_text_detection", model="builtin/stable")
    with pytest.raises(OptionUnknown):
        engine.parse_options({"psm": 6})


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(mode) if mode == "RGB" else 1
    return Image.frombytes(mode, (width, height), Random(1).randbytes(width * height * channels))


def decoded(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_page_goes_without_loss_and_without_metadata(mode: str) -> None:
    image = noise(60, 40, mode)
    image.info.update(icc_profile=b"secret profile", exif=b"Exif\0\0secret", dpi=(300, 300), comment=b"secret")
    encoded = encode(image, LIMITS["grpc"])
    assert decoded(encoded.content).format == "PNG"
    assert decoded(encoded.content).tobytes() == image.tobytes()
    assert encoded.size == image.size
    assert b"secret" not in encoded.content


def test_a_page_that_is_too_large_as_png_goes_as_jpeg_of_the_same_size_then_smaller() -> None:
    image = noise(200, 100)
    large = encode(image, SizeLimits(image_bytes=55_000, request_bytes=1))
    assert (decoded(large.content).format, large.size) == ("JPEG", (200, 100))
    small = encode(image, SizeLimits(image_bytes=9_000, request_bytes=1))
    assert decoded(small.content).size == small.size
    assert small.size[0] < 200
    assert len(small.content) <= 9_000
    with pytest.raises(EngineImageRefused):
        encode(image, SizeLimits(image_bytes=100, request_bytes=1))


def test_no_page_has_more_pixels_than_google_takes() -> None:
    encoded = encode(Image.new("L", (1000, 500)), SizeLimits(10**6, 10**6, image_pixels=80_000))
    width, height = encoded.size
    assert width * height <= 80_000
    assert width / height == pytest.approx(2, abs=0.01)
    long = encode(Image.new("L", (70_000, 2)), SizeLimits(10**6, 10**6, image_pixels=100_000))
    assert max(long.size) <= 65_500


def test_a_worker_without_credentials_refuses_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(EngineAccessDenied, match="GOOGLE_APPLICATION_CREDENTIALS"):
        check_service(load_worker_settings())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(EngineAccessDenied) as denied:
        check_service(load_worker_settings(vision_endpoint="eu-vision.googleapis.com"))
    assert str(tmp_path) not in str(denied.value)
    check_service(load_worker_settings(vision_endpoint="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "endpoint", ["https://vision.googleapis.com", "http://", "http://[", "http://host/path", "host/path"]
)
def test_an_endpoint_that_is_none_is_said_at_the_start(endpoint: str) -> None:
    with pytest.raises(SettingsInvalid, match="OCRQUEUE_VISION_ENDPOINT"):
        check_service(load_worker_settings(vision_endpoint=endpoint))


def test_a_regional_endpoint_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ocrqueue_worker.engines.vision.api_client import make_client

    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path)))
    for transport in ("grpc", "rest"):
        client = make_client(
            load_worker_settings(vision_endpoint="eu-vision.googleapis.com", vision_transport=transport)
        )
        assert client.api_endpoint == "eu-vision.googleapis.com"
        assert client.transport.kind == transport
        client.transport.close()


def service_account(folder: Path) -> Path:
    """The key file of a service account that nobody knows."""
    import json

    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = folder / "key.json"
    file.write_text(
        json.dumps(
            {
                **{"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": pem},
                **{"client_email": "w@p.iam.gserviceaccount.com", "token_uri": "http://127.0.0.1:9/token"},
            }
        )
    )
    return file
