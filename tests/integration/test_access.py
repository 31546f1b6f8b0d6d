"""A worker's looks at its own access: what each finds, who hears of it, and whose fault a denial is then."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ocrqueue.core import EngineOffer, Trouble, WorkerInfo, WorkerRegistry
from ocrqueue.core.pauses import pause
from ocrqueue.core.side_lanes import for_languages, side_lanes
from ocrqueue.core.worker_registry import Sidesteps
from ocrqueue.errors import (
    EngineFailed,
    EngineWeightsMissing,
    LanguageMissing,
    OcrQueueError,
    SourceAccessDenied,
    SourceCredentials,
    SourceUnavailable,
    StorageCredentials,
    StorageDenied,
    StorageUnavailable,
    WorkerDiskFull,
)
from ocrqueue.job import Job
from ocrqueue.settings import WorkerSettings, load_worker_settings
from ocrqueue.storage import FileStorage, open_storage
from ocrqueue.storage.s3_client import forget_s3_clients, s3_client
from ocrqueue_worker.access import look as look_module
from ocrqueue_worker.access import probes
from ocrqueue_worker.access.look import Look
from ocrqueue_worker.access.offers import Offers
from ocrqueue_worker.access.others import OtherReaders
from ocrqueue_worker.access.troubles import Troubles
from ocrqueue_worker.access.verdict import Verdict
from ocrqueue_worker.broker.beside import SideLanes
from ocrqueue_worker.broker.hand import HAND
from ocrqueue_worker.engines.null import NullEngine
from ocrqueue_worker.lifecycle.shared_duties import SideLaneDuty
from ocrqueue_worker.sources.credentials import Credentials
from ocrqueue_worker.task import own_fault
from tests.support.moves import LANE, begun, job, submit, take
from tests.support.servers import Exchange, Guarded, answer, guarded_s3_server, http_server, s3_error

pytest_plugins = ["tests.support.server_fixtures"]

LONG_S = 60.0


# --- looks -----------------------------------------------------------------------------------------------------------


class Reads(NullEngine):
    """Languages that the test gives it."""

    known: tuple[str, ...] = ("eng",)

    def languages(self) -> tuple[str, ...]:
        return self.known

    def check_any_language(self) -> None:
        if not self.known:
            raise LanguageMissing("None at all.")

    def check_languages(self, languages: Sequence[str]) -> None:
        for language in set(languages) - set(self.known):
            raise LanguageMissing(language=language)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """What answers is waited for, however busy the machine."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(look_module, "_STORAGE_S", LONG_S)
        patched.setattr(look_module, "_SOURCES_S", LONG_S)
        yield


class Looking:
    def __init__(self, settings: WorkerSettings) -> None:
        self.engine, self.troubles, self.verdict = Reads(settings), Troubles(), Verdict()
        self.offers = Offers(["reads"], lambda _: self.engine, settings)
        self.look = Look(settings, self.offers, self.troubles, self.verdict)

    def found(self, *questions: str) -> list[str]:
        self.look.run(questions)
        return [trouble.error.code for trouble in self.troubles.now()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "storage").mkdir()
    return tmp_path / "storage"


@pytest.fixture
def looking(folder: Path) -> Looking:
    return Looking(load_worker_settings(storage=folder.as_uri()))


def test_a_look_leaves_nothing_and_finds_nothing_where_nothing_is_wrong(looking: Looking, folder: Path) -> None:
    assert looking.found() == []
    assert list(folder.rglob("*")) == [folder / "results"]
    assert not looking.verdict.is_broken


def test_a_missing_folder_stops_the_worker_until_it_is_there(looking: Looking, folder: Path) -> None:
    folder.rmdir()
    assert looking.found() == ["storage.not_found"]
    (trouble,) = looking.troubles.now()
    assert f"mkdir -p {folder}" in trouble.error.remedy
    assert (looking.troubles.stop(), looking.troubles.stop("null"), looking.verdict.is_broken) == (True, True, True)
    folder.mkdir()
    assert looking.found() == []
    assert (looking.verdict.is_broken, looking.verdict.recoveries) == (False, 1)


def test_storage_is_not_looked_at_again_unless_somebody_asks(looking: Looking, folder: Path) -> None:
    assert looking.found() == []
    shutil.rmtree(folder)
    assert looking.found() == []
    assert looking.found("") == ["storage.not_found"]


