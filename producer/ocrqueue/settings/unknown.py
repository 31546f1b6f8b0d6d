"""Names that look like settings and are none: they would be ignored, mostly because of a typing error."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic_settings import BaseSettings, DotEnvSettingsSource

_PREFIX: Final = "OCRQUEUE_"
_OF_OTHERS: Final = ("OCRQUEUE_GATEWAY_", "OCRQUEUE_TEST_")
"""The gateway's settings are its own, and the project's tests have some."""


class SettingIgnored(UserWarning):
    """A variable that begins with OCRQUEUE_ is no setting."""


def unknown_names(known: Iterable[str], env_file: str) -> list[str]:
    """Of the environment, the .env file and the folder of secrets, in capitals and in order."""
    settings = {_PREFIX + name.upper() for name in known}
    given = {name.upper() for name in _given(env_file)}
    return sorted(
        name for name in given if name.startswith(_PREFIX) and name not in settings and not name.startswith(_OF_OTHERS)
    )


def _given(env_file: str) -> Iterator[str]:
    yield from os.environ
    if Path(env_file).is_file():
        yield from DotEnvSettingsSource(BaseSettings, env_file=env_file, case_sensitive=True).env_vars
    folder = os.environ.get("OCRQUEUE_SECRETS_DIR", "")
    if folder and Path(folder).is_dir():
        yield from (path.name for path in Path(folder).iterdir())


def complaint(name: str, known: Iterable[str]) -> str:
    """`OCRQUEUE_REDIS_ULR is not a setting; did you mean OCRQUEUE_REDIS_URL?`"""
    near = get_close_matches(name, [_PREFIX + each.upper() for each in known], 1)
    return f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ", and is ignored")


_told: Final[set[str]] = set()


def warn_of_unknown(known: Iterable[str], env_file: str) -> None:
    """Once for each name in a process."""
    names = list(known)
    for name in unknown_names(names, env_file):
        if name not in _told:
            _told.add(name)
            warnings.warn(complaint(name, names), SettingIgnored, stacklevel=5)


def show_warnings_by(say: Callable[[str], None]) -> None:
    """In a command: such a warning is a line of its own, without the place in the code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        if issubclass(category, SettingIgnored):
            say(f"warning: {message}")
        else:
            usual(message, category, *place, **options)

    warnings.showwarning = show
