"""Job graphs for Dataflow, written to a bucket with neither a network nor credentials."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from huntbeam.runners.cli import main
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import fetch
from huntbeam.runners.stack.stack import default_cache
from huntbeam.runners.stack.state import answers
from huntbeam.runners.worker_pool import end
from tests import mmdb
from tests.conftest import ROOT
from tests.e2e.jobs import eventually
from tests.e2e.stack import need_stack
from tests.monster import generator
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

SAMPLE = ROOT / "samples" / "logs"
IMAGE = "registry.example/huntbeam:1"
STANDARD = {common_urns.coders.BYTES.urn, common_urns.coders.STRING_UTF8.urn, common_urns.coders.VARINT.urn}


@pytest.fixture
def monster(bucket: str, tmp_path: Path) -> str:
    """Records of Monster Agent in a bucket."""
    path = tmp_path / "monster.tsv"
    path.write_bytes(b"\n".join(record.line for record in generator.records(52)))
    upload(path, f"{bucket}/monster/day.tsv")
    return f"{bucket}/monster"


@pytest.fixture
def expansion(tmp_path: Path) -> Iterator[str]:
    """Beam's expansion service as it is without further settings: Java's steps run in Beam's Java image."""
    need_stack()
    jars = fetch(default_cache(), None, lambda _: None)
    port = free_port()
    command = [find_java(), "-cp", jars.beam_class_path(), "org.apache.beam.sdk.expansion.service.ExpansionService"]
    command += [str(port), f"--filesToStage={jars.small_jar()}"]
    with (tmp_path / "expansion.log").open("wb") as log:
        service = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        end(service)


def test_the_graph_of_a_replay(bucket: str) -> None:
    upload(SAMPLE / "winlogbeat7.ndjson", f"{bucket}/logs/winlogbeat7.ndjson")
    graph = written(bucket, "replay", "--input", f"{bucket}/logs", "--output", f"{bucket}/out", "--dedupe")
    pipeline = graph.pipeline
    assert graph.options["streaming"] is False
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    assert {"Read/Digest", "Join", "Windows", "Dedupe", "Manifest/WriteManifest", "Results/Publish"} <= names
    check_bounded(pipeline, {"Join/ByProcess/Group", "Windows/ByGroup/Group", "Dedupe/ByEvent/Group"})


def test_the_graph_of_a_replay_of_monster_agents_records(bucket: str, monster: str) -> None:
    options = ("--input", monster, "--output", f"{bucket}/out", "--detect", "exfiltration,signers")
    graph = written(bucket, "monster", *options)
    pipeline = graph.pipeline
    assert graph.options["streaming"] is False
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    assert {"Read/Digest", "Documents", "Windows", "Anomalies", "Manifest/WriteManifest", "Results/Publish"} <= names
    assert {"Write_monster_events", "Write_window_counts", "Write_anomalies", "Write_dead_letters"} <= names
    check_bounded(pipeline, {"Windows/ByGroup/Group", "Anomalies/ByKey/Group"})


def test_the_graph_of_a_stream(bucket: str, expansion: str) -> None:
    graph = written(bucket, "stream", *kafka(expansion), "--rules", str(ROOT / "rules"))
    assert graph.options["streaming"] is True
    steps = {"Join/Keys/Do", "Windows/Rows", "Correlations/Depth0/Evaluate/Keys"}
    check_unbounded(graph.pipeline, steps, {"sysmon_join", "alerts", "dead_letters"})


def test_the_graph_of_a_stream_of_monster_agents_records(bucket: str, expansion: str, tmp_path: Path) -> None:
    place = f"{bucket}/city.mmdb"
    upload(Path(mmdb.nested(tmp_path / "city.mmdb")), place)
    options = ("--detect", "exfiltration,signers", "--geoip", place, "--rules", str(ROOT / "rules"), "--suppress", "1h")
    graph = written(bucket, "monster", *kafka(expansion), *options)
    assert graph.options["streaming"] is True
    steps = {"Windows/Rows", "Anomalies/Rows/Keys", "Anomalies/Sightings/Keys"}
    check_unbounded(graph.pipeline, steps, {"monster_events", "anomalies", "alerts", "dead_letters"})
    names = {transform.unique_name for transform in graph.pipeline.components.transforms.values()}
    assert {"Locate_monster_events", "Locate_alerts"} <= names


@pytest.mark.parametrize("command", ["replay", "monster"])
def test_files_of_this_machine_are_refused(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, monster: str
) -> None:
    """Workers have none of them, and would say so an hour later."""
    (tmp_path / "in").write_bytes(b"")
    usual = {"--input": monster, "--output": f"{bucket}/out"}
    for option, place in (
        ("--input", str(tmp_path / "in")),
        ("--output", str(tmp_path / "out")),
        ("--geoip", mmdb.nested(tmp_path / "city.mmdb")),
    ):
        words = [word for pair in (usual | {option: place}).items() for word in pair]
        assert main([command, *cloud(bucket, command), *words]) == 2
        assert capsys.readouterr().err == f"huntbeam: {option} {place}: Dataflow's workers see gs:// alone\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "place", "said"),
    [
        ("--temp_location", "gs://no-such-bucket/temp", "--temp_location: gs://no-such-bucket/temp"),
        ("--template_location", "gs://no-such-bucket/x.json", "--template_location: gs://no-such-bucket/x.json"),
        ("--project", "p", "--on dataflow: Invalid Project ID (p)"),
    ],
)
def test_what_dataflow_would_refuse_is_one_sentence(
    bucket: str, capsys: pytest.CaptureFixture[str], monster: str, option: str, place: str, said: str
) -> None:
    words = [*cloud(bucket, "monster"), "--input", monster, "--output", f"{bucket}/out", option, place]
    assert main(["monster", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"huntbeam: {said}")
    assert [file.path for file in FileSystems.match([f"{bucket}/out/**"])[0].metadata_list] == []


def test_rules_of_this_machine_are_not_looked_for_again(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], expansion: str
) -> None:
    rule = ROOT / "rules" / "windows"
    for path in rule.rglob("*.yml"):
        upload(path, f"{bucket}/rules/{path.name}")
    said = {}
    for place in (str(rule), f"{bucket}/rules"):
        written(bucket, "stream", *kafka(expansion), "--rules", place, quiet=False)
        said[place] = capsys.readouterr().err
    assert "rules of this machine stay as they are now" in said[str(rule)]
    assert "rules of this machine" not in said[f"{bucket}/rules"]


