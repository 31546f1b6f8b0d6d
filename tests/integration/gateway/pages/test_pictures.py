"""Pictures of pages, of files that are as hostile as any: opened by a process of its own, within limits."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pikepdf
import pytest
from PIL import Image

from ocrqueue.errors import PictureUnavailable
from ocrqueue_gateway.pictures.archive import Archive
from ocrqueue_gateway.pictures.process import Processes
from ocrqueue_gateway.pictures.task import Task
from tests.integration.gateway.pages.conftest import Site, site_of
from tests.support.documentation import ROOT
from tests.support.gateway_jobs import problem_of
from tests.support.processes import wait_until

pytest_plugins = ["tests.support.server_fixtures"]


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {site.key(tenant='readers')}"}
    with httpx.Client(base_url=site.url, headers=headers, trust_env=False, timeout=120) as made:
        yield made


def read(site: Site, data: bytes, **fields: object) -> str:
    """The id of a job that has read it, by an engine that does not look."""
    job = site.queue.submit(data, engine="null", crops="none", tenant="readers", **fields)  # type: ignore[arg-type]
    job.wait(120)
    return job.id


def png(size: tuple[int, int]) -> bytes:
    written = BytesIO()
    Image.new("1", size, 1).save(written, "PNG")
    return written.getvalue()


def test_a_page_has_tiles_of_each_level(site: Site, client: httpx.Client) -> None:
    at = f"/reader/jobs/{read(site, (ROOT / 'samples/english-page.png').read_bytes())}/pages/1"
    about = client.get(f"{at}/picture").json()
    assert about["levels"] >= 3
    for level in range(about["levels"]):
        tile = client.get(f"{at}/tiles/{level}/0/0")
        assert tile.headers["content-type"] == "image/jpeg"
        assert "private" in tile.headers["cache-control"]
        assert max(Image.open(BytesIO(tile.content)).size) <= about["tile"]
    problem_of(client.get(f"{at}/tiles/0/9/9"), 404, "picture.unavailable")
    problem_of(client.get(f"{at}/tiles/-1/0/0"), 404, "picture.unavailable")
    problem_of(client.get(f"{at}/picture?size=0x5"), 422, "request.invalid")


def test_pages_of_a_pdf_have_small_pictures(site: Site, client: httpx.Client) -> None:
    job = read(site, (ROOT / "samples/letter.pdf").read_bytes())
    for number in (1, 2):
        small = client.get(f"/reader/jobs/{job}/pages/{number}/thumbnail")
        assert max(Image.open(BytesIO(small.content)).size) == 240
    assert client.get(f"/reader/jobs/{job}/pages/3/thumbnail").status_code == 204


def encrypted() -> bytes:
    written = BytesIO()
    with pikepdf.open(ROOT / "samples/letter.pdf") as pdf:
        pdf.save(written, encryption=pikepdf.Encryption(owner="a", user="b"))
    return written.getvalue()


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: b"%PDF-1.7\n%broken", "pdf.damaged"),
        (encrypted, "pdf.password_required"),
        (lambda: png((20_000, 20_000)), "image.too_large"),
        (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "image.not_recognised"),
        (lambda: b"", "image.empty"),
    ],
    ids=["broken", "encrypted", "bomb", "no picture", "empty"],
)
async def test_a_hostile_file_has_no_picture(make: Callable[[], bytes], cause: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(make())
    processes = Processes()
    with pytest.raises(PictureUnavailable) as caught:
        await processes.carry_out(task(tmp_path, "tiles"), 120)
    assert caught.value.info.details == {"cause": cause}
    await processes.close()


async def test_a_process_that_needs_more_than_it_may_have_is_ended(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(png((9_000, 8_000)))
    processes = Processes()
    # a fast machine draws one such page in less than a second
    again_and_again = {"cpu_s": 1, "kind": "thumbnails", "pages": (1,) * 200}
    limits: tuple[dict[str, object], ...] = ({"max_bytes": 1000}, {**again_and_again})
    for limit in limits:
        with pytest.raises(PictureUnavailable):
            await processes.carry_out(task(tmp_path, "tiles").model_copy(update=limit), 120)
    with pytest.raises(PictureUnavailable, match="too long"):
        await processes.carry_out(task(tmp_path, "tiles"), 0.01)
    await processes.close()


def task(folder: Path, kind: str) -> Task:
    return Task.model_validate(
        {
            "kind": kind,
            "source": str(folder / "source"),
            "target": str(folder / "target"),
            "pages": (1,),
            "max_pixels": 75_000_000,
            "max_bytes": 100_000_000,
            "cpu_s": 60,
        }
    )


def test_a_reference_to_elsewhere_is_shown_by_the_searchable_pdf(site: Site, client: httpx.Client, sign: str) -> None:
    without = site.queue.submit(sign, engine="null", crops="none", tenant="readers")
    with_pdf = site.queue.submit(sign, engine="null", crops="none", tenant="readers", outputs=["pdf"])
    for job in (without, with_pdf):
        job.wait(120)
    told = client.get(f"/reader/jobs/{without.id}/pages/1/picture").json()
    assert "outputs=pdf" in told["problem"]["remedy"]
    assert client.get(f"/reader/jobs/{with_pdf.id}/pages/1/picture").json()["width"] > 100


def test_what_the_reader_asks_for_needs_the_scope_and_the_tenant(site: Site, client: httpx.Client) -> None:
    job = read(site, png((60, 40)))
    routes = ["", "/pages/1", "/find?text=x", "/doubtful?below=80&from=0", "/pages/1/picture", "/pages/1/tiles/0/0/0"]
    routes.append("/pages/1/thumbnail")
    keys = {site.key(tenant="strangers"): (404, "job.unknown"), site.key(scopes=["submit"]): (403, "key.forbidden")}
    for route in routes:
        assert client.get(f"/reader/jobs/{job}{route}").status_code == 200, route
        for key, (status, code) in keys.items():
            answer = client.get(f"/reader/jobs/{job}{route}", headers={"authorization": f"Bearer {key}"})
            problem_of(answer, status, code)
        problem_of(httpx.get(f"{site.url}/reader/jobs/{job}{route}", trust_env=False), 401, "key.missing")


def test_a_long_document_is_searched_in_parts(site: Site, client: httpx.Client) -> None:
    pages = [Image.new("1", (60, 40), 1) for _ in range(60)]
    written = BytesIO()
    pages[0].save(written, "TIFF", save_all=True, append_images=pages[1:])
    job = read(site, written.getvalue(), options={"words": 3, "confidence": 0.5})
    about = client.get(f"/reader/jobs/{job}").json()
    assert about["read"] == list(range(1, 61))
    text = client.get(f"/reader/jobs/{job}/pages/60").json()["text"][0]
    found: list[int] = []
    at: int | None = 0
    while at is not None:
        told = client.get(f"/reader/jobs/{job}/find", params={"text": text, "from": at}).json()
        found += [hit["page"] for hit in told["hits"]]
        at = told["next"]
    assert 60 in found
    assert client.get(f"/reader/jobs/{job}/doubtful?below=60&from=59&step=-1").json() == {"page": 60, "next": None}
    assert client.get(f"/reader/jobs/{job}/doubtful?below=50&from=59&step=1").json() == {"page": None, "next": None}


async def test_a_process_that_is_killed_or_says_too_much_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(png((60, 40)))
    programs = {
        "kill": "import os; os.kill(os.getpid(), 9)",
        "chatter": "while True: print('x' * 100_000)",
        # what it leaves behind keeps its output open
        "heir": "import os, time; os.fork() or time.sleep(600)",
        "deaf": "import sys; sys.stdin.close()",
        "lie": "print('[1, 2]')",
        "secrets": "import json, os; print(json.dumps({'code': 'x', 'message': ' '.join(os.environ)}))",
    }
    monkeypatch.setenv("OCRQUEUE_REDIS_URL", "redis://:secret@localhost")
    for name, program in programs.items():
        interpreter = tmp_path / name
        interpreter.write_text(f"#!{sys.executable}\n{program}\n")
        interpreter.chmod(0o755)
        processes = Processes()
        with monkeypatch.context() as changed:
            changed.setattr(sys, "executable", str(interpreter))
            if name == "deaf":  # nothing is said, and nothing is made: the archive is found not to be there
                await processes.carry_out(task(tmp_path, "tiles"), 120)
            else:
                with pytest.raises(PictureUnavailable) as caught:
                    await processes.carry_out(task(tmp_path, "tiles"), 5 if name == "heir" else 120)
                assert "OCRQUEUE" not in str(caught.value)
            await processes.close()


def animated() -> bytes:
    written = BytesIO()
    frames = [Image.new("L", (400, 300), shade) for shade in range(0, 250, 5)]
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:])
    return written.getvalue()


def truncated() -> bytes:
    return (ROOT / "samples/receipt.jpg").read_bytes()[:20_000]


def damaged_tiff() -> bytes:
    data = bytearray((ROOT / "samples/contract.tif").read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    return bytes(data)


@pytest.mark.parametrize("make", [animated, truncated, damaged_tiff], ids=["animated", "truncated", "damaged"])
async def test_an_odd_file_has_a_picture_or_a_reason(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(make())
    processes = Processes()
    await processes.carry_out(task(tmp_path, "thumbnails"), 120)
    small = Archive.open(tmp_path / "target")
    assert small.places or small.about["failed"] == [1]
    if small.places:
        await processes.carry_out(task(tmp_path, "tiles"), 120)
        assert Archive.open(tmp_path / "target").read("0/0/0")
    else:
        with pytest.raises(PictureUnavailable, match="cannot be drawn: "):
            await processes.carry_out(task(tmp_path, "tiles"), 120)
    await processes.close()


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("0/0/0", 200),
        ("0/-1/0", 404),
        (f"0/0/{10**9}", 404),
        (f"{10**4000}/0/0", 404),
        ("NaN/0/0", 422),
        ("1e3/0/0", 422),
        ("0/0/0?size=999999x999999", 200),
        ("0/0/0?size=1x1", 200),
        ("0/0/0?size=-1x1", 422),
    ],
)
def test_places_of_tiles_are_looked_up_and_nothing_else(
    site: Site, client: httpx.Client, place: str, status: int
) -> None:
    job = read(site, png((60, 40)))
    assert client.get(f"/reader/jobs/{job}/pages/1/tiles/{place}").status_code == status


@pytest.mark.parametrize("number", ["0", "-1", "1000000000", "x"])
def test_pages_that_cannot_be_are_none(site: Site, client: httpx.Client, number: str) -> None:
    job = read(site, png((60, 40)))
    for route in ("picture", "thumbnail", "tiles/0/0/0"):
        problem_of(client.get(f"/reader/jobs/{job}/pages/{number}/{route}"), 422, "request.invalid")


def test_a_page_is_drawn_in_its_own_size_whatever_is_asked_for(site: Site, client: httpx.Client) -> None:
    job = read(site, (ROOT / "samples/letter.pdf").read_bytes())
    page = client.get(f"/reader/jobs/{job}/pages/1").json()
    own = f"{page['width']}x{page['height']}"
    at = f"/reader/jobs/{job}/pages/1/picture"
    assert abs(client.get(f"{at}?size={own}").json()["width"] - page["width"]) <= 1
    others = {client.get(f"{at}?size={side}x{side}").json()["width"] for side in range(100, 400, 100)}
    assert others == {client.get(at).json()["width"]}


def test_where_there_is_room_for_few_pictures_each_is_there_or_says_why(site: Site) -> None:
    jobs = [read(site, (ROOT / "samples" / name).read_bytes()) for name in ("english-page.png", "receipt.jpg")]
    paths = [f"/reader/jobs/{job}/pages/1/{what}" for job in jobs for what in ("tiles/0/0/0", "thumbnail")]
    with (
        site_of(site.queue.settings, site.queue, host="0.0.0.0", pictures_bytes=600_000) as small,
        httpx.Client(base_url=small.url, trust_env=False, timeout=120) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        client.headers["authorization"] = f"Bearer {site.key(tenant='readers')}"
        answers = list(pool.map(client.get, paths * 6))
        cache = small.app.state.pictures._cache
        assert cache.used_bytes <= 600_000
        left = sum(path.stat().st_size for path in cache._folder.iterdir())
    assert left == cache.used_bytes
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 in {answer.status_code for answer in answers}


def test_pictures_are_kept_for_one_session_alone(site: Site, client: httpx.Client) -> None:
    job = read(site, png((60, 40)))
    for route in ("tiles/0/0/0", "thumbnail"):
        headers = client.get(f"/reader/jobs/{job}/pages/1/{route}").headers
        assert headers["cache-control"].startswith("private")
        assert "cookie" in headers["vary"]


def test_a_picture_is_given_up_when_its_reader_has_left(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing: list[asyncio.subprocess.Process] = []

    async def never(process: asyncio.subprocess.Process, _: bytes) -> bytes:
        drawing.append(process)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("ocrqueue_gateway.pictures.process._said", never)
    job = read(site, png((86, 86)))
    cache = site.app.state.pictures._cache
    at = urlsplit(site.url)
    with socket.create_connection((at.hostname, at.port)) as connection:
        key = site.key(tenant="readers")
        asked = f"GET /reader/jobs/{job}/pages/1/picture HTTP/1.1\r\nHost: {at.netloc}\r\n"
        asked += f"Authorization: Bearer {key}\r\n\r\n"
        connection.sendall(asked.encode())
        wait_until(lambda: drawing, 60, "it is being drawn")
        [name] = dict(cache._made)
    wait_until(lambda: not cache._made, 60, "it is given up")
    assert name not in cache._sizes
    assert not list(cache._folder.glob("*.part"))
    assert drawing[0].returncode == -signal.SIGKILL
