"""What can be set: every OCRQUEUE_* variable, its default and its check, the same for apps and workers.

`per_engine` is for settings that differ by engine.
"""

from ocrqueue.settings.model import Settings, load_client_settings, load_settings, mask_password, process_settings
from ocrqueue.settings.unknown import SettingIgnored, show_warnings_by

__all__ = [
    "SettingIgnored",
    "Settings",
    "load_client_settings",
    "load_settings",
    "mask_password",
    "process_settings",
    "show_warnings_by",
]
