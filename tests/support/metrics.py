"""Metrics as Prometheus reads them."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scrape:
    """What one scrape got."""

    text: str

    def samples(self) -> dict[tuple[str, Labels], float]:
        families = text_string_to_metric_families(self.text)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name with these labels."""
        wanted = set(labels.items())
        return sum(value for (found, having), value in self.samples().items() if found == name and wanted <= having)

    def names(self) -> set[str]:
        """As the families are called in TYPE lines."""
        return {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE ")}


def scrape(port: int) -> Scrape:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return Scrape(answer.read().decode())


def check_with_promtool(text: str) -> None:
    """`promtool check metrics` has nothing to complain of; skipped where Prometheus is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def served(port: int) -> bool:
    try:
        scrape(port)
    except OSError:
        return False
    return True


def by_label(scrape: Scrape, name: str, label: str) -> Mapping[str, float]:
    """Value of the label -> sum."""
    found: dict[str, float] = {}
    for (sample, labels), value in scrape.samples().items():
        if sample == name:
            key = dict(labels)[label]
            found[key] = found.get(key, 0.0) + value
    return found
