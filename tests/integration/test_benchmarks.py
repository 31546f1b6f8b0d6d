"""Benchmarks at their smallest run to their end: they use the core and the packages as they are now."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.support.documentation import ROOT
from tests.support.processes import environment

_TIMEOUT_S = 300


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("queue --jobs 1000", "1,000 jobs of 10 tenants wait"),
        ("moves --jobs 100", "100 jobs, scripts alone"),
        *(
            pytest.param(*each, marks=pytest.mark.all)
            for each in (
                ("many --jobs 1000", "lists of 1,010 jobs are right"),
                ("neighbours --noise 100 --jobs 5 --rounds 1 --delay 0", "p95 beside over alone"),
                ("gateway submit --rounds 1 --requests 100", "median of the ratios"),
                ("gateway wait --polls 4 --streams 1", "SIGTERM of one: ended after"),
                ("documents --engine null --pages 60", "succeeded"),
                ("spread --pages 20 --lines 1 --rounds 1", "succeeded, 20 pages read"),
                ("reading --words 10 --pages 2", "10 words"),
            )
        ),
    ],
)
def test_a_benchmark_runs_to_its_end(arguments: str, told: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", *shlex.split(arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
