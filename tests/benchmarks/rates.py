"""Rates of several contestants in the same run: they take turns, and ratios are of the same round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

Contestant = Callable[[], float]
"""Does the work once; returns its rate."""


def run_in_turn(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """A B C A B C ...: what slows the machine for a while slows all of them."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, contestant in contestants.items():
            rates[name].append(contestant())
            print(f"round {number}: {name}: {rates[name][-1]:.3f}", flush=True)
    return rates


def ratio(ours: Sequence[float], peers: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of the ratios of each round."""
    ratios = [one / other for one, other in zip(ours, peers, strict=True)]
    return median(ratios), min(ratios), max(ratios)


def print_table(title: str, unit: str, rates: Mapping[str, Sequence[float]], ours: Iterable[str]) -> None:
    """Each contestant's median rate, and each of `ours` as a multiple of it; ranges over the rounds behind them."""
    names = list(ours)
    table = Table("", unit, *(f"{name} is" for name in names), title=title, title_justify="left")
    for name, measured in rates.items():
        multiples = ["" if own == name else _ranged("{:.2f} x", *ratio(rates[own], measured)) for own in names]
        table.add_row(name, _ranged("{:.2f}", median(measured), min(measured), max(measured)), *multiples)
    Console(width=140).print(table)


def _ranged(form: str, middle: float, lowest: float, highest: float) -> str:
    spread = "" if lowest == highest else f" ({lowest:.2f} to {highest:.2f})"
    return form.format(middle) + spread
