"""Sends webhooks in a local system: a thread, for as long as the system runs."""

from __future__ import annotations

import asyncio
import threading
from importlib.util import find_spec
from typing import Final

from ocrqueue.settings import ClientSettings

_NEEDED: Final = ("httpx", "standardwebhooks", "cryptography")


def can_send() -> bool:
    """Whether the extra `webhooks` is installed."""
    return all(find_spec(name) is not None for name in _NEEDED)


class WebhookSending:
    """As `ocrqueue webhooks send` does."""

    def __init__(self, settings: ClientSettings) -> None:
        # what it needs is an extra, and takes a while to import
        from ocrqueue.webhooks.sender import Sender

        self._sender = Sender(settings)
        self._longest_s = settings.webhook_timeout_s
        self._thread = threading.Thread(target=lambda: asyncio.run(self._sender.run()), name="webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the requests under way have ended, or were given up."""
        self._sender.stop()
        self._thread.join(self._longest_s)
