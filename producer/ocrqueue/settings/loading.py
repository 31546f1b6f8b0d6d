"""Settings of the environment, overridden by those that the code gives."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import describe_validation_error
from ocrqueue.settings.client import ENV_FILE, ClientSettings
from ocrqueue.settings.unknown import warn_of_unknown
from ocrqueue.settings.worker import WorkerSettings

AnySettings = TypeVar("AnySettings", bound=ClientSettings)


def load_client_settings(base: ClientSettings | None = None, /, **overrides: Any) -> ClientSettings:
    """From the environment, or `base`, `overrides` first; of a worker's variables none is looked at.

    An unknown OCRQUEUE_* variable is warned of (SettingIgnored). Raises SettingsInvalid, also for unknown names;
    TypeError for what are no ClientSettings.
    """
    if base is not None and not isinstance(base, ClientSettings):
        raise TypeError(
            f"settings must be ClientSettings, not {type(base).__name__}: give single settings by name, such as "
            "redis_url=..."
        )
    return _load(ClientSettings if base is None else type(base), base, overrides)


def load_worker_settings(base: WorkerSettings | None = None, /, **overrides: Any) -> WorkerSettings:
    """As load_client_settings, with those that workers alone have. Raises SettingsInvalid."""
    return _load(WorkerSettings, base, overrides)


@lru_cache(maxsize=1)
def process_settings() -> WorkerSettings:
    """The settings of this worker, read once. Raises SettingsInvalid."""
    return load_worker_settings()


def _load(kind: type[AnySettings], base: ClientSettings | None, overrides: dict[str, Any]) -> AnySettings:
    unknown = [name for name in overrides if name not in kind.model_fields]
    if unknown:
        raise _no_setting(unknown[0])
    if base is not None:
        if not overrides and isinstance(base, kind):
            return base
        overrides = {**{name: getattr(base, name) for name in type(base).model_fields}, **overrides}
    try:
        settings = kind(**overrides)
        if base is None:
            warn_of_unknown(WorkerSettings.model_fields, ENV_FILE)
    except ValidationError as error:
        raise SettingsInvalid(describe_validation_error(error)) from None
    except UnicodeDecodeError:
        raise SettingsInvalid(
            ".env, or a file of a secret, is not text in UTF-8.", remedy="Save it as UTF-8, or remove it."
        ) from None
    except (OSError, SettingsError) as error:
        # a file of a secret that cannot be read; what else the fault says could quote it
        raise SettingsInvalid(f"{error}: {type(error.__cause__ or error).__name__}") from None
    return settings


def _no_setting(name: str) -> SettingsInvalid:
    if name in WorkerSettings.model_fields:
        return SettingsInvalid(
            f"{name} is a setting of workers.", remedy=f"Set OCRQUEUE_{name.upper()} where the workers run."
        )
    near = get_close_matches(name, WorkerSettings.model_fields, 1)
    return SettingsInvalid(
        f"There is no setting {name[:80]!r}.",
        remedy=f"Did you mean {near[0]!r}?" if near else "docs/settings.md lists all settings.",
    )
