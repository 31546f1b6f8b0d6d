"""Which modules of a package import each other, and where that goes round in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, Iterable[str]]
"""Module -> the modules that it imports; each of them is a key too."""


def import_graph(packages: Iterable[Path]) -> dict[str, set[str]]:
    """The modules of packages, each the folder of its name, and what they import of each other."""
    files = {module_name(path, package): path for package in packages for path in package.rglob("*.py")}
    return {
        name: imports(path.read_text(encoding="utf-8"), name, files, is_package=path.name == "__init__.py")
        for name, path in files.items()
    }


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, name: str, known: Iterable[str], *, is_package: bool = False) -> set[str]:
    """The modules among `known` that the module `name` imports, wherever in it: in functions and for types too."""
    modules = frozenset(known)
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _origin(node, name, is_package=is_package)
            # a name that is no submodule is something that the package itself holds
            found |= {child if (child := f"{base}.{alias.name}") in modules else base for alias in node.names}
    return found & modules


def _origin(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    """The absolute name of what stands between `from` and `import`."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *([node.module] if node.module else [])])


def circles(graph: Graph) -> list[list[str]]:
    """The groups of modules that lead back to each other, sorted.

    They are the strongly connected components of more than one module, and modules that import themselves: R. Tarjan,
    Depth-first search and linear graph algorithms, 1972, https://doi.org/10.1137/0201010.
    """
    return sorted(sorted(group) for group in _components(graph) if len(group) > 1 or group[0] in graph[group[0]])


def _components(graph: Graph) -> Iterator[list[str]]:
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for imported in graph[module]:
            if imported not in number:
                yield from visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], number[imported])
        if lowest[module] == number[module]:
            start = stack.index(module)
            group = stack[start:]
            del stack[start:]
            yield group

    for module in graph:
        if module not in number:
            yield from visit(module)
