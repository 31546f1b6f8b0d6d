"""No module leads back to itself by its imports: also not a package and a child of its own.

import-linter compares siblings only. Here each import counts, in functions and under TYPE_CHECKING too, and a package
that hands on names of its children imports them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documentation import ROOT
from tests.support.imports import circles, import_graph, imports

PACKAGES = (ROOT / "producer/ocrqueue", ROOT / "worker/ocrqueue_worker")
KNOWN = ("shop", "shop.till", "shop.goods", "shop.goods.fruit", "shop.goods.bread")


def test_no_module_leads_back_to_itself() -> None:
    graph = import_graph(PACKAGES)
    assert circles(graph) == []
    # what the check rests on is found: re-exports, imports for types, imports in functions
    assert "ocrqueue.job.model" in graph["ocrqueue.job"]
    assert "ocrqueue.client" in graph["ocrqueue"]
    assert "ocrqueue_worker.app" in graph["ocrqueue_worker.cli.program"]


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({}, []),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, []),
        ({"a": ["b"], "b": ["a"]}, [["a", "b"]]),
        ({"a": ["a"]}, [["a"]]),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, [["b", "c", "d"]]),
        ({"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}, [["a", "b"], ["c", "d"]]),
        # two circles that share a module are one group
        ({"a": ["b"], "b": ["a", "c"], "c": ["b"]}, [["a", "b", "c"]]),
        # two ways to one module are no circle
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
    ],
)
def test_circles_are_found(graph: dict[str, list[str]], found: list[list[str]]) -> None:
    assert circles(graph) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import shop.till", {"shop.till"}),
        ("import shop.till as till, os", {"shop.till"}),
        ("from shop import till", {"shop.till"}),
        ("from shop import VERSION", {"shop"}),
        ("from shop import till, VERSION", {"shop", "shop.till"}),
        ("from shop import *", {"shop"}),
        ("from shop.till import Till", {"shop.till"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.till import Till", {"shop.till"}),
        ("def pay():\n    from shop.till import Till", {"shop.till"}),
        ("try:\n    import shop.till\nexcept ImportError:\n    pass", {"shop.till"}),
        ("from . import bread", {"shop.goods.bread"}),
        ("from . import PRICES", {"shop.goods"}),
        ("from .bread import Loaf", {"shop.goods.bread"}),
        ("from .. import till", {"shop.till"}),
        ("from ..till import Till", {"shop.till"}),
        ("import shopping\nfrom shopping import till", set()),
    ],
)
def test_each_kind_of_import_is_seen(source: str, found: set[str]) -> None:
    assert imports(source, "shop.goods.fruit", KNOWN) == found


def test_a_package_is_where_its_relative_imports_start() -> None:
    assert imports("from .fruit import Apple", "shop.goods", KNOWN, is_package=True) == {"shop.goods.fruit"}
    assert imports("from .. import till", "shop.goods", KNOWN, is_package=True) == {"shop.till"}


def circles_of(folder: Path, **modules: str) -> list[list[str]]:
    """Of a package `shop` whose modules have these sources; `goods__init` is a package's own."""
    for name, source in {"init": "", "goods__init": "", **modules}.items():
        path = (folder / "shop" / name.replace("__", "/")).with_suffix(".py")
        path = path.with_name("__init__.py") if path.stem == "init" else path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return circles(import_graph([folder / "shop"]))


def test_a_child_that_imports_its_package_is_a_circle_if_the_package_imports_it(tmp_path: Path) -> None:
    found = circles_of(
        tmp_path, goods__init="from shop.goods.fruit import Apple", goods__fruit="from shop import goods"
    )
    assert found == [["shop.goods", "shop.goods.fruit"]]


def test_it_is_one_if_the_package_imports_the_child_by_way_of_others(tmp_path: Path) -> None:
    found = circles_of(
        tmp_path,
        goods__init="from shop.goods.bread import Loaf",
        goods__bread="def price():\n    from shop.till import Till",
        till="from shop.goods.fruit import Apple",
        goods__fruit="from shop.goods import Loaf",
    )
    assert found == [["shop.goods", "shop.goods.bread", "shop.goods.fruit", "shop.till"]]


def test_it_is_none_if_the_package_does_not(tmp_path: Path) -> None:
    sources = {
        "goods__init": "from shop.goods.bread import Loaf",
        "goods__bread": "",
        "goods__fruit": "import shop.goods",
    }
    assert circles_of(tmp_path, **sources) == []
