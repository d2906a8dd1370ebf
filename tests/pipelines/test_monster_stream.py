"""Monster Agent's stream against the replay of the same records."""

from __future__ import annotations

import random
from pathlib import Path

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2 as api

from huntbeam.pipelines.monster import MonsterSteps
from huntbeam.pipelines.stream import Stream, stream
from huntbeam.runners.rule_sets import load_rules
from huntbeam.schemas.clock import MINUTE
from huntbeam.schemas.monster_layouts import Layout
from huntbeam.transforms.monster import built_in
from huntbeam.transforms.monster.digest import MonsterPlan
from huntbeam.transforms.sigma.records import Records
from tests import mmdb
from tests.conftest import ROOT
from tests.monster import generator, tsv
from tests.pipelines.streaming import CLOCK, ListEnds, comparable, run_stream, sinks
from tests.pipelines.test_monster import RULES, archive, run
from tests.pipelines.test_stream_graph import leaves

MADE = list(generator.records(156))
DETECT = ("--detect", "exfiltration,signers", "--exfiltration_bytes", "20000000")
RULES_OF = (built_in.exfiltration(built_in.RATIO, 20_000_000), built_in.untrusted_signer())


def steps(**others: object) -> MonsterSteps:
    values = {"counters": built_in.COUNTERS, "window_ms": 5 * MINUTE, "clock": CLOCK, "anomalies": RULES_OF}
    return MonsterSteps(**{**values, **others})  # type: ignore[arg-type]


class _Rules:
    rule_pipelines = ()
    rule_cache = None
    strict = False

    def __init__(self, path: Path) -> None:
        self.rules = (str(path),)


def test_the_stream_gives_the_rows_of_replay(tmp_path: Path) -> None:
    """Documents, alerts, windows and anomalies; each with where its address is; tombstones and blanks are counted."""
    (tmp_path / "rules.yml").write_text(RULES)
    lines = [record.line.replace(b"203.0.113.10", mmdb.IN_SEOUL.encode()) for record in MADE]
    lines += [b"1500\t1", b"torn", lines[0]]
    random.Random(5).shuffle(lines)  # noqa: S311 - the same each time
    geo = mmdb.nested(tmp_path / "a.mmdb")
    options = (*DETECT, "--geoip", geo, "--rules", str(tmp_path / "rules.yml"))
    expected = run(tmp_path / "replay", archive(tmp_path, b"\n".join(lines)), options=options)
    rules = load_rules(_Rules(tmp_path / "rules.yml"), str, Records.MONSTER)  # type: ignore[arg-type]
    found = run_stream(
        tmp_path / "stream",
        {"monster": [*lines, None, b""]},
        of=steps(rules=True, geoip=(geo,)),
        plan=MonsterPlan(rules=rules.pack()),
    )
    assert set(found) == set(expected)
    for name, rows in expected.items():
        assert rows, name
        assert comparable(found[name]) == comparable(rows), name


def test_without_options_there_are_documents_and_dead_letters_alone(tmp_path: Path) -> None:
    topics = {"monster": [MADE[0].line, b"x"]}
    found = run_stream(tmp_path / "out", topics, of=MonsterSteps(clock=CLOCK), plan=MonsterPlan())
    assert {name: len(rows) for name, rows in found.items()} == {"monster_events": 1, "dead_letters": 1}


LABELS = """\
Anomalies/Rows/Gather
Anomalies/Rows/Keys head=bag:bytes log=bag:bytes @ts-row_anomaly_due
Anomalies/Sightings/Gather
Anomalies/Sightings/Keys head=bag:bytes log=bag:bytes @ts-sighting_due
Records_monster/Digest
Windows/Count
Windows/Rows head=bag:bytes log=bag:bytes @ts-window_due
"""


def test_states_and_timers_are_those_of_every_savepoint_so_far() -> None:
    pipeline = beam.Pipeline()
    of = steps()
    stream(pipeline, Stream(["monster"], MonsterPlan(), of, sinks(of)), ListEnds("labels", {"monster": []}))
    graph: api.Pipeline = pipeline.to_runner_api()
    labels = [line for line in leaves(graph) if "Digest" in line or line.startswith(("Windows", "Anomalies"))]
    assert [line for line in labels if "/All" not in line] == LABELS.splitlines()


def test_the_generator_writes_what_it_tells(tmp_path: Path) -> None:
    assert generator.main([str(tmp_path / "m.tsv"), "--records", "60", "--layout", "1.0"]) == 0
    made = list(generator.records(60, [Layout.V1_0]))
    assert (tmp_path / "m.tsv").read_bytes() == tsv(*made)
    assert (tmp_path / "m.answer.json").read_text().startswith('{\n "total": 60')


def test_the_samples_are_what_the_generator_makes_today() -> None:
    for layout, count in ((Layout.V0_9, 46), (Layout.V1_0, 58)):
        sample = ROOT / "samples" / "monster" / f"monster-{layout.value}.tsv"
        assert sample.read_bytes() == tsv(*generator.records(count, (layout,), seed=7))
