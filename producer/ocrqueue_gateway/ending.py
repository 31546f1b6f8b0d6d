"""Whether this replica has been told to end: who waits for a job is then answered with what is known by now."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import FastAPI

ENDING_S: Final = 10.0
"""Streams of events end by themselves, and have so long for it."""


def prepare_ending(app: FastAPI) -> None:
    """Once, before the application serves."""
    app.state.ending = asyncio.Event()


def begin_ending(app: FastAPI) -> None:
    """From now on nobody waits."""
    app.state.ending.set()


def is_ending(app: FastAPI) -> bool:
    """Whether it takes no more requests: those that it has are answered."""
    ending: asyncio.Event = app.state.ending
    return ending.is_set()
