"""The unit tests that need the client alone. `./run test` runs them on each Python that the machine has.

python -m tests.support.client_tests      prints their paths, one a line
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.documentation import ROOT
from tests.support.imports import Graph, import_graph

_OTHERS: Final = (ROOT / "producer/ocrqueue_gateway", ROOT / "worker/ocrqueue_worker")
_OF_THE_WHOLE_TREE: Final = frozenset({"test_dependencies", "test_docs", "test_samples", "test_scripts", "test_tree"})
"""They look at all packages, or at what is no code: another Python changes nothing."""


def client_tests() -> Iterator[Path]:
    graph = import_graph([ROOT / "tests", *_OTHERS])
    others = {name for name in graph if name.startswith(tuple(each.name for each in _OTHERS))}
    for path in sorted((ROOT / "tests/unit").glob("test_*.py")):
        if path.stem not in _OF_THE_WHOLE_TREE and not others & _reached(f"tests.unit.{path.stem}", graph):
            yield path.relative_to(ROOT)


def _reached(module: str, graph: Graph) -> set[str]:
    """What a module imports, and what that imports."""
    reached, left = set[str](), [module]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left.extend(graph[name])
    return reached


if __name__ == "__main__":
    print(*client_tests(), sep="\n")
