"""Checks of what an engine says of itself: before it is loaded, as the worker's main process asks it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from ocrqueue.errors import LanguageMissing, LanguageUnsupported, OcrQueueError, OptionInvalid, OptionUnknown
from ocrqueue.job import describe_validation_error
from ocrqueue_worker.engine_contract.findings import Advice, Complaint, Wrong
from ocrqueue_worker.engine_contract.question import Check, Question
from ocrqueue_worker.engines.asking import asking, concurrency, fault, info_of, longest_side, may_prepare
from ocrqueue_worker.engines.engine import Engine

_HEAVY: Final = ("tensorflow", "torch", "onnxruntime", "openvino", "cv2", "grpc", "jax", "paddle")
"""Libraries that start threads or take a GPU when they are imported, and do not survive a fork."""
_LANGUAGE: Final = re.compile("[A-Za-z0-9_]{1,40}")
_NO_LANGUAGE: Final = "zzz_none"


def _options(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    model = engine.options_model
    if model.model_config.get("extra") != "forbid":
        yield Wrong("options_model accepts unknown options: its model_config needs extra='forbid'.")
    for name, option in model.model_fields.items():
        if not option.description:
            yield Advice(f"the option {name} has no description, which docs and `ocrqueue schema` would show.")
    try:
        model()
    except ValidationError as error:
        described = describe_validation_error(error)
        yield Advice(f"jobs that name no options are refused, since some have no default: {described}")
    try:
        engine.parse_options(question.options)
    except OcrQueueError as error:
        yield Wrong(f"the options given are refused: {error}")
    try:
        engine.parse_options({**question.options, "no_such_option": 1})
        yield Wrong("parse_options() accepts an unknown option: it must raise OptionUnknown.")
    except (OptionUnknown, OptionInvalid):
        pass


def _information(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    languages = question.languages_of(engine)
    info = info_of(engine, languages)
    if not info.version or not info.model:
        yield Wrong("info() has no version or model: both are part of the cache key.")
    if info_of(engine, languages) != info:
        yield Wrong("info() says something else the second time: the cache would never find a reading.")


def _languages(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    known: object = engine.languages()
    if not isinstance(known, tuple):
        yield Wrong(f"languages() returns a {type(known).__name__}, not a tuple.")
        return
    for language in known:
        if not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
            yield Wrong(f"languages() has {str(language)[:40]!r}, which is not the name of a language.")
    try:
        engine.check_languages(question.languages_of(engine))
    except OcrQueueError as error:
        yield Wrong(f"check_languages() refuses {question.languages_of(engine)}: {error}")
    if not known:
        if engine.fixed_languages:
            yield Wrong("fixed_languages is True, but languages() names none: no job would be accepted.")
        return
    try:
        engine.check_languages((_NO_LANGUAGE,))
        yield Wrong("check_languages() accepts a language that languages() does not name.")
    except (LanguageMissing, LanguageUnsupported):
        pass


def _fork(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    """After what the main process asks of an engine before it forks."""
    engine.check()
    engine.check_any_language()
    info_of(engine, question.languages_of(engine))
    heavy = [name for name in _HEAVY if name in sys.modules and name not in question.imported]
    if heavy and engine.pool == "prefork":
        yield Wrong(f"{', '.join(heavy)} is imported before load(): it does not survive the fork of the children.")
    if threading.active_count() > 1 and engine.pool == "prefork":
        names = ", ".join(sorted(thread.name for thread in threading.enumerate() if thread.name != "MainThread"))
        yield Wrong(f"threads run before load(), which a fork loses: {names}.")


def _batches(engine: Engine[Any], question: Question) -> Iterator[Complaint]:
    options = engine.parse_options(question.options)
    with asking(engine.name, "pages_together()"):
        together: object = engine.pages_together(options)
    if not isinstance(together, int) or isinstance(together, bool) or together < 1:
        yield Wrong(f"pages_together() returns {together!r}, not a whole number from 1 on.")
    with asking(engine.name, "splits()"):
        splits: object = engine.splits(options, 2)
    if not isinstance(splits, bool):
        yield Wrong(f"splits() returns {splits!r}, which is neither True nor False.")
    may_prepare(engine, options)
    longest_side(engine, options)
    concurrency(engine)
    with asking(engine.name, "memory_limit_mib()"):
        limit: object = engine.memory_limit_mib()
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        yield Wrong(f"memory_limit_mib() returns {limit!r}, not a whole number of MiB.")


def broke_off(call: str, error: BaseException) -> Wrong:
    return Wrong(f"{call} raised {fault(error)}.")


STATING: Final = (
    Check("options", "options are checked by options_model, and each can be explained", _options, before_load=True),
    Check("info", "info() names version and model, the same each time", _information, before_load=True),
    Check("languages", "languages() and check_languages() agree", _languages, before_load=True),
    Check("batches", "pages_together(), splits(), longest_side() and their like answer", _batches, before_load=True),
    Check("fork", "nothing heavy and no thread before load()", _fork, before_load=True),
)
