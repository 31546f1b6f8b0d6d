"""Pages cut into tiles, and the folder in which they are kept."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue.document import Page
from ocrqueue.errors import PageNotFound, UploadNoRoom
from ocrqueue_gateway.pages.reading.words import columns, size_of
from ocrqueue_gateway.pictures.archive import Archive, ArchiveWriter
from ocrqueue_gateway.pictures.disk_cache import DiskCache
from ocrqueue_gateway.pictures.folders import OwnFolder
from ocrqueue_gateway.pictures.opening import pages_of
from ocrqueue_gateway.pictures.pyramid import THUMBNAIL, TILE, levels, thumbnail, tile_name, write_tiles
from tests.support.documentation import ROOT


def test_each_level_is_half_the_next_one_down_to_one_tile() -> None:
    assert levels(10_000, 10_001) == [
        (313, 313),
        (625, 626),
        (1250, 1251),
        (2500, 2501),
        (5000, 5001),
        (10_000, 10_001),
    ]
    assert levels(TILE, 1) == [(TILE, 1)]
    assert levels(1, TILE + 1) == [(1, 257), (1, 513)]


def test_tiles_together_are_the_picture(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((1100, 700)).convert("RGB")
    with (tmp_path / "tiles").open("wb") as file:
        write_tiles(picture.copy(), ArchiveWriter(file))
    archive = Archive.open(tmp_path / "tiles")
    assert archive.about == {"width": 1100, "height": 700, "tile": TILE, "levels": 3}
    put_together = Image.new("RGB", picture.size)
    for row in range(2):
        for column in range(3):
            data = archive.read(tile_name(2, column, row))
            assert data is not None
            put_together.paste(Image.open(BytesIO(data)), (column * TILE, row * TILE))
    for place in ((3, 3), (511, 511), (513, 200), (1099, 699)):
        read, meant = put_together.getpixel(place), picture.getpixel(place)
        assert isinstance(read, tuple)
        assert isinstance(meant, tuple)
        assert abs(read[0] - meant[0]) <= 6
    smallest = archive.read(tile_name(0, 0, 0))
    assert smallest is not None
    assert Image.open(BytesIO(smallest)).size == (275, 175)
    assert archive.read(tile_name(0, 1, 0)) is None


def test_a_small_picture_has_a_longest_side() -> None:
    assert Image.open(BytesIO(thumbnail(Image.new("RGB", (2000, 4000))))).size == (THUMBNAIL // 2, THUMBNAIL)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 100, b"{}" + (2).to_bytes(8, "big")])
def test_a_file_that_is_not_whole_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises((OSError, ValueError, KeyError)):
        Archive.open(tmp_path / "archive")


def test_a_page_of_a_pdf_is_drawn_in_the_size_that_its_words_have() -> None:
    with pages_of(ROOT / "samples/letter.pdf", 10_000_000) as draw:
        width, height = draw(2, (1000, 2000)).size
        assert abs(width - 1000) <= 1 or abs(height - 2000) <= 1
        assert draw(1, None).height > 1000
        with pytest.raises(PageNotFound):
            draw(3, None)


def test_a_page_of_a_pdf_has_no_more_pixels_than_are_allowed() -> None:
    with pages_of(ROOT / "samples/letter.pdf", 100_000) as draw:
        width, height = draw(1, None).size
        assert width * height <= 100_000


async def test_a_file_is_made_once_for_all_who_ask() -> None:
    cache, made, gate = DiskCache(1000), 0, asyncio.Event()

    async def make(path: Path) -> None:
        nonlocal made
        made += 1
        await gate.wait()
        path.write_bytes(b"x" * 100)

    asking = [asyncio.create_task(cache.file("a", make)) for _ in range(5)]
    await asyncio.sleep(0)
    # one who leaves takes nothing from the others
    asking[0].cancel()
    gate.set()
    paths = await asyncio.gather(*asking[1:])
    assert {path.read_bytes() for path in paths} == {b"x" * 100}
    assert made == 1
    await cache.close()
    assert not paths[0].exists()


async def test_what_was_not_used_for_long_goes_first() -> None:
    cache = DiskCache(250)

    async def make(path: Path) -> None:
        path.write_bytes(b"x" * 100)

    first, second = await cache.file("a", make), await cache.file("b", make)
    await cache.file("a", make)
    await cache.file("c", make)
    assert (first.exists(), second.exists(), cache.used_bytes) == (True, False, 200)
    await cache.close()


async def test_what_fails_or_is_too_large_leaves_nothing() -> None:
    cache = DiskCache(50)

    async def fails(path: Path) -> None:
        path.write_bytes(b"x")
        raise PageNotFound

    async def large(path: Path) -> None:
        path.write_bytes(b"x" * 51)

    with pytest.raises(PageNotFound):
        await cache.file("a", fails)
    with pytest.raises(UploadNoRoom):
        await cache.file("b", large)
    assert cache.used_bytes == 0
    assert list(cache._folder.iterdir()) == []
    await cache.close()


async def test_what_nobody_waits_for_any_more_is_given_up() -> None:
    cache, begun, given_up = DiskCache(1000), asyncio.Event(), asyncio.Event()

    async def make(_: Path) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.set()
            raise

    asking = [asyncio.create_task(cache.file("a", make)) for _ in range(2)]
    await begun.wait()
    asking[0].cancel()
    await asyncio.gather(asking[0], return_exceptions=True)
    assert not given_up.is_set()
    asking[1].cancel()
    await given_up.wait()

    async def makes(path: Path) -> None:
        path.write_bytes(b"x")

    # who asks at that very moment gets it
    assert (await cache.file("a", makes)).read_bytes() == b"x"
    await cache.close()


async def test_a_folder_that_somebody_clears_is_filled_again() -> None:
    cache = DiskCache(1000)

    async def make(path: Path) -> None:
        path.write_bytes(b"x")

    shutil.rmtree((await cache.file("a", make)).parent)
    assert (await cache.file("a", make)).read_bytes() == b"x"
    assert cache.used_bytes == 1
    await cache.close()


def test_the_size_of_a_page_is_told_at_the_beginning() -> None:
    page = Page(number=3, width=700, height=900, blocks=())
    assert size_of(columns(page, "null")) == (700, 900)
    assert size_of(b'{"number":1,"text":["\\"width\\":7"]') is None


def test_what_a_killed_replica_has_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, others = tmp_path / "ocrqueue-gateway-pictures-left", tmp_path / "other"
    elsewhere = tmp_path / "ocrqueue-gateway-pictures-link"
    for folder in (left, others):
        folder.mkdir()
        (folder / "1.part").write_bytes(b"x")
    elsewhere.symlink_to(others)
    alive = OwnFolder.make()
    assert not left.exists()
    assert OwnFolder.make().path != alive.path
    assert alive.path.is_dir()
    assert (others / "1.part").exists()
    alive.remove()
    assert not alive.path.exists()


async def test_without_a_folder_to_write_to_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "is not there"))
    cache = DiskCache(1000)

    async def make(path: Path) -> None:
        path.write_bytes(b"x")

    with pytest.raises(UploadNoRoom):
        await cache.file("a", make)
    await cache.close()
