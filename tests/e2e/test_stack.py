"""A real stack through the command line: started twice, parts killed and started again, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from huntbeam.runners.cli import main
from huntbeam.runners.stack import processes, state
from huntbeam.runners.stack.services import NAMES
from huntbeam.runners.stack.stack import Stack, running_addresses
from huntbeam.schemas.errors import UnusableError
from tests.e2e.stack import need_stack
from tests.ports import connections, free_port
from tests.processes import needs_proc

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first fetch takes minutes

SASL = {
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
    'required user_hunter="not secret";',
}


@pytest.fixture(scope="module")
def sasl_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, sasl_port: int) -> Iterator[Path]:
    """The home of a stack of this module's own, which it may stop."""
    need_stack()
    folder = tmp_path_factory.mktemp("own") / "stack"
    Stack(folder).up(kafka_properties={"listeners": f"SASL_PLAINTEXT://127.0.0.1:{sasl_port}", **SASL})
    yield folder
    Stack(folder).down(delete=True)


def pids(home: Path) -> dict[str, int | None]:
    return {part.name: part.pid for part in Stack(home).status()}


def topics(config: dict[str, str]) -> set[str]:
    return set(AdminClient({"log_level": "0", **config}).list_topics(timeout=10).topics)


def task_managers(home: Path) -> list[dict[str, object]]:
    with urllib.request.urlopen(f"{Stack(home).addresses().flink_rest}/taskmanagers", timeout=10) as answer:  # noqa: S310 - our own stack
        found: list[dict[str, object]] = json.load(answer)["taskmanagers"]
    return found


def test_status_and_env(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "status", "--home", str(home)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, *_ in rows] == list(NAMES)
    for _, pid, address in rows:
        assert state.answers(int(address.rpartition(":")[2])), rows
        os.kill(int(pid), 0)
    assert main(["stack", "env", "--home", str(home)]) == 0
    values = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    addresses = running_addresses(home)
    assert addresses is not None
    assert list(values.values()) == [*filter(None, addresses), str(home)]


def test_up_again_keeps_what_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pids(home)
    assert main(["stack", "up", "--home", str(home)]) == 0
    assert pids(home) == before
    said = capsys.readouterr().err
    assert [name for name in NAMES if f"{name} is up" not in said] == []
    with pytest.raises(UnusableError, match="was started with other task slots; stop it first"):
        Stack(home).up(task_slots=9)


@pytest.mark.parametrize("name", ["workers", "taskmanager"])
def test_a_part_that_was_killed_is_started_again_at_its_address(home: Path, name: str) -> None:
    before, addresses = pids(home), Stack(home).addresses()
    pid = before[name]
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    while pids(home)[name]:  # a large process takes a moment to go
        time.sleep(0.05)
    assert main(["stack", "status", "--home", str(home)]) == 1
    assert main(["stack", "up", "--quiet", "--home", str(home)]) == 0
    after = pids(home)
    assert after.pop(name) not in (before.pop(name), None)
    assert after == before
    assert Stack(home).addresses() == addresses


def test_the_task_manager_that_answers_is_the_new_one(home: Path) -> None:
    stack = Stack(home)
    stack.kill("taskmanager")
    before = {manager["id"] for manager in task_managers(home)}
    stack.start("taskmanager")
    found = state.load(home)
    assert found is not None
    new = f"taskmanager-{found.processes['taskmanager'].mark}"
    assert new not in before
    assert new in {manager["id"] for manager in task_managers(home)}


@needs_proc
def test_each_manager_sends_on_connections_of_its_own(home: Path) -> None:
    found = state.load(home)
    assert found is not None
    for name in ("flink_rpc", "taskmanager"):
        assert connections(found.settings.ports[name]) > 0, name


def test_the_job_manager_comes_back_with_its_task_manager(home: Path) -> None:
    stack = Stack(home)
    stack.stop("jobmanager")
    stack.start("jobmanager")
    assert [manager["slotsNumber"] for manager in task_managers(home)] == [4]


def test_topics_outlive_the_broker(home: Path) -> None:
    stack = Stack(home)
    plain = {"bootstrap.servers": stack.addresses().kafka}
    admin = AdminClient(plain)
    for made in admin.create_topics([NewTopic("kept", 1, 1)]).values():
        made.result()
    stack.stop("kafka")
    assert pids(home)["kafka"] is None
    stack.start("kafka")
    assert "kept" in topics(plain)


def test_a_further_listener_asks_for_its_password(home: Path, sasl_port: int) -> None:
    login = {"bootstrap.servers": f"127.0.0.1:{sasl_port}", "security.protocol": "SASL_PLAINTEXT"}
    login |= {"sasl.mechanism": "PLAIN", "sasl.username": "hunter"}
    assert topics({**login, "sasl.password": "not secret"}) >= set()
    with pytest.raises(KafkaException):
        topics({**login, "sasl.password": "wrong"})


def test_a_taken_port_is_one_sentence_and_leaves_nothing_running(tmp_path: Path) -> None:
    need_stack()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UnusableError, match=f"port {port} is taken, so jobmanager .*--flink_port"):
            Stack(tmp_path / "other").up(ports={"flink": port})
    assert Stack(tmp_path / "other").status() == []


def test_a_search_server_joins_a_stack_that_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pids(home)
    assert main(["stack", "up", "--quiet", "--home", str(home), "--with", "opensearch"]) == 0
    after = pids(home)
    assert after.pop("opensearch")
    assert after == before
    capsys.readouterr()
    assert main(["stack", "env", "--home", str(home)]) == 0
    url = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())["OPENSEARCH_URL"]
    assert main(["index", "show", "--index", url]) == 0
    assert capsys.readouterr().out.startswith("OpenSearch 2.19 at http://127.0.0.1:")


def test_down_stops_all_of_it_and_nothing_else(home: Path) -> None:
    found = state.load(home)
    assert found is not None
    with subprocess.Popen(["sleep", "600"]) as bystander:
        assert main(["stack", "down", "--home", str(home)]) == 0
        assert bystander.poll() is None
        bystander.kill()
    assert processes.members(*found.processes.values()) == []
    assert not [name for name, port in found.settings.ports.items() if state.answers(port)]
    assert Stack(home).status() == []
    assert (home / "data" / "kafka" / "kept-0").is_dir()
    assert main(["stack", "down", "--delete", "--home", str(home)]) == 0
    assert not home.exists()
