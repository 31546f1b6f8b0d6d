"""What can be set: every OCRQUEUE_* variable, its default and its check.

`client` has the settings that apps, commands and workers share, `worker` those that workers alone have; `per_engine` is
for settings that differ by engine.
"""

from ocrqueue.settings.client import ClientSettings
from ocrqueue.settings.loading import load_client_settings, load_worker_settings, process_settings
from ocrqueue.settings.unknown import SettingIgnored, show_warnings_by
from ocrqueue.settings.urls import mask_password
from ocrqueue.settings.worker import WorkerSettings

__all__ = [
    "ClientSettings",
    "SettingIgnored",
    "WorkerSettings",
    "load_client_settings",
    "load_worker_settings",
    "mask_password",
    "process_settings",
    "show_warnings_by",
]
