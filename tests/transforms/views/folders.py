"""Folders of results for the views' tests: rows as JSON lines, or as an archive's Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from huntbeam.schemas.arrow import batch_of_rows
from huntbeam.schemas.streams import STREAMS

Row = dict[str, Any]

T0 = 1_709_542_800_000  # 2024-03-04T09:00:00Z


def folder_of(path: Path, rows: Mapping[str, Sequence[Row]]) -> Path:
    for stream, some in rows.items():
        (path / stream).mkdir(parents=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some)
        (path / stream / "part-00000-of-00001.jsonl").write_text(lines, encoding="utf-8")
    return path


def add_parquet(path: Path, stream: str, name: str, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (path / stream).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_batches([batch_of_rows(rows, STREAMS[stream])])
    aside = path / stream / f".{name}"
    pq.write_table(table, aside)
    aside.rename(path / stream / name)


def sorted_json(value: Any) -> list[bytes]:
    return sorted(msgspec.json.encode(item) for item in value)