def test_storage_that_does_not_answer_is_a_trouble_in_time(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(look_module, "_STORAGE_S", 0.05)
    monkeypatch.setattr(FileStorage, "put", lambda *_: answers.wait(LONG_S))
    assert looking.found() == ["storage.unavailable"]
    monkeypatch.undo()
    answers.set()
    assert looking.found() == []


def test_storage_that_returns_something_else_is_broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStorage, "get", lambda *_: b"another's")
    found = probes.probe_storage(open_storage(load_worker_settings(storage=folder.as_uri())))
    assert isinstance(found, StorageUnavailable)
    assert list(folder.rglob("*")) == [folder / "results"]


def test_an_engine_without_any_language_is_stopped_and_the_others_are_not(looking: Looking) -> None:
    looking.engine.known = ()
    assert looking.found() == ["language.missing"]
    assert (looking.troubles.stop(), looking.troubles.stop("null"), looking.troubles.stop("reads")) == (
        False,
        True,
        False,
    ), "the engine of this test is named null"
    assert not looking.verdict.is_broken
    looking.engine.known = ("kor",)
    assert looking.found() == ["language.missing"], "the default one is not there, and is told of"
    assert looking.found() == ["language.missing"]
    looking.engine.known = ("eng", "kor")
    assert looking.found() == []
    (offer,) = looking.offers.now()
    assert offer.languages == ("eng", "kor")


def test_changes_are_told_once(looking: Looking, folder: Path) -> None:
    told: list[bool] = []
    looking.troubles.on_change(lambda: told.append(looking.troubles.stop()))
    looking.found()
    shutil.rmtree(folder)
    looking.found("")
    looking.found("")
    folder.mkdir()
    looking.found()
    looking.found()
    assert told == [True, False]


def test_a_full_disk_for_temporary_files(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(probes.os, "posix_fallocate", no_space)
    assert looking.found() == ["worker.disk_full"]
    monkeypatch.undo()
    assert looking.found() == []


def test_credentials_for_sources_are_looked_at_where_the_operator_names_buckets(
    s3_endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_s3_clients()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    given: dict[str, Any] = {"storage": folder.as_uri(), "s3_endpoint": s3_endpoint}
    assert Looking(load_worker_settings(**given, source_buckets="scans")).found() == ["source.credentials"]
    looking = Looking(load_worker_settings(**given))
    assert looking.found() == looking.found("s3://scans") == [], "what one job asks for stops no worker"
    forget_s3_clients()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_s3_server() as server:
        yield server


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The file that this process's credentials are read from, and from nowhere else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    forget_s3_clients()
    yield tmp_path / "credentials"
    forget_s3_clients()


def write(file: Path, user: Mapping[str, str]) -> None:
    file.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in user.items()))


@pytest.mark.parametrize("kind", ["storage", "source"])
def test_whoever_asks_has_an_answer_by_the_credentials_as_they_are_now(
    kind: str, guarded: Guarded, credentials: Path, folder: Path
) -> None:
    """A child that was made anew may have read others than the main process did."""
    user = guarded.make_user(f"user-{kind}")
    guarded.client("s3").create_bucket(Bucket=f"scans-{kind}")
    write(credentials, user)
    given: dict[str, Any] = {"storage": f"s3://scans-{kind}"}
    if kind == "source":
        given = {"storage": folder.as_uri(), "source_buckets": f"scans-{kind}"}
    looking = Looking(load_worker_settings(**given, s3_endpoint=guarded.endpoint, s3_attempts=1))
    assert looking.found() == []
    write(credentials, {**user, "aws_secret_access_key": "badly rotated"})
    assert looking.found() == [], "nobody asks"
    assert looking.found(f"s3://scans-{kind}") == [f"{kind}.credentials"]
    assert looking.verdict.is_broken
    write(credentials, user)
    assert looking.found() == []
    assert looking.verdict.recoveries == 1


