"""Which calibration applies to an engine: of the table that comes with the package, or of one that a setting names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from ocrqueue.calibration import Calibration, Table, parse_table, read_table
from ocrqueue.document import EngineInfo
from ocrqueue_worker.engines.asking import info_of
from ocrqueue_worker.engines.engine import Engine

SHIPPED: Final = Path(__file__).with_name("shipped.json")


@cache
def chosen_table(named: str) -> Table:
    """Of the setting `calibration`; read once in a process. Raises CalibrationInvalid.

    One of the operator's own has precedence for the engines that it names.
    """
    if named == "none":
        return Table(calibrations=())
    shipped = parse_table(SHIPPED.read_bytes(), SHIPPED.name)
    return shipped if named == "shipped" else read_table(Path(named)).before(shipped)


def calibration_of(engine: Engine[Any], languages: Sequence[str]) -> Calibration | None:
    """None where confidences stay as the engine gives them. Raises CalibrationInvalid, and as info_of()."""
    table = chosen_table(engine.settings.calibration)
    return table.find(info_of(engine, languages)) if table.names(engine.name) else None


def stated_info(engine: Engine[Any], languages: Sequence[str]) -> EngineInfo:
    """What the engine says of itself, with its calibration: part of the cache key. Raises as info_of()."""
    info = info_of(engine, languages)
    found = chosen_table(engine.settings.calibration).find(info)
    return info if found is None else info.model_copy(update={"calibration": found.id})
