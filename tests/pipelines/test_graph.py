"""The graph as another runner would have it: no prepared scanner, Beam's type checks on."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from huntbeam.pipelines.graph import Steps
from huntbeam.pipelines.replay import Replay, replay
from huntbeam.schemas.clock import MINUTE
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.window import BUILT_IN
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.publish import prepare, publish
from huntbeam.transforms.read import expand, spans
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.write import read_manifest
from tests.conftest import ROOT, Rows, read_rows, run_replay

SAMPLE = ROOT / "samples" / "logs"


def as_set(rows: Rows) -> set[str]:
    return {repr(sorted(row.items())) for row in rows}


@pytest.mark.parametrize("dedupe", [False, True])
def test_spans_read_where_they_land_give_the_rows_of_the_command_line(tmp_path: Path, dedupe: bool) -> None:
    expected = run_replay(tmp_path / "cli", SAMPLE, options=("--dedupe",) if dedupe else ())
    output = str(tmp_path / "graph")
    aside = prepare(output, overwrite=False)
    steps = Steps(JoinKind.INNER, dedupe, False, BUILT_IN, 5 * MINUTE)
    work = spans(expand([str(SAMPLE)]), piece=100_000)
    assert len(work) > len(list(SAMPLE.iterdir()))
    job = Replay(work, Plan(dedupe=dedupe), steps, Format.JSONL, aside, f"{aside}/manifest.json")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        replay(pipeline, job)
    streams = {name: STREAMS[name] for name in steps.streams()}
    publish(output, aside, read_manifest(job.manifest), streams, job.format, {})
    assert set(streams) == set(expected)
    for stream, rows in expected.items():
        assert as_set(read_rows(tmp_path / "graph", stream)) == as_set(rows), stream
