"""Files of users that are written whole, or are left as they were."""

from __future__ import annotations

import errno
import os
import stat
import threading
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ocrqueue.document import written_file as module
from ocrqueue.document.written_file import write_whole, written_file


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_in_part(path: Path, error: type[BaseException]) -> None:
    before = path.read_bytes() if path.exists() else None
    with written_file(path) as file:
        file.write(b"%PDF-1.7")
        file.flush()
        assert (path.read_bytes() if path.exists() else None) == before
        raise error


@pytest.mark.parametrize("error", [TypeError, KeyboardInterrupt, OSError])
def test_what_fails_leaves_the_file_that_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "keep.pdf"
    target.write_bytes(b"good")
    for path in (target, tmp_path / "new.pdf"):
        with pytest.raises(error):
            write_in_part(path, error)
    assert target.read_bytes() == b"good"
    assert left(tmp_path) == ["keep.pdf"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_has_the_mode_of_any_and_one_that_is_replaced_keeps_its_own(tmp_path: Path, umask: int) -> None:
    kept = tmp_path / "kept.txt"
    kept.touch()
    kept.chmod(0o640)
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new.txt", b"new")
        write_whole(kept, b"kept")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert kept.read_bytes() == b"kept"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "target.txt"
    if there:
        target.write_bytes(b"old")
    link = tmp_path / "link.txt"
    link.symlink_to("far/target.txt")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert left(tmp_path / "far") == ["target.txt"]


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = BytesIO()
    reader = threading.Thread(target=lambda: got.write(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"flows")
    reader.join(60)
    assert got.getvalue() == b"flows"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_whole(Path(os.devnull), b"nothing")


def test_an_open_file_by_its_descriptor_is_the_same_file(tmp_path: Path) -> None:
    """`ocrqueue result -O /dev/stdout > FILE`."""
    with (tmp_path / "shell.txt").open("wb") as shell:
        link = tmp_path / "out"
        link.symlink_to(f"/dev/fd/{shell.fileno()}")
        write_whole(link, b"text")
        assert os.fstat(shell.fileno()).st_size == 4
    assert left(tmp_path) == ["out", "shell.txt"]


def test_a_file_that_is_not_to_be_written_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "done.txt"
    target.write_bytes(b"done")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError) as refused:
        write_whole(target, b"again")
    assert refused.value.filename == str(target)
    assert target.read_bytes() == b"done"


def test_what_is_missing_is_named_as_it_was_given(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "file.txt"
    with pytest.raises(FileNotFoundError) as missing:
        write_whole(target, b"x")
    assert missing.value.filename == str(target)


def test_where_no_file_can_be_made_or_moved_the_whole_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mounted.txt"
    target.write_bytes(b"old")
    monkeypatch.setattr(module, "_NO_NEW_FILE", {errno.ENAMETOOLONG})
    with monkeypatch.context() as patch:
        patch.setattr(module.secrets, "token_hex", lambda _: "x" * 300)
        write_whole(target, b"first")
        with pytest.raises(TypeError):
            write_in_part(target, TypeError)
    assert target.read_bytes() == b"first"

    # mounted, on another disk, or another's in a folder such as /tmp
    for number in (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES):

        def refuse(_path: Path, _target: Path, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", refuse)
            write_whole(target, b"by %d" % number)
        assert target.read_bytes() == b"by %d" % number
        assert left(tmp_path) == ["mounted.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(("owner", "group"), [(65534, 65534), (65534, 0), (0, 65534)])
def test_a_file_that_is_replaced_keeps_its_owner_group_and_mode(tmp_path: Path, owner: int, group: int) -> None:
    target = tmp_path / "theirs.txt"
    target.write_bytes(b"old")
    os.chown(target, owner, group)
    target.chmod(0o640)
    before = target.stat()
    write_whole(target, b"new")
    after = target.stat()
    assert target.read_bytes() == b"new"
    assert after.st_ino != before.st_ino, "it is another file, in the place of the first"
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (owner, group, 0o640)


@pytest.mark.parametrize("what", ["st_uid", "st_gid"])
def test_a_file_that_would_become_anothers_is_written_over_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    target = tmp_path / "theirs.txt"
    target.write_bytes(b"an old text that is longer")
    before = target.stat()

    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def of_another(path: Path) -> os.stat_result:
        place = stat.ST_UID if what == "st_uid" else stat.ST_GID
        fields = list(path.stat())
        fields[place] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(module, "_status", of_another)
    with written_file(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"an old text that is longer"
    assert target.read_bytes() == b"new"
    assert target.stat().st_ino == before.st_ino
    assert left(tmp_path) == ["theirs.txt"]


def test_what_replaces_a_file_is_nobody_elses_to_read_before_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "secret.txt"
    target.touch(0o600)
    modes = []

    def liken(descriptor: int, before: os.stat_result) -> bool:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return real(descriptor, before)

    real = module._liken
    monkeypatch.setattr(module, "_liken", liken)
    umask = os.umask(0)
    try:
        write_whole(target, b"hush")
    finally:
        os.umask(umask)
    assert modes == [0o600]


def test_the_ending_of_a_picture_still_says_what_is_written(tmp_path: Path) -> None:
    for name in ("a.j2k", "a.jp2", "a.tif", "a.png"):
        with written_file(tmp_path / name) as file:
            Image.new("RGB", (40, 40), "red").save(file, Image.registered_extensions()[Path(name).suffix])
    assert (tmp_path / "a.j2k").read_bytes()[:2] == b"\xff\x4f"
    assert (tmp_path / "a.jp2").read_bytes()[4:6] == b"jP"
