"""What became of malformed images and messages, as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.faults.memory import Quarters

_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Done:
    """How one case ended. `end` is a state of a record, or "dropped" or "refused"."""

    name: str
    """`image-K` or `message-K`, as `--case` takes it."""
    kind: str
    end: str
    code: str | None

    @property
    def malformed(self) -> bool:
        """Whether it ended as a malformed one must; else it was readable all the same."""
        return self.code is not None or self.end in ("dropped", "refused", "cancelled")


@dataclass(frozen=True, slots=True)
class FuzzingReport:
    """All that was seen. It is well if `problems` is empty."""

    seed: int
    seconds: float
    cases: tuple[Done, ...]
    problems: tuple[str, ...]
    memory: tuple[Quarters, ...]

    @property
    def malformed(self) -> int:
        return sum(case.malformed for case in self.cases)

    def text(self) -> str:
        """For people."""
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for case in self.cases:
            groups[case.kind.partition(":")[0]][case.end] += 1
        ends = sorted({end for counter in groups.values() for end in counter})
        rows = [
            ["", *ends],
            *([name, *(str(found[end] or "") for end in ends)] for name, found in sorted(groups.items())),
        ]
        codes = Counter(case.code for case in self.cases if case.code is not None)
        memory = [["MiB resident", "1st", "2nd", "3rd", "4th quarter", "4th / 2nd"]] + [
            [found.process, *(f"{mebibytes:.0f}" for mebibytes in found.kept), f"{found.growth:.2f}"]
            for found in self.memory
        ]
        return "\n".join(
            [
                *_aligned(rows),
                "",
                *_aligned([[code, str(count)] for code, count in codes.most_common()]),
                "",
                *_aligned(memory),
                "",
                *self.problems[:_SHOWN],
                f"seed {self.seed}: {self.malformed} malformed and {len(self.cases) - self.malformed} readable all the "
                f"same in {self.seconds:.0f} s; {len(self.problems)} problems",
            ]
        )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
