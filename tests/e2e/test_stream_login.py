"""A broker that wants a login: the job gets in, no log and no job graph shows the secret, and errors are sentences."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.e2e.jobs import SHORT, Feeder, huntbeam, make_topic, submit
from tests.e2e.stack import PASSWORD
from tests.e2e.test_stream_dirty import records

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SOON = 60.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A --kafka_config whose password comes from the environment."""
    path = tmp_path / "client.properties"
    path.write_text(
        "security.protocol=sasl_plaintext\nsasl.mechanism=PLAIN\nsasl.username=hunter\nsasl.password=${env:SECRET}\n"
    )
    return path


def test_the_job_gets_in_and_nothing_shows_the_secret(
    stack: Stack, sasl: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    at = stack.addresses()
    topic = make_topic(at.kafka, "login_in")
    login = ("--bootstrap_servers", sasl, "--kafka_config", str(config), *SHORT)
    job = submit(at, "login_", topic, login)
    try:
        Feeder(at.kafka, topic).send(records(50))
        job.await_rows("sysmon_join", 350)
        shown = b""
        for what in ("", "/plan", "/config", "/exceptions"):
            with urlopen(f"{at.flink_rest}/jobs/{job.jid}{what}") as answer:  # noqa: S310 - our own stack
                shown += answer.read()
        shown += b"".join(path.read_bytes() for path in (stack.home / "logs").iterdir())
        assert b"p4ss" not in shown
        assert b"login_in" in shown
    finally:
        job.cancel()


def refused(at: object, *options: str) -> str:
    """The one sentence of a stream that cannot start."""
    started = time.monotonic()
    _, said = huntbeam(at, "stream", *options, code=2, patience=SOON)  # type: ignore[arg-type]
    assert time.monotonic() - started < SOON
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said
    return said


def test_a_wrong_password_is_one_sentence(
    stack: Stack, sasl: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "wrong")
    make_topic(stack.addresses().kafka, "login_wrong")
    login = ("--bootstrap_servers", sasl, "--kafka_config", str(config))
    assert "refused the login" in refused(stack.addresses(), "--input_topic", "login_wrong", *login)


def test_a_missing_topic_is_one_sentence(stack: Stack) -> None:
    assert "there is no topic no_such" in refused(stack.addresses(), "--input_topic", "no_such")


def test_a_wrong_broker_is_one_sentence(stack: Stack) -> None:
    said = refused(stack.addresses(), "--input_topic", "any", "--bootstrap_servers", "127.0.0.1:1")
    assert "no Kafka broker answers at 127.0.0.1:1" in said


def test_a_worker_pool_that_is_away_is_one_sentence(stack: Stack) -> None:
    make_topic(stack.addresses().kafka, "pool_away")
    said = refused(stack.addresses(), "--input_topic", "pool_away", "--worker_pool", "127.0.0.1:1")
    assert "worker_pool" in said
