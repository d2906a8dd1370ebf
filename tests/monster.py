"""The generator of Monster Agent's records (benchmarks/monster_records.py), for tests."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from tests.conftest import ROOT


def _load() -> ModuleType:
    path = ROOT / "benchmarks" / "monster_records.py"
    spec = importlib.util.spec_from_file_location("monster_records", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["monster_records"] = module
    spec.loader.exec_module(module)
    return module


generator: Any = _load()


def tsv(*made: Any) -> bytes:
    """Records of the generator as a file."""
    return b"".join(record.line + b"\n" for record in made)


def by_uid(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["event_uid"]: row for row in rows}