def check_bounded(pipeline: Any, groups: set[str]) -> None:
    """Groups by keys that any worker orders alike; no state, no timers; one image."""
    assert [step["name"] for step in stateful(pipeline)] == []
    assert groups <= set(grouped(pipeline))
    ours = {name: coder for name, coder in grouped(pipeline).items() if not name.startswith("Manifest/")}
    assert set(ours.values()) <= STANDARD
    assert {*images(pipeline)} == {IMAGE}


def check_unbounded(pipeline: Any, wanted: set[str], written: set[str]) -> None:
    """State and event-time timers by standard keys; no value that only pickle knows; Java at both ends."""
    steps = {step["name"]: step for step in stateful(pipeline)}
    assert wanted <= set(steps)
    for step in steps.values():
        assert step["states"]
        assert {*step["timers"].values()} == {beam_runner_api_pb2.TimeDomain.EVENT_TIME}
        assert step["key"] in STANDARD
    timers = [timer for step in steps.values() for timer in step["timers"]]
    assert len(timers) == len(set(timers))
    assert {IMAGE} < {*images(pipeline)}
    java = [name for name, image in by_image(pipeline) if "java" in image]
    assert any(name.startswith("Read_winlogbeat/KafkaIO") for name in java)
    assert {name.partition("/")[0] for name in java} >= {f"Write_{stream}" for stream in written}
    assert {coder for coder in coders_of(pipeline) if "FastPrimitivesCoder" in coder} == set()


def cloud(bucket: str, command: str) -> list[str]:
    words = ["--on", "dataflow", "--project", "hunt", "--region", "europe-west1", "--temp_location", f"{bucket}/temp"]
    return [*words, "--sdk_container_image", IMAGE, "--template_location", f"{bucket}/templates/{command}.json"]


def kafka(expansion: str) -> list[str]:
    words = ["--bootstrap_servers", "broker.example:9092", "--input_topic", "winlogbeat"]
    return [*words, "--expansion_service", expansion]


class Graph:
    """A written graph: the options of the job and its pipeline."""

    def __init__(self, template: dict[str, Any]) -> None:
        environment = template["environment"]
        self.options = environment["sdkPipelineOptions"]["options"]
        url = self.options["pipelineUrl"]
        self.pipeline = beam_runner_api_pb2.Pipeline()
        self.pipeline.ParseFromString(download(url))


def written(bucket: str, command: str, *options: str, quiet: bool = True) -> Graph:
    assert main([command, *cloud(bucket, command), *(["--quiet"] if quiet else []), *options]) == 0
    return Graph(json.loads(download(f"{bucket}/templates/{command}.json")))


def stateful(pipeline: Any) -> Iterator[dict[str, Any]]:
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            if payload.state_specs or payload.timer_family_specs:
                timers = {name: spec.time_domain for name, spec in payload.timer_family_specs.items()}
                key = key_coder(pipeline, transform)
                yield {
                    "name": transform.unique_name,
                    "states": list(payload.state_specs),
                    "timers": timers,
                    "key": key,
                }


def grouped(pipeline: Any) -> dict[str, str]:
    """Groupings by key, and the coders of their keys."""
    return {
        transform.unique_name: key_coder(pipeline, transform)
        for transform in pipeline.components.transforms.values()
        if transform.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn
    }


def key_coder(pipeline: Any, transform: Any) -> str:
    parts = pipeline.components
    (collection,) = transform.inputs.values()
    pair = parts.coders[parts.pcollections[collection].coder_id]
    assert pair.spec.urn == common_urns.coders.KV.urn
    urn: str = parts.coders[pair.component_coder_ids[0]].spec.urn
    return urn


def coders_of(pipeline: Any) -> set[str]:
    """The names of the coders of all collections, and of what these are made of."""
    coders = pipeline.components.coders
    found: set[str] = set()
    left = [collection.coder_id for collection in pipeline.components.pcollections.values()]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += coders[name].component_coder_ids
    return found


def images(pipeline: Any) -> list[str]:
    return [
        beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
        for environment in pipeline.components.environments.values()
        if environment.urn == common_urns.environments.DOCKER.urn
    ]


def by_image(pipeline: Any) -> Iterator[tuple[str, str]]:
    """Steps that run code, and the images that they run in."""
    for transform in pipeline.components.transforms.values():
        environment = pipeline.components.environments.get(transform.environment_id)
        if environment is not None and environment.urn == common_urns.environments.DOCKER.urn:
            image = beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
            yield transform.unique_name, image


def upload(path: Path, to: str) -> None:
    with FileSystems.create(to, compression_type="uncompressed") as file:
        file.write(path.read_bytes())


def download(path: str) -> bytes:
    with FileSystems.open(path, compression_type="uncompressed") as file:
        content: bytes = file.read()
        return content
