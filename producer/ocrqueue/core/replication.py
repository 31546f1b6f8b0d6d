"""Which life of Redis's data it is: after a restart or a failover it may have lost what the one before knew.

A connection that is open leads to the Redis that it has led to all the time. So each new one of a worker asks, before
anything else goes through it: what a Redis gives out whose loss is not noted yet is begun by nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoScriptError

from ocrqueue.core.keys import Keys
from ocrqueue.core.scripts import load_script


def noting_replication(keys: Keys) -> Callable[[Any], None]:
    """What a new connection is to do: greet the server, and run NOTE_REPLICATION there."""
    script = load_script("note_replication")
    sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()

    def ask(connection: Any, *command: object) -> None:
        connection.send_command(*command)
        connection.read_response()

    def on_connect(connection: Any) -> None:
        connection.on_connect()
        try:
            ask(connection, "EVALSHA", sha, 0, keys.root)
        except NoScriptError:
            ask(connection, "SCRIPT", "LOAD", script)
            ask(connection, "EVALSHA", sha, 0, keys.root)

    return on_connect
