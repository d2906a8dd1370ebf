"""Job graphs for Dataflow, written to a bucket with neither a network nor credentials."""

from __future__ import annotations

import json
import socket
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
from tests.conftest import ROOT
from tests.e2e.jobs import eventually
from tests.e2e.stack import need_stack

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

SAMPLE = ROOT / "samples" / "logs"
IMAGE = "registry.example/huntbeam:1"


@pytest.fixture
def expansion(tmp_path: Path) -> Iterator[str]:
    """Beam's expansion service as it is without further settings: Java's steps run in Beam's Java image."""
    need_stack()
    jars = fetch(default_cache(), None, lambda _: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    assert [step["name"] for step in stateful(pipeline)] == []
    assert {*images(pipeline)} == {IMAGE}


def test_the_graph_of_a_stream(bucket: str, expansion: str) -> None:
    graph = written(
        bucket,
        "stream",
        "--bootstrap_servers",
        "broker.example:9092",
        "--input_topic",
        "winlogbeat",
        "--rules",
        str(ROOT / "rules"),
        "--expansion_service",
        expansion,
    )
    pipeline = graph.pipeline
    assert graph.options["streaming"] is True
    steps = {step["name"]: step for step in stateful(pipeline)}
    assert set(steps) > {"Join/Keys/Do", "Windows/Rows", "Correlations/Depth0/Evaluate/Keys"}
    for step in steps.values():
        assert step["states"]
        assert {*step["timers"].values()} == {beam_runner_api_pb2.TimeDomain.EVENT_TIME}
    timers = [timer for step in steps.values() for timer in step["timers"]]
    assert len(timers) == len(set(timers))
    assert {IMAGE} < {*images(pipeline)}
    java = [name for name, image in by_image(pipeline) if "java" in image]
    assert any(name.startswith("Read_winlogbeat/KafkaIO") for name in java)
    assert {name.partition("/")[0] for name in java} > {"Write_sysmon_join", "Write_alerts", "Write_dead_letters"}
    assert "pickled" not in {coder.spec.urn for coder in pipeline.components.coders.values()}


class Graph:
    """A written graph: the options of the job and its pipeline."""

    def __init__(self, template: dict[str, Any]) -> None:
        environment = template["environment"]
        self.options = environment["sdkPipelineOptions"]["options"]
        url = self.options["pipelineUrl"]
        self.pipeline = beam_runner_api_pb2.Pipeline()
        self.pipeline.ParseFromString(download(url))


def written(bucket: str, command: str, *options: str) -> Graph:
    template = f"{bucket}/templates/{command}.json"
    cloud = ["--on", "dataflow", "--project", "hunt", "--region", "europe-west1", "--temp_location", f"{bucket}/temp"]
    cloud += ["--sdk_container_image", IMAGE, "--template_location", template, "--quiet"]
    assert main([command, *cloud, *options]) == 0
    return Graph(json.loads(download(template)))


def stateful(pipeline: Any) -> Iterator[dict[str, Any]]:
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            if payload.state_specs or payload.timer_family_specs:
                timers = {name: spec.time_domain for name, spec in payload.timer_family_specs.items()}
                yield {"name": transform.unique_name, "states": list(payload.state_specs), "timers": timers}


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
