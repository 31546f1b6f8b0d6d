"""What engines and lanes may be called."""

from __future__ import annotations

from typing import Final, Literal

Priority = Literal["high", "normal", "low"]
LANES: Final[tuple[Priority, ...]] = ("high", "normal", "low")

ENGINE_NAME: Final = r"^[a-z][a-z0-9_-]{0,31}$"
AUTO: Final = "auto"
"""In place of an engine's name: one is chosen."""
