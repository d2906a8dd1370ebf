"""`huntbeam doctor`: its lines and exit codes, and that `huntbeam stream` stops at the same sentences."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from huntbeam.runners import doctor
from huntbeam.runners.cli import main
from huntbeam.runners.doctor import Finding, Level
from huntbeam.runners.flink_addresses import address
from huntbeam.runners.flink_rest import FlinkUnusable, counter_name
from huntbeam.runners.kafka import clients
from huntbeam.runners.kafka.arrivals import Times
from huntbeam.schemas.errors import UnusableError
from tests.ports import free_port

VARIABLES = ("KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST", "JOB_ENDPOINT", "EXPANSION_SERVICE", "WORKER_POOL")


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HUNTBEAM_STACK_HOME", str(tmp_path / "stack"))
    monkeypatch.setenv("HUNTBEAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(clients, "TIMEOUT", 0.5)
    monkeypatch.setattr(clients.check_broker, "__defaults__", (0.5,))


@pytest.fixture
def port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def lines(capsys: pytest.CaptureFixture[str], *argv: str, code: int) -> dict[str, str]:
    """What doctor prints, by the name of the check."""
    assert main(["doctor", *argv]) == code
    said = capsys.readouterr()
    assert said.err == ""
    return {line.split()[1]: line for line in said.out.splitlines()}


class TestWithNothingRunning:
    def test_every_check_has_a_line_and_those_that_fail_name_the_remedy(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = lines(capsys, code=1)
        assert list(said) == ["versions", "broker", "flink", *doctor.SERVICES, "stack", "java", "maven"]
        assert said["versions"].startswith("ok ")
        assert "apache-beam 2." in said["versions"]
        assert said["broker"].startswith("fail ")
        assert "give --bootstrap_servers HOST:PORT" in said["broker"]
        for name in ("flink_rest", *doctor.SERVICES):
            line = said[name.removesuffix("_rest")]
            assert line.startswith("fail ")
            assert line.endswith(f"--{name} is not known: give it, set {name.upper()}, or start `huntbeam stack up`")
        assert said["stack"].startswith("ok ")
        assert "`huntbeam stack up` starts one" in said["stack"]

    def test_without_java_and_maven_it_only_warns(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        said = lines(capsys, code=1)
        assert said["java"].startswith("warn ")
        assert "Java is missing" in said["java"]
        assert said["maven"].startswith("warn ")
        assert "install it (Debian: maven)" in said["maven"]

    def test_direct_looks_at_the_broker_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        at = f"127.0.0.1:{free_port()}"
        said = lines(capsys, "--on", "direct", "--bootstrap_servers", at, "--input_topic", "winlogbeat", code=1)
        assert list(said) == ["versions", "broker"]  # nothing is said of topics that nobody can look at
        assert f"no Kafka broker answers at {at}: check --bootstrap_servers" in said["broker"]

    def test_a_file_that_cannot_be_read_is_a_line_like_others(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        missing = str(tmp_path / "client.properties")
        argv = ["--on", "direct", "--bootstrap_servers", "127.0.0.1:1", "--kafka_config", missing]
        assert "cannot be read" in lines(capsys, *argv, code=1)["broker"]

    def test_a_secret_is_in_no_line(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        config = tmp_path / "client.properties"
        config.write_text(
            "security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=tr0ub4dor\n"
        )
        argv = ["--on", "direct", "--bootstrap_servers", f"127.0.0.1:{free_port()}", "--kafka_config", str(config)]
        assert not [line for line in lines(capsys, *argv, code=1).values() if "tr0ub4dor" in line]


class TestAddresses:
    def test_the_option_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JOB_ENDPOINT", "environment:1")
        assert address("job_endpoint", "option:1") == "option:1"
        assert address("job_endpoint", None) == "environment:1"
        with pytest.raises(FlinkUnusable, match="set WORKER_POOL"):
            address("worker_pool", None)

    def test_a_port_that_answers_and_one_that_does_not(self, port: int) -> None:
        silent = free_port()
        given = argparse.Namespace(
            flink_rest="ftp://x",
            job_endpoint=f"127.0.0.1:{port}",
            expansion_service=f"127.0.0.1:{silent}",
            worker_pool="no address",
        )
        rest, job, expansion, workers = doctor.flink_findings(given, 1)
        assert rest == Finding(Level.FAIL, "flink", "--flink_rest ftp://x: write a URL such as http://127.0.0.1:8081")
        assert job == Finding(Level.OK, "job_endpoint", f"127.0.0.1:{port} answers")
        assert expansion.level is Level.FAIL
        assert expansion.said.startswith(f"nothing answers at 127.0.0.1:{silent} (--expansion_service): check")
        assert workers.level is Level.FAIL

    @pytest.mark.parametrize("at", ["", "localhost", "localhost:x", "localhost:99999999", "[::"])
    def test_what_is_no_address_does_not_answer(self, at: str) -> None:
        assert not doctor.answers(at)


class TestTopics:
    @pytest.mark.parametrize(
        ("times", "level", "remedy"),
        [
            (None, Level.FAIL, "`huntbeam topics create winlogbeat`"),
            (Times.APPENDED, Level.OK, "LogAppendTime"),
            (Times.PRODUCED, Level.WARN, "`huntbeam topics create winlogbeat --alter`"),
            (Times.MIXED, Level.WARN, "with --offset latest"),
        ],
    )
    def test_each_kind_of_times_has_its_level_and_remedy(self, times: Times | None, level: Level, remedy: str) -> None:
        finding = doctor.topic_finding("winlogbeat", times)
        assert finding.level is level
        assert remedy in finding.said

    def test_topics_without_append_times_wait_by_reading(self) -> None:
        found = [doctor.topic_finding(times.name, times) for times in Times]
        assert doctor.by_read_time([Finding(Level.WARN, "stack", "is down"), *found]) == ["PRODUCED", "MIXED"]


class TestStream:
    def test_it_goes_on_with_warnings_and_stops_at_the_first_that_fails(self) -> None:
        good = [Finding(Level.OK, "broker", "there"), Finding(Level.WARN, "topic", "slow")]
        looked = []

        def findings() -> Iterator[Finding]:
            for level in (Level.OK, Level.FAIL, Level.FAIL):
                looked.append(level)
                yield Finding(level, "flink", f"sentence {len(looked)}")

        assert doctor.passed(good) == good
        with pytest.raises(UnusableError, match=r"^sentence 2$"):
            doctor.passed(findings())
        assert len(looked) == 2  # what comes behind is not waited for

    @pytest.mark.parametrize("on", ["flink", "direct"])
    def test_its_sentence_is_the_same_and_ends_it_with_2(self, capsys: pytest.CaptureFixture[str], on: str) -> None:
        argv = ["--on", on, "--bootstrap_servers", f"127.0.0.1:{free_port()}", "--input_topic", "winlogbeat"]
        line = lines(capsys, *argv, code=1)["broker"]
        assert main(["stream", *argv]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith("huntbeam: no Kafka broker answers")
        assert line.endswith(said.removeprefix("huntbeam: "))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("[9]{Join}.huntbeam_transforms_join_unbounded_JoinKeyFn_create_conflict", "create_conflict"),
        ("[9]{Join}.huntbeam_transforms_join_unbounded__Gather_unmatched", "unmatched"),
        ("huntbeam_transforms_kafka_io_EncodeRowsFn_emitted_sysmon_join", "emitted_sysmon_join"),
    ],
)
def test_a_counter_is_known_by_the_end_of_its_metric(metric: str, name: str) -> None:
    assert counter_name(metric) == name