def test_who_was_denied_reads_the_credentials_anew(credentials: Path) -> None:
    """Of a server that does not say why: AccessDenied may be a secret that is not valid any more."""

    def serve(exchange: Exchange) -> None:
        (answer(200) if "Credential=new/" in exchange.head else s3_error(403, "AccessDenied"))(exchange)

    write(credentials, {"aws_access_key_id": "old", "aws_secret_access_key": "x"})
    with http_server(serve) as server:
        storage = open_storage(load_worker_settings(storage="s3://scans", s3_endpoint=server.url(""), s3_attempts=1))
        with pytest.raises(StorageDenied):
            storage.put("inputs/a", b"a", "text/plain")
        write(credentials, {"aws_access_key_id": "new", "aws_secret_access_key": "x"})
        storage.put("inputs/a", b"a", "text/plain")


def test_credentials_are_read_anew_for_the_next_job_once_their_file_has_changed(credentials: Path) -> None:
    own = Credentials()
    settings = load_worker_settings(storage="s3://scans")
    assert not own.renew(), "there is none"
    write(credentials, {"aws_access_key_id": "old", "aws_secret_access_key": "x"})
    assert own.renew()
    before = s3_client(settings)
    assert not own.renew()
    assert s3_client(settings) is before
    another = credentials.with_name("another")
    write(another, {"aws_access_key_id": "new", "aws_secret_access_key": "x"})
    another.replace(credentials)
    assert own.renew()
    assert s3_client(settings) is not before


# --- asking for the verdict ------------------------------------------------------------------------------------------


def test_who_asks_waits_for_a_look_that_begins_after(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict()
    assert not verdict.ask("s3://b"), "nobody looks"
    assert verdict.questions() == set()
    verdict.watch(True)
    verdict.begin()
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(verdict.ask("s3://b")))
    asking.start()
    while not (asked := verdict.questions()):
        pass
    assert asked == {"s3://b"}
    verdict.end(broken=False)
    asking.join(0.2)
    assert answers == [], "that look began before the question"
    verdict.begin()
    verdict.end(broken=True)
    asking.join(LONG_S)
    assert answers == [True]
    verdict.watch(False)
    assert not verdict.is_broken


# --- whose fault it is -----------------------------------------------------------------------------------------------


class Part:
    """As task.delivery has it, with other workers that the test gives it."""

    def __init__(self, *others: WorkerInfo, image: str = "s3://bucket/page.png", **known: Any) -> None:
        self.job = Job(image=image, engine="null", languages=("eng", "fra"))
        self.others = others
        self.known = Sidesteps(**{"lane": LANE, "count": 0, "denied": False, **known})
        self.went: str | None = None
        self.denied = False

    def sidesteps(self) -> Sidesteps:
        return self.known

    def other_workers(self, *, anew: bool) -> Sequence[WorkerInfo]:
        # the last of them has come a moment ago
        return self.others if anew else self.others[:-1]

    def sidestep(self, error: OcrQueueError, side_lane: str, *, denied: bool = False) -> None:
        self.went, self.denied = side_lane, denied

    def give_back(self, error: OcrQueueError, *, alone: bool = True) -> None:
        assert not alone
        self.went = "back"


