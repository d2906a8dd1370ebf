"""What many tests share: reading results back, running the command line, and the recorded data where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from huntbeam.schemas.json_rows import as_json
from huntbeam.schemas.streams import STREAMS

settings.register_profile("search", deadline=None)  # `make fuzz`: other cases each time
# A change is judged by the cases of the last one.
settings.register_profile("same", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("same")


def examples(searched: int) -> int:
    """How many cases a property has: all of them in `make fuzz`, half as many in each test run."""
    return max(searched // 2, 1) if settings().derandomize else searched


ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with recorded data and expected results, which developers and CI have."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no recorded data here (../shared): the tests on it run where developers and CI have it")
    return SHARED


def read_rows(output: Path, stream: str) -> Rows:
    """The rows of a stream, whatever its format, with times as text and text maps as they come."""
    rows: Rows = []
    for path in sorted((output / stream).iterdir()):
        rows += _READERS[path.suffix](path)
    record = STREAMS.get(stream)  # an archive has folders of other names, too
    return rows if record is None else [as_json(row, record) for row in rows]


def _jsonl(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _parquet(path: Path) -> Rows:
    import pyarrow.parquet

    rows: Rows = pyarrow.parquet.read_table(path).to_pylist(maps_as_pydicts="strict")
    return [_plain(row) for row in rows]


def _avro(path: Path) -> Rows:
    import fastavro

    with path.open("rb") as file:
        return [_plain(dict(row)) for row in fastavro.reader(file)]  # type: ignore[arg-type]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Times as rows hold them."""
    return {
        name: value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }


_READERS: dict[str, Callable[[Path], Rows]] = {".jsonl": _jsonl, ".parquet": _parquet, ".avro": _avro}


def run_replay(output: Path, *inputs: Path | str, options: tuple[str, ...] = ()) -> dict[str, Rows]:
    """Runs `huntbeam replay` through main(argv) and gives every stream's rows."""
    from huntbeam.runners.cli import main

    argv = ["replay", "--output", str(output), "--quiet", *options]
    for path in inputs:
        argv += ["--input", str(path)]
    assert main(argv) == 0
    assert (output / "_SUCCESS").is_file()
    return {folder.name: read_rows(output, folder.name) for folder in output.iterdir() if folder.is_dir()}
