"""Which engines a job goes to, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from ocrqueue.core import EngineOffer, WorkerInfo
from ocrqueue.errors import (
    BrokerUnavailable,
    EngineUnknown,
    JobMalformed,
    LanguageUnsupported,
    OcrQueueError,
    SettingsInvalid,
)
from ocrqueue.job import Job, parse_job
from ocrqueue.job.route import MOST_ENGINES, Route
from ocrqueue.routing import EnginesNow, EngineStatus, Router, check_languages, make_route
from ocrqueue.settings import WorkerSettings, load_worker_settings
from tests.support.processes import wait_until

IMAGE = "s3://bucket/page.png"
SETTINGS = load_worker_settings(auto_engines="tesseract,rapid,keras")


def engine(name: str, *languages: str, fixed: bool = False, workers: int = 1, **measured: Any) -> EngineStatus:
    """One with live workers; `languages` that they read, none for any."""
    offer = EngineOffer(name=name, version="1", model="m", languages=languages, fixed_languages=fixed)
    worker = WorkerInfo(
        name=f"{name}@h", queues=(), engines=(offer,), concurrency=1, pid=1, started_at=datetime.now(UTC)
    )
    return EngineStatus(name=name, workers=(worker,) * workers, **measured)


def now(*engines: EngineStatus) -> EnginesNow:
    return {status.name: status for status in engines}


TESSERACT = engine("tesseract", "eng", "kor")
RAPID = engine("rapid", "eng", "kor", fixed=True)
KERAS = engine("keras", "eng", fixed=True)
ALL = now(TESSERACT, RAPID, KERAS)


def routed(installation: EnginesNow, settings: WorkerSettings = SETTINGS, **fields: Any) -> Route:
    job = make_route(Job(image=IMAGE, **{"engine": "auto", **fields}), settings, installation)
    assert job.route is not None
    assert job.engine == job.route.engine == job.route.engines[0]
    # what travels in a message is understood by whoever gets it
    assert parse_job(job.to_message(), "x") == job
    return job.route


# --- auto -------------------------------------------------------------------------------------------------------------


def test_auto_asks_the_first_that_can_and_the_others_follow() -> None:
    route = routed(ALL)
    assert (route.asked, route.mode, route.engines) == ("auto", "fallback", ("tesseract", "rapid", "keras"))
    assert route.reason == "tesseract first: the first of tesseract, rapid, keras that reads eng"


def test_what_reads_no_korean_gets_none_and_the_reason_says_so() -> None:
    route = routed(ALL, languages=("kor",))
    assert route.engines == ("tesseract", "rapid")
    assert route.reason == (
        "tesseract first: the first of tesseract, rapid that reads kor; keras left out: reads eng only"
    )


@pytest.mark.parametrize("installation", [now(KERAS), now()], ids=["only keras workers are alive", "none is"])
@pytest.mark.parametrize("policy", ["order", "shortest", "cheapest"])
@pytest.mark.parametrize("order", ["keras", "keras,tesseract", "tesseract,keras,rapid"])
@pytest.mark.parametrize("languages", [("kor",), ("eng", "kor")])
def test_korean_never_reaches_keras(
    installation: EnginesNow, policy: Any, order: str, languages: tuple[str, ...]
) -> None:
    settings = load_worker_settings(auto_engines=order, auto_policy=policy)
    if order == "keras":
        with pytest.raises(LanguageUnsupported, match="keras reads eng only") as refused:
            routed(installation, settings, languages=languages)
        assert "OCRQUEUE_AUTO_ENGINES" in refused.value.info.remedy
    else:
        assert "keras" not in routed(installation, settings, languages=languages).engines


def test_a_language_in_capitals_is_told_how_it_is_written() -> None:
    with pytest.raises(LanguageUnsupported, match="and not 'ENG'") as refused:
        check_languages(Job(image=IMAGE, engine="keras", languages=("ENG",)), now(KERAS), SETTINGS)
    assert refused.value.info.remedy == "Name the language 'eng'."


def test_who_lacks_a_pack_is_passed_over_only_where_another_has_it() -> None:
    lacking = engine("tesseract", "eng")
    route = routed(now(lacking, RAPID), languages=("kor",))
    assert route.engines == ("rapid",)
    assert "tesseract left out: reads eng only" in route.reason
    assert routed(now(lacking), languages=("kor",)).engines == ("tesseract",), "who has no worker may lack it too"
    alone = load_worker_settings(auto_engines="tesseract")
    assert routed(now(lacking), alone, languages=("kor",)).engines == ("tesseract",), "a pack can be added"


def test_who_has_no_worker_is_passed_over_only_where_another_has_one() -> None:
    route = routed(now(RAPID, KERAS))
    assert route.engines == ("rapid", "keras")
    assert route.reason.endswith("; tesseract left out: no live worker")
    assert routed(now(KERAS), languages=("kor",)).engines == ("tesseract", "rapid"), "better wait than be refused"
    assert routed(now()).engines == ("tesseract", "rapid", "keras")
    only = routed(now(RAPID))
    assert only.reason.startswith("rapid: the only one left of auto's engines; tesseract left out: no live worker; ")


def test_several_workers_of_an_engine_need_not_read_the_same() -> None:
    english, korean = engine("tesseract", "eng"), engine("tesseract", "kor")
    both = english.model_copy(update={"workers": english.workers + korean.workers})
    alone = load_worker_settings(auto_engines="tesseract,rapid")
    assert routed(now(both, RAPID), alone, languages=("kor",)).engines == ("tesseract", "rapid")
    assert routed(now(both, RAPID), alone, languages=("eng", "kor")).engines == ("rapid",)


def test_an_engine_that_does_not_care_reads_all() -> None:
    settings = load_worker_settings(auto_engines="null")
    assert routed(now(engine("null", fixed=True)), settings, languages=("kor",)).engines == ("null",)


def test_an_engine_that_nobody_knows_is_left_out() -> None:
    settings = load_worker_settings(auto_engines="mine,tesseract")
    route = routed(now(TESSERACT), settings)
    assert route.engines == ("tesseract",)
    assert "mine left out: not known here" in route.reason
    assert routed(now(TESSERACT, engine("mine")), settings).engines == ("mine", "tesseract")


# --- policies ---------------------------------------------------------------------------------------------------------


def shortest(**settings: Any) -> WorkerSettings:
    return load_worker_settings(auto_engines="tesseract,rapid", auto_policy="shortest", **settings)


def busy(name: str, waiting: dict[str, int], per_minute: float | None) -> EngineStatus:
    return engine(name, "eng", waiting=waiting, jobs_per_minute=per_minute)


@pytest.mark.parametrize(
    ("tesseract", "rapid", "first"),
    [
        (({}, None), ({}, None), "tesseract"),
        (({"normal": 30}, 60.0), ({"normal": 20}, 60.0), "rapid"),
        (({"normal": 30}, 120.0), ({"normal": 20}, 60.0), "tesseract"),
        (({"low": 500}, 1.0), ({"normal": 1}, 60.0), "tesseract"),
        (({"high": 500}, 1.0), ({"normal": 1}, 60.0), "rapid"),
        (({"normal": 3}, None), ({"normal": 900}, 60.0), "rapid"),
        (({"normal": 3}, None), ({"normal": 2}, None), "rapid"),
        (({"normal": 3}, None), ({}, None), "rapid"),
    ],
)
def test_the_shortest_queue_by_the_pace_of_its_workers(tesseract: Any, rapid: Any, first: str) -> None:
    installation = now(busy("tesseract", *tesseract), busy("rapid", *rapid))
    assert routed(installation, shortest()).engines[0] == first


def test_the_shortest_queue_is_told_with_its_length() -> None:
    installation = now(busy("tesseract", {"high": 10, "normal": 20}, 60.0), busy("rapid", {"normal": 2}, 6.0))
    route = routed(installation, shortest())
    assert route.engines == ("rapid",), "those after it in auto_engines follow, and none is"
    assert route.reason == (
        "rapid first: the shortest queue of those that read eng (tesseract 30 ahead, 30 s, rapid 2 ahead, 20 s)"
    )
    assert routed(installation, shortest(), priority="low").engines == ("rapid",)


def test_the_cheapest() -> None:
    settings = load_worker_settings(
        auto_engines="vision,rapid,tesseract", auto_policy="cheapest", engine_page_cost="10,vision=150"
    )
    route = routed(now(engine("vision"), RAPID, TESSERACT), settings)
    assert route.engines == ("rapid", "tesseract"), "of equals the first"
    assert route.reason == (
        "rapid first: the cheapest of those that read eng (1,000 pages: vision 1.50, rapid 0.10, tesseract 0.10)"
    )


def test_a_large_submission_is_spread_over_the_queues() -> None:
    read = []

    def installation() -> EnginesNow:
        read.append(1)
        return now(busy("tesseract", {"normal": 10}, 60.0), busy("rapid", {}, 60.0))

    router = Router(shortest(), installation)
    engines = [router.prepare(Job(image=IMAGE, engine="auto")).engine for _ in range(50)]
    assert engines[:10] == ["rapid"] * 10
    assert engines.count("tesseract") == 20
    assert all(one != other for one, other in pairwise(engines[12:]))
    assert len(read) == 1


# --- fallback and compare ---------------------------------------------------------------------------------------------


def test_a_fallback_is_kept_as_asked_but_for_what_cannot_read_it() -> None:
    route = routed(now(TESSERACT), engine="rapid", fallback=("keras", "tesseract"))
    assert (route.asked, route.engines) == ("rapid", ("rapid", "keras", "tesseract"))
    assert route.reason == "rapid, then keras, then tesseract, as asked"
    route = routed(ALL, engine="rapid", fallback=("keras", "tesseract"), languages=("kor",))
    assert route.engines == ("rapid", "tesseract")
    assert route.reason == "rapid, then tesseract, as asked; keras left out: reads eng only"
    with pytest.raises(LanguageUnsupported, match="keras reads eng, and not 'kor'"):
        routed(ALL, engine="keras", fallback=("tesseract",), languages=("kor",))


def test_auto_with_a_fallback_chooses_the_first_only() -> None:
    route = routed(ALL, languages=("kor",), fallback=("vision", "keras"))
    assert route.engines == ("tesseract", "vision")
    assert route.reason == (
        "tesseract first: the first of tesseract, rapid that reads kor; vision after it, as asked; "
        "keras left out: reads eng only"
    )
    assert routed(ALL, fallback=("tesseract",)).engines == ("tesseract",)


def test_all_that_are_compared_must_read_it() -> None:
    route = routed(ALL, engine="tesseract", compare=("tesseract", "rapid", "keras"))
    assert (route.asked, route.mode, route.engines) == ("tesseract", "compare", ("tesseract", "rapid", "keras"))
    assert route.reason == "tesseract, rapid and keras, as asked"
    with pytest.raises(LanguageUnsupported, match="keras"):
        routed(ALL, engine="tesseract", compare=("tesseract", "keras"), languages=("kor",))


@pytest.mark.parametrize(
    "fields",
    [
        {"fallback": ("nonesuch",)},
        {"compare": ("tesseract", "nonesuch")},
        {"fallback": ("nonesuch",), "engine": "auto"},
    ],
)
def test_an_engine_that_nobody_knows_cannot_be_asked_for(fields: dict[str, Any]) -> None:
    with pytest.raises(EngineUnknown, match="known: keras, null, rapid, tesseract, vision"):
        routed(ALL, **{"engine": "tesseract", **fields})


def test_a_job_without_a_wish_stays_as_it_is() -> None:
    plain = Job(image=IMAGE)
    assert make_route(plain, SETTINGS, ALL) is plain
    chosen = make_route(Job(image=IMAGE, engine="auto"), SETTINGS, ALL)
    assert make_route(chosen, SETTINGS, now()) is chosen


def test_a_route_stays_within_its_limits_whatever_there_is() -> None:
    names = [f"engine{number}" for number in range(12)]
    languages = [f"lang{number}" for number in range(150)]
    engines = now(*(engine(name, "x" * 2000, *languages, fixed=number % 2 == 1) for number, name in enumerate(names)))
    settings = load_worker_settings(auto_engines=",".join(names))
    route = routed(engines, settings, languages=("lang3",))
    assert len(route.engines) == MOST_ENGINES
    with pytest.raises(LanguageUnsupported) as refused:
        routed(
            now(engine(names[0], *languages, fixed=True)),
            load_worker_settings(auto_engines=names[0]),
            languages=("kor",),
        )
    assert "lang5 and 144 more" in refused.value.message
    assert len(refused.value.message) < 300
    reason = routed({**engines, names[0]: engine(names[0], "kor")}, settings, languages=("kor",)).reason
    assert len(reason) == 1000


# --- languages --------------------------------------------------------------------------------------------------------


def refusal(installation: EnginesNow, settings: WorkerSettings = SETTINGS, **fields: Any) -> OcrQueueError | None:
    try:
        check_languages(Job(image=IMAGE, **fields), installation, settings)
    except LanguageUnsupported as error:
        return error
    return None


def test_an_engine_of_fixed_languages_is_taken_at_its_workers_word() -> None:
    error = refusal(ALL, engine="keras", languages=("eng", "kor"))
    assert error is not None
    assert error.message == "keras reads eng, and not 'kor'."
    assert error.info.details == {"engine": "keras", "languages": ["eng"]}
    korean = now(engine("keras", "kor", "eng", fixed=True))
    assert refusal(korean, engine="keras", languages=("kor",)) is None, "a model of one's own"


def test_without_a_worker_the_setting_counts() -> None:
    error = refusal(now(TESSERACT), engine="keras", languages=("kor",))
    assert error is not None
    assert (
        error.message == "keras reads eng by OCRQUEUE_ENGINE_LANGUAGES, as no worker of it is up to ask, and not 'kor'."
    )
    own = load_worker_settings(engine_languages=" keras = eng + kor , other=fra")
    assert refusal(now(), own, engine="keras", languages=("kor",)) is None
    assert refusal(now(), own, engine="other", languages=("eng",))
    assert refusal(now(), load_worker_settings(engine_languages=""), engine="keras", languages=("kor",)) is None
    assert refusal(now(), engine="tesseract", languages=("kor",)) is None


def test_a_pack_that_is_missing_is_the_workers_to_tell() -> None:
    assert refusal(now(engine("tesseract", "eng")), engine="tesseract", languages=("kor",)) is None


@pytest.mark.parametrize("setting", ["keras", "keras=", "=eng", "Keras=eng", "keras=+", "k eras=eng"])
def test_a_setting_that_cannot_be_understood_is_named(setting: str) -> None:
    with pytest.raises(SettingsInvalid, match="engine_languages"):
        refusal(now(), load_worker_settings(engine_languages=setting), engine="keras")


@pytest.mark.parametrize("setting", ["", "auto", "tesseract,auto", "tesseract,tesseract", "Tesseract"])
def test_auto_needs_engines(setting: str) -> None:
    with pytest.raises(SettingsInvalid, match="auto_engines"):
        routed(ALL, load_worker_settings(auto_engines=setting))


# --- the router -------------------------------------------------------------------------------------------------------


def test_nothing_is_refused_by_what_was_read_earlier() -> None:
    states = [now(), now(KERAS), now(engine("keras", "kor", fixed=True)), now(KERAS)]
    router = Router(load_worker_settings(engine_languages="keras=eng"), lambda: states.pop(0))
    router.prepare(Job(image=IMAGE, engine="tesseract"))
    with pytest.raises(LanguageUnsupported, match="keras reads eng, and"):
        router.prepare(Job(image=IMAGE, engine="keras", languages=("kor",)))
    router.prepare(Job(image=IMAGE, engine="keras", languages=("kor",)))
    assert len(states) == 1
    router.prepare(Job(image=IMAGE, engine="keras", languages=("kor",)))
    assert len(states) == 1, "and what is well is not read again at once"


class Asked:
    """Redis, which answers once it is let; `answers` gives what it says, or raises it."""

    def __init__(self, answers: Callable[[], EnginesNow]) -> None:
        self.times = 0
        self.begun, self.let = threading.Event(), threading.Event()
        self._answers = answers

    def __call__(self) -> EnginesNow:
        self.times += 1
        self.begun.set()
        assert self.let.wait(60)
        return self._answers()


def test_threads_share_a_router() -> None:
    redis = Asked(dict)
    router = Router(load_worker_settings(auto_policy="shortest"), redis)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(router.prepare, Job(image="s3://b/k"))
        assert redis.begun.wait(60)
        second = threads.submit(router.prepare, Job(image="s3://b/k"))
        # it counts jobs in what the first one reads
        with pytest.raises(TimeoutError):
            second.result(timeout=0.1)
        redis.let.set()
        assert first.result(60).engine == second.result(60).engine
    assert redis.times == 1


class CountingLock:
    """A lock that knows how often it was let go."""

    def __init__(self) -> None:
        self.times = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.times += 1
        self._lock.release()


def test_threads_share_what_reading_came_to_and_no_error_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> EnginesNow:
        raise BrokerUnavailable

    redis, lock = Asked(away), CountingLock()
    router = Router(SETTINGS, redis)
    monkeypatch.setattr(router, "_lock", lock)
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(router.prepare, Job(image=IMAGE)) for _ in range(3)]
        wait_until(lambda: lock.times == 3, 60, "one asks, and two have seen that it does")
        redis.let.set()
        errors = [future.exception(60) for future in asked]
    assert redis.times == 1
    assert [type(error) for error in errors] == [BrokerUnavailable] * 3
    assert len({id(error) for error in errors}) == 3


def test_no_job_is_refused_by_what_was_asked_for_before_it_came() -> None:
    """Another thread asks at the moment, and its answer may be of a time when the engine was not there."""
    states = [now(KERAS), now(engine("keras", "kor", fixed=True))]
    redis = Asked(lambda: states.pop(0))
    router = Router(load_worker_settings(engine_languages="keras=eng"), redis)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(router.prepare, Job(image=IMAGE, engine="keras", languages=("kor",)))
        assert redis.begun.wait(60)
        second = threads.submit(router.prepare, Job(image=IMAGE, engine="keras", languages=("kor",)))
        with pytest.raises(TimeoutError):
            second.result(timeout=0.2)
        redis.let.set()
        with pytest.raises(LanguageUnsupported):
            first.result(60)
        assert second.result(60).engine == "keras"


def test_of_many_who_come_at_once_the_first_has_redis_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("ocrqueue.routing.router.time.monotonic", lambda: clock[0])
    asked = 0

    def installation() -> EnginesNow:
        nonlocal asked
        asked += 1
        return ALL

    router = Router(SETTINGS, installation)
    job = Job(image=IMAGE, engine="keras", languages=("eng",))
    assert router.prepare_at_once(job) is None, "nothing is known yet"
    router.prepare(job)
    assert [router.prepare_at_once(job) for _ in range(3)] == [job] * 3
    clock[0] += 2
    assert [router.prepare_at_once(job) for _ in range(3)] == [None, job, job]
    router.prepare(job)
    assert router.prepare_at_once(job) == job
    clock[0] += 3.5
    assert [router.prepare_at_once(job) for _ in range(2)] == [None, None], "what is known is too old for anybody"
    assert asked == 2
    assert router.prepare_at_once(Job(image=IMAGE, engine="nonesuch")) is None, "a refusal is not by what was read"


def test_what_was_read_is_read_again_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds, read = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])

    def installation() -> EnginesNow:
        read.append(seconds[0])
        return ALL

    router = Router(SETTINGS, installation)
    for _ in range(100):
        router.prepare(Job(image=IMAGE))
        seconds[0] += 0.1
    assert len(read) == pytest.approx(5, abs=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"compare": ("tesseract",)},
        {"compare": ("tesseract", "rapid"), "fallback": ("keras",)},
        {"fallback": ("auto",)},
        {"engine": "auto", "options": {"psm": 6}},
    ],
)
def test_what_makes_no_sense_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(JobMalformed):
        parse_job({"image": IMAGE, **fields}, "x")
