"""The local stack without its servers: ports, state, processes, settings, class paths, what is missing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.stack import broker, flink, processes, search, state, versions
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import Parts, fetch, parts, pom, search_jars
from huntbeam.runners.stack.processes import Running
from huntbeam.runners.stack.services import NAMES, PORT_OF
from huntbeam.runners.stack.stack import Stack, lacking, last_words, running_addresses
from huntbeam.runners.stack.state import PORTS, SEARCH, Settings, State
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.locks import locked

SETTINGS = Settings(cache="/cache", ports={name: 20_000 + i for i, name in enumerate(PORTS)}, task_slots=4)


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    path.chmod(0o755)
    return path


def started(tmp_path: Path, code: str) -> Running:
    mark = processes.new_mark()
    return processes.spawn([sys.executable, "-c", textwrap.dedent(code)], {}, tmp_path / "part.log", mark)


def eventually(condition: object, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class TestPorts:
    def test_free_ones_are_different_and_below_those_of_outgoing_connections(self) -> None:
        ports = state.choose_ports({})
        assert list(ports) == list(PORTS)
        assert len(set(ports.values())) == len(PORTS)
        assert all(20_000 <= port < 32_000 for port in ports.values())

    def test_given_ones_are_kept(self) -> None:
        assert state.choose_ports({"kafka": 9092})["kafka"] == 9092

    def test_one_port_for_two_services(self) -> None:
        with pytest.raises(UnusableError, match="port 9092 is given to two services"):
            state.choose_ports({"kafka": 9092, "flink": 9092})

    @pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - the case is a listener on all interfaces
    def test_a_listener_takes_its_port(self, host: str) -> None:
        with socket.create_server((host, 0)) as server:
            port = server.getsockname()[1]
            assert state.taken(port)
            assert state.answers(port)
        assert not state.taken(port)
        assert not state.answers(port)

    def test_every_port_belongs_to_one_part(self) -> None:
        assert tuple(PORT_OF) == (*NAMES, *SEARCH)
        assert sorted(name for names in PORT_OF.values() for name in names) == sorted((*PORTS, *SEARCH))

    def test_a_search_server_has_one_that_its_runner_takes(self) -> None:
        ports = state.choose_ports({}, ["opensearch"])
        assert list(ports) == [*PORTS, "opensearch"]
        assert 9_201 <= ports["opensearch"] < 9_300
        assert search.arguments("opensearch", 9_250, Path("/h"), Path("/c"), Path("/l"))[6:8] == [
            "-baseHttpPort",
            "9249",
        ]
        with pytest.raises(UnusableError, match=r"--elasticsearch_port 9300: .*below 9300"):
            state.choose_ports({"elasticsearch": 9_300}, ["elasticsearch"])


class TestState:
    def test_comes_back_and_only_its_owner_reads_it(self, tmp_path: Path) -> None:
        kept = State(
            msgspec.structs.replace(SETTINGS, kafka_properties={"a": "secret"}), {"kafka": Running(1, 2, "mark")}
        )
        assert state.load(tmp_path) is None
        state.save(tmp_path, kept)
        assert state.load(tmp_path) == kept
        assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]
        state.remove(tmp_path)
        assert state.load(tmp_path) is None

    @pytest.mark.parametrize("text", ["", "{", '{"settings": 1}', '{"other": {}}'])
    def test_a_file_that_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "stack.json").write_text(text)
        with pytest.raises(UnusableError, match="is not the state of a stack"):
            state.load(tmp_path)


class TestProcesses:
    def test_a_process_is_known_by_pid_and_start_time(self, tmp_path: Path) -> None:
        run = started(tmp_path, "import time; time.sleep(60)")
        again = msgspec.structs.replace(run, started=run.started - 1, mark="other")
        assert processes.alive(run)
        assert not processes.alive(again)
        processes.kill(again)
        assert processes.alive(run)
        processes.stop(run)
        assert not processes.alive(run)

    def test_its_children_go_with_it(self, tmp_path: Path) -> None:
        run = started(tmp_path, "import subprocess; subprocess.run(['sleep', '60'])")
        assert eventually(lambda: len(processes.members(run)) == 2)
        processes.stop(run)
        assert processes.members(run) == []

    def test_children_that_outlive_it_are_found_by_their_mark(self, tmp_path: Path) -> None:
        run = started(tmp_path, "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)")
        assert eventually(lambda: len(processes.members(run)) == 2)
        os.kill(run.pid, signal.SIGKILL)
        assert eventually(lambda: not processes.alive(run))
        assert len(processes.members(run)) == 1
        processes.kill(run)
        assert processes.members(run) == []

    def test_what_ignores_term_is_killed(self, tmp_path: Path) -> None:
        run = started(
            tmp_path,
            """
            import signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("deaf", flush=True)
            time.sleep(60)
            """,
        )
        assert eventually(lambda: (tmp_path / "part.log").read_text() == "deaf\n")
        processes.stop(run, patience=0.3)
        assert not processes.alive(run)

    def test_others_are_left_alone(self, tmp_path: Path) -> None:
        with subprocess.Popen(["sleep", "60"]) as bystander:
            run = started(tmp_path, "import time; time.sleep(60)")
            processes.stop(run)
            assert bystander.poll() is None
            bystander.kill()

    def test_the_log_of_the_run_before_is_kept(self, tmp_path: Path) -> None:
        for text in ("first", "second"):
            run = started(tmp_path, f"print('{text}')")
            assert eventually(lambda run=run: not processes.alive(run))
        assert (tmp_path / "part.log").read_text() == "second\n"
        assert (tmp_path / "part.log.1").read_text() == "first\n"


def test_the_last_words_of_a_log_tell_why(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("starting\njava.net.BindException: Address in use\x1b[31m\n\tat java.base/x\n\tat y\ndone\n")
    assert last_words(log) == f"java.net.BindException: Address in use [31m (its log: {log})"
    log.write_text("one\ntwo\n\n")
    assert last_words(log).startswith("two (")
    assert last_words(tmp_path / "none.log").startswith("it said nothing (")


class TestLock:
    def test_one_holds_it_the_other_waits(self, tmp_path: Path) -> None:
        code = f"""
        import time
        from pathlib import Path
        from huntbeam.transforms.locks import locked
        with locked(Path({str(tmp_path)!r}), "lock", print):
            print("held", flush=True)
            time.sleep(1)
        """
        said: list[str] = []
        with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with locked(tmp_path, "lock", said.append):
                assert said == [f"waiting for another command that works on {tmp_path}"]
                assert other.wait(10) == 0


class TestBroker:
    def test_listens_on_loopback_only(self) -> None:
        values = broker.properties(9092, 9093, Path("/data"), {})
        assert values["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
        assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
        assert values["auto.create.topics.enable"] == "false"

    def test_further_listeners_stand_beside_ours_and_other_lines_win(self) -> None:
        more = {"listeners": "SSL://127.0.0.1:9094", "num.partitions": "7", "ssl.keystore.location": "/k"}
        values = broker.properties(9092, 9093, Path("/data"), more)
        assert values["listeners"] == ("PLAINTEXT://127.0.0.1:9092,SSL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093")
        assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092,SSL://127.0.0.1:9094"
        assert (values["num.partitions"], values["ssl.keystore.location"]) == ("7", "/k")


class TestFlink:
    def test_keeps_checkpoints_of_cancelled_jobs_under_the_home(self) -> None:
        values = flink.settings(SETTINGS.ports, 3, Path("/home/data"))
        assert values["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"
        assert values["state.checkpoints.dir"] == "file:///home/data/checkpoints"
        assert values["taskmanager.numberOfTaskSlots"] == "3"
        addresses = [value for name, value in values.items() if name.endswith(("host", "address"))]
        assert set(addresses) == {"127.0.0.1"}

    def test_heap_and_direct_memory_are_what_flink_is_told(self) -> None:
        told = dict(part.split("=") for part in flink.task_manager_arguments("id")[1::2])
        heap = [told[f"taskmanager.memory.{name}.heap.size"] for name in ("framework", "task")]
        assert f"-Xmx{sum(int(size.removesuffix('m')) for size in heap)}m" in flink.task_manager_options(2)

    def test_the_text_is_flinks(self) -> None:
        assert flink.text({"rest.port": "1", "a": "b c"}) == "rest.port: 1\na: b c\n"


class TestParts:
    def test_the_pom_names_every_artifact_with_its_version(self) -> None:
        space = "{http://maven.apache.org/POM/4.0.0}"
        project = ET.fromstring(pom(versions.BEAM_ARTIFACTS))  # noqa: S314 - our own text
        found = [[part.text for part in d][:3] for d in project.iter(f"{space}dependency")]
        assert found == [[a.group, a.name, a.version] for a in versions.BEAM_ARTIFACTS]
        without = [e.findtext(f"{space}groupId") for e in project.iter(f"{space}exclusion")]
        assert without == ["io.confluent"]

    def test_flinks_class_path_has_its_own_jars_first_and_none_of_beams_copies(self, tmp_path: Path) -> None:
        jars = tmp_path / "beam" / "gradle" / "wrapper"
        for name in ("beam-core.jar", "flink-core-1.19.0.jar", "slf4j-api.jar", "log4j-x.jar", "kafka-clients.jar"):
            program(jars / name, "")
        found = Parts(kafka=tmp_path / "kafka", flink=tmp_path / "flink", beam=tmp_path / "beam")
        assert found.flink_class_path().split(":") == [
            f"{tmp_path}/flink/lib/*",
            f"{jars}/beam-core.jar",
            f"{jars}/kafka-clients.jar",
        ]
        assert found.beam_class_path() == f"{jars}/*"

    def test_a_job_server_jar_takes_the_place_of_the_fetched_ones(self, tmp_path: Path) -> None:
        jar = program(tmp_path / "job-server.jar", "")
        found = parts(tmp_path / "cache", jar)
        assert found.beam_class_path() == str(jar)
        assert found.flink_class_path().split(":")[1:] == [str(jar)]
        with pytest.raises(UnusableError, match="is no file"):
            parts(tmp_path, tmp_path / "other.jar")

    def test_a_whole_cache_needs_neither_maven_nor_pip(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        for folder in parts(tmp_path, None):
            folder.mkdir()
        said: list[str] = []
        assert fetch(tmp_path, None, said.append) == parts(tmp_path, None)
        assert said == []

    def test_an_interrupted_fetch_leaves_no_half_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        maven = """\
            #!/bin/sh
            for last; do :; done
            mkdir -p "${last#-DoutputDirectory=}"
            echo x > "${last#-DoutputDirectory=}/x.jar"
            """
        program(tmp_path / "bin" / "mvn", maven + 'echo "[ERROR] no route to host"; exit 1\n')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        cache = tmp_path / "cache"
        wanted = parts(cache, None)
        wanted.flink.mkdir(parents=True)
        with pytest.raises(UnusableError, match=r"Maven could not fetch kafka-\S+: \[ERROR\] no route to host"):
            fetch(cache, None, lambda _: None)
        assert not wanted.kafka.exists()
        program(tmp_path / "bin" / "mvn", maven)
        said: list[str] = []
        fetch(cache, None, said.append)
        assert [line.split()[1] for line in said] == [wanted.kafka.name, wanted.beam.name]
        assert (wanted.kafka / "gradle" / "wrapper" / "x.jar").is_file()
        assert not list(cache.glob("*.part"))

    def test_maven_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UnusableError, match=r"^Maven is missing: .* install it"):
            fetch(tmp_path / "cache", None, lambda _: None)


def test_what_a_machine_lacks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Java is missing" in (lacking(cache=tmp_path) or "")
    program(tmp_path / "java", "#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    assert "Maven is missing" in (lacking(cache=tmp_path) or "")
    for folder in parts(tmp_path, None):
        folder.mkdir()
    assert lacking(cache=tmp_path) is None
    assert "Maven is missing" in (lacking(["opensearch"], tmp_path) or "")
    search_jars(tmp_path, "opensearch").mkdir()
    assert lacking(["opensearch"], tmp_path) is None


class TestJava:
    @staticmethod
    def java(folder: Path, version: str) -> Path:
        return program(folder / "java", f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025' >&2\n")

    def test_java_home_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.java(tmp_path / "home" / "bin", "21.0.1")
        second = self.java(tmp_path / "path", "17.0.15")
        monkeypatch.setenv("PATH", str(tmp_path / "path"))
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        assert find_java() == str(first)
        self.java(tmp_path / "home" / "bin", "11.0.2")
        assert find_java() == str(second)

    def test_it_is_missing_or_too_old(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UnusableError, match=r"^Java is missing: the stack needs Java 17 or newer"):
            find_java()
        self.java(tmp_path, "1.8.0_292")
        with pytest.raises(UnusableError, match=r"^Java 8 is too old: the stack needs Java 17 or newer"):
            find_java()


class TestCommand:
    def test_without_java_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert main(["stack", "up", "--home", str(tmp_path / "home")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert not (tmp_path / "home").exists()

    def test_where_no_stack_runs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        home = ["--home", str(tmp_path)]
        assert main(["stack", "status", *home]) == 1
        assert main(["stack", "env", *home]) == 2
        assert main(["stack", "down", *home]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert [f"{tmp_path}" in line for line in err.splitlines()] == [True] * 3
        assert running_addresses(tmp_path) is None
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_with_something_else_is_no_home(self, tmp_path: Path) -> None:
        kept = program(tmp_path / "data" / "mine", "")
        with pytest.raises(UnusableError, match=r"is not empty and no stack's home"):
            Stack(tmp_path, tmp_path / "cache").up()
        Stack(tmp_path).down(delete=True)
        assert kept.exists()

    def test_a_folder_that_settings_cannot_hold(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableError, match="give another folder with --home"):
            Stack(tmp_path / "a b", tmp_path).up()

    def test_status_and_env_of_parts_that_died(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        state.save(tmp_path, State(SETTINGS, {"kafka": Running(1, 0, "of an earlier boot")}))
        assert main(["stack", "status", "--home", str(tmp_path)]) == 1
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [(name, pid) for name, pid, _ in rows] == [(name, "down") for name in NAMES]
        assert main(["stack", "env", "--home", str(tmp_path)]) == 0
        values = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
        assert values["KAFKA_BOOTSTRAP_SERVERS"] == rows[0][2] == "127.0.0.1:20000"
        assert values["FLINK_REST"] == f"http://{rows[1][2]}"
        assert values["STACK_HOME"] == str(tmp_path)
        assert list(values)[2:5] == ["JOB_ENDPOINT", "EXPANSION_SERVICE", "WORKER_POOL"]
