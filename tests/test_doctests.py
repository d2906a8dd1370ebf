"""The examples in docstrings are run, so that none of them is dead."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

from tests.conftest import ROOT

MODULES = [
    ".".join(("huntbeam", *path.relative_to(ROOT).with_suffix("").parts))
    for folder in ("schemas", "transforms", "pipelines", "runners")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_hold(name: str) -> None:
    failed, tried = doctest.testmod(import_module(name))
    assert tried > 0
    assert failed == 0


def test_examples_are_found() -> None:
    assert {"huntbeam.schemas.clock", "huntbeam.schemas.values", "huntbeam.transforms.sigma.readings"} <= set(MODULES)