def other(*languages: str) -> WorkerInfo:
    offer = EngineOffer(name="null", version="1", model="none", languages=languages)
    return WorkerInfo(
        name="other",
        holder="other",
        queues=(LANE,),
        engines=(offer,),
        concurrency=1,
        pid=1,
        started_at=datetime.now(UTC),
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the main process was asked, which finds that nothing is wrong."""
    found: list[str] = []

    def ask(_: Verdict, source: str = "") -> bool:
        found.append(source)
        return False

    monkeypatch.setattr(Verdict, "ask", ask)
    return found


@pytest.mark.parametrize(
    "error",
    [
        *(StorageDenied(), SourceAccessDenied(), StorageCredentials(), SourceCredentials()),
        *(StorageUnavailable(), WorkerDiskFull()),
    ],
)
def test_where_the_workers_own_access_is_broken_the_part_goes_back(
    error: OcrQueueError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Verdict, "ask", lambda *_: True)
    part = Part(other())
    assert own_fault.goes_back(part, error)
    assert part.went == "back"


def test_a_denial_that_is_not_the_workers_is_shown_to_a_second_one(asked: list[str]) -> None:
    part = Part(other())
    assert own_fault.goes_back(part, SourceAccessDenied())
    assert (part.went, part.denied, asked) == (f"{LANE}/!{HAND.holder}", True, ["s3://bucket"])
    assert not own_fault.goes_back(Part(other(), denied=True), SourceAccessDenied()), "it is the second"
    assert not own_fault.goes_back(Part(), SourceAccessDenied()), "there is no second"


def test_a_denial_of_credentials_that_were_replaced_meanwhile_is_nobodys_fault(
    asked: list[str], credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_fault, "CREDENTIALS", Credentials())
    write(credentials, {"aws_access_key_id": "new", "aws_secret_access_key": "x"})
    part = Part(other())
    assert own_fault.goes_back(part, SourceAccessDenied())
    assert (part.went, part.denied) == ("back", False)
    assert own_fault.goes_back(part, SourceAccessDenied())
    assert (part.went, part.denied, len(asked)) == (f"{LANE}/!{HAND.holder}", True, 2)


@pytest.mark.parametrize(
    ("error", "image", "asks"),
    [
        (StorageUnavailable(), "s3://bucket/page.png", True),
        (SourceUnavailable(), "s3://bucket/page.png", True),
        (SourceUnavailable(), "https://host/page.png", False),
        (EngineFailed(), "s3://bucket/page.png", False),
    ],
)
def test_what_is_no_denial_is_the_jobs_where_the_worker_is_well(
    error: OcrQueueError, image: str, asks: bool, asked: list[str]
) -> None:
    part = Part(other(), image=image)
    assert not own_fault.goes_back(part, error)
    assert (part.went, bool(asked)) == (None, asks)


def test_a_lacking_language_is_left_to_those_that_have_it(asked: list[str]) -> None:
    missing = LanguageMissing(language="fra")
    part = Part(other("eng"), other("eng", "fra"))
    assert own_fault.goes_back(part, missing)
    assert part.went == "ocr.null/fra"
    part = Part(other("eng", "fra"), lane="ocr.null/fra")
    assert own_fault.goes_back(part, LanguageMissing(language="eng"))
    assert part.went == "ocr.null/eng+fra"
    assert not own_fault.goes_back(Part(other("eng")), missing), "nobody has it"
    assert not own_fault.goes_back(Part(other("eng", "fra"), count=8), missing), "they do not have what they announce"
    part = Part(other("eng", "fra"))
    assert own_fault.goes_back(part, LanguageMissing(language="osd"))
    assert part.went == f"{LANE}/!{HAND.holder}"
    assert asked == []


def test_an_engine_that_cannot_read_here_leaves_its_parts_to_those_where_it_can(asked: list[str]) -> None:
    part = Part(other("eng"))
    assert own_fault.goes_back(part, EngineWeightsMissing())
    assert (part.went, part.denied, asked) == (f"{LANE}/!{HAND.holder}", False, [])
    trouble = Trouble(
        what="languages of null", error=EngineWeightsMissing().info, since=datetime.now(UTC), engine="null"
    )
    sick = other("eng").model_copy(update={"troubles": (trouble,)})
    assert not own_fault.goes_back(Part(sick), EngineWeightsMissing()), "no other could read it"


def stopped(*languages: str, engine: str | None = None) -> WorkerInfo:
    """As other(), with something that keeps it from taking any parts, or those of one engine."""
    trouble = Trouble(what="storage", error=StorageDenied().info, since=datetime.now(UTC), engine=engine)
    return other(*languages).model_copy(update={"troubles": (trouble,)})


@pytest.mark.parametrize(
    ("error", "side_lane"),
    [(LanguageMissing(language="fra"), "ocr.null/fra"), (EngineWeightsMissing(), f"{LANE}/!{HAND.holder}")],
    ids=["a language", "an engine"],
)
def test_who_could_do_a_part_and_takes_nothing_for_now_is_waited_for(error: OcrQueueError, side_lane: str) -> None:
    part = Part(stopped("eng", "fra"))
    assert own_fault.goes_back(part, error)
    assert part.went == side_lane
    assert not own_fault.goes_back(Part(stopped("eng", "fra"), count=2), error), "the patience is over"
    assert not own_fault.goes_back(Part(stopped("eng", "fra", engine="null")), error), "it could not do it either"


def test_a_job_that_fails_for_want_of_a_stopped_worker_names_that_one() -> None:
    missing = LanguageMissing("There is no pack for 'fra'.", language="fra")
    able = stopped("eng", "fra")
    told = own_fault.reason_of_end(Part(able, able), missing)
    assert (told.code, told.info.details) == ("language.missing", {"language": "fra"})
    assert told.message == "There is no pack for 'fra'. Workers that could do it take no jobs: other (storage.denied)."
    assert "ocrqueue top" in told.info.remedy
    for part in (
        Part(stopped("eng"), stopped("eng")),
        Part(stopped("eng", "fra", engine="null"), other("eng")),
        Part(),
    ):
        assert own_fault.reason_of_end(part, missing) is missing
    denied = SourceAccessDenied()
    assert own_fault.reason_of_end(Part(able, able), denied) is denied


def test_parts_are_left_to_other_readers_only_while_one_may_come() -> None:
    live = [other("eng")]
    patient = OtherReaders(lambda: live, "own", LONG_S)
    hasty, own = OtherReaders(lambda: live, "own", 0), OtherReaders(lambda: live, "other", 0)
    assert patient.may_come("null")
    assert hasty.may_come("null")
    assert not hasty.may_come("keras"), "nobody has it"
    assert not own.may_come("null"), "it is this one"
    hasty, away = OtherReaders(lambda: [], "own", 0), OtherReaders(lambda: [], "own", LONG_S)
    assert not hasty.may_come("null")
    assert away.may_come("null"), "one that is started anew may be back"


def test_a_small_disk_is_not_full_for_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(mebibytes: int, free: int) -> os.statvfs_result:
        return os.statvfs_result((1 << 20, 1 << 20, mebibytes, free, free, 0, 0, 0, 0, 255))

    found = []
    for size in (of(2, 1), of(2, 0), of(1000, 16), of(1000, 15), of(0, 0)):
        monkeypatch.setattr(os, "statvfs", lambda _, size=size: size)
        found.append(probes.has_room())
    assert found == [True, False, True, False, False]


# --- side lanes in a worker ------------------------------------------------------------------------------------------


def test_side_lanes_take_turns_with_their_lane_and_with_each_other() -> None:
    beside = SideLanes()
    high = "ocr.null.high"
    assert beside.with_lanes([high, LANE]) == [high, LANE]
    assert beside.note(["ocr.null/fra", "ocr.null/kor"])
    assert not beside.note(["ocr.null/kor", "ocr.null/fra"])
    first = []
    for _ in range(4):
        order = beside.with_lanes([high, LANE])
        assert order[0] == high
        first.append(order[1])
        beside.taken_from(order[1])
    assert first == [LANE, "ocr.null/fra", LANE, "ocr.null/kor"]
    assert not beside.note([])
    assert beside.with_lanes([LANE]) == [LANE]


def test_what_nobody_may_take_goes_back_after_a_while(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    side_lane = for_languages(LANE, ["fra"])
    registry.sidestep(begun(registry), LanguageMissing().info, side_lane)
    patient, hasty = SideLaneDuty(), SideLaneDuty(unserved_s=0)
    patient.sweep(registry, [])
    hasty.sweep(registry, [other("fra")])
    assert side_lanes(registry) == [side_lane]
    hasty.sweep(registry, [other("eng")])
    assert side_lanes(registry) == []
    assert [part.hold.part for part in take(registry).parts] == [given.id]


def test_a_side_lane_behind_a_hundred_others_has_its_turn(registry: WorkerRegistry) -> None:
    given = job()
    submit(registry, given)
    last = for_languages(LANE, ["zzz"])
    registry.sidestep(begun(registry), LanguageMissing().info, last)
    waiting = [job(tenant="paused") for _ in range(100)]
    submit(registry, *waiting)
    for number in range(100):
        registry.sidestep(begun(registry), LanguageMissing().info, for_languages(LANE, [f"a{number:02d}"]))
    pause(registry, "tenant", "paused")
    duty = SideLaneDuty(unserved_s=0)
    there = other(*(f"a{number:02d}" for number in range(100)))
    for _ in range(2):
        duty.sweep(registry, [there])
    assert last not in side_lanes(registry)
    assert [part.hold.part for part in take(registry).parts] == [given.id]
