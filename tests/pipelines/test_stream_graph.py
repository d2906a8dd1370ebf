"""The stream's graph: its labels, states and timers are frozen, since a savepoint finds its state by them."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2 as api

from huntbeam.pipelines.stream import Stream, stream
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.enrich_rows import Enrichment
from tests.pipelines.streaming import ListEnds, sinks, steps

LABELS = """\
DeadLetters
Dedupe/ByEvent
Dedupe/FirstCopies/Do seen=read_modify_write:varint @ts-dedupe_expire
Join/Both_sysmon_join
Join/Both_sysmon_unmatched
Join/Gather/Do
Join/Keys/Do known=bag:bytes waiting=bag:bytes @ts-join_due @ts-join_expire
Records_winlogbeat/Digest
Split/Do
Topics
Windows/Count
Windows/Rows head=bag:bytes log=bag:bytes @ts-window_due
"""


ENRICHED = """\
Enrich/Contexts
Enrich/Events/Do known=bag:bytes waiting=bag:bytes @ts-enrich_due @ts-enrich_expire
Enrich/Found
Enrich/GatherEvents/Do
Enrich/GatherParents/Do
Enrich/Parents/Do known=bag:bytes waiting=bag:bytes @ts-parent_due @ts-parent_expire
Enriched/Rows/Do
"""


def proto(**others: object) -> api.Pipeline:
    of = steps(**others)
    pipeline = beam.Pipeline()
    stream(pipeline, Stream(["winlogbeat"], Plan(), of, sinks(of)), ListEnds("labels", {"winlogbeat": []}))
    return pipeline.to_runner_api()


def leaves(graph: api.Pipeline) -> list[str]:
    """Our steps between the ends, with their states, coders and timers."""
    components = graph.components
    found = []
    for transform in components.transforms.values():
        name = transform.unique_name
        if transform.subtransforms or not name or name.startswith(("Read_", "Write_")):
            continue
        line = name
        if transform.spec.urn == "beam:transform:pardo:v1":
            pardo = api.ParDoPayload.FromString(transform.spec.payload)
            line += "".join(f" {s}={_coder(graph, spec)}" for s, spec in sorted(pardo.state_specs.items()))
            line += "".join(f" @{t}" for t in sorted(pardo.timer_family_specs))
        found.append(line)
    return sorted(found)


def _coder(graph: api.Pipeline, spec: api.StateSpec) -> str:
    kind = spec.WhichOneof("spec")
    coder = spec.bag_spec.element_coder_id if kind == "bag_spec" else spec.read_modify_write_spec.coder_id
    return f"{kind.removesuffix('_spec')}:{graph.components.coders[coder].spec.urn.split(':')[2]}"


def test_labels_states_coders_and_timers_are_those_of_every_savepoint_so_far() -> None:
    assert "\n".join(leaves(proto(dedupe=True, events=True))) == LABELS.strip()


def test_enrichment_has_labels_states_and_timers_of_its_own() -> None:
    enrichment = Enrichment(frozenset({1, 7}), rows=True)
    found = leaves(proto(enrich=enrichment))
    assert [line for line in found if line.startswith("Enrich")] == ENRICHED.splitlines()
    timers = [t for line in found for t in line.split() if t.startswith("@")]
    assert len(timers) == len(set(timers))
    creates = leaves(proto(enrich=Enrichment(frozenset({1}), rows=False)))
    assert [line for line in creates if "Events" in line] == []


def test_no_two_steps_have_a_timer_of_one_name() -> None:
    """FnApiRunner takes one for the other."""
    timers = [t for line in leaves(proto(dedupe=True)) for t in line.split() if t.startswith("@")]
    assert len(timers) == len(set(timers)) == 4
