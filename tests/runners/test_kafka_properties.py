"""The file of --kafka_config, and what may be said about it."""

from __future__ import annotations

from argparse import ArgumentParser
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.kafka import clients
from huntbeam.runners.kafka.clients import add_kafka_arguments, admin, bootstrap_servers, kafka_config
from huntbeam.runners.kafka.properties import SECRETS, client_config, read_properties, without_secrets
from huntbeam.schemas.errors import UnusableError

GOOD = """\
# the lab's broker
security.protocol = SASL_SSL
sasl.username=ada

sasl.password = ${env:LAB_PASSWORD}
ssl.key.password=a=b # no comment here
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "client.properties"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_values_comments_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PASSWORD", "${env:HOME} s3cret")  # a value is not looked into again
    assert read_properties(file(tmp_path, GOOD)) == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "ada",
        "sasl.password": "${env:HOME} s3cret",
        "ssl.key.password": "a=b # no comment here",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=1\nhidden-value", "line 2: write name=value"),
        ("=hidden-value", "line 1: write name=value"),
        ("a=1\na=hidden-value", "line 2: a is there twice"),
        ("sasl.password=hidden-value${env:NOT_THERE}", "the environment variable NOT_THERE is not set"),
        ("sasl.jaas.config=hidden-value", "write sasl.username and sasl.password"),
        ("ssl.truststore.location=hidden-value", "write ssl.ca.location with a PEM file"),
        ("bootstrap.servers=hidden-value", "write --bootstrap_servers on the command line"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_remedy_but_no_value(tmp_path: Path, text: str, said: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(UnusableError) as refused:
        read_properties(path)
    assert said in str(refused.value)
    assert f"--kafka_config {path}, line " in str(refused.value)
    assert "hidden-value" not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match=r"cannot be read \(No such file or directory\): check the path"):
        read_properties(tmp_path / "nothing")
    (tmp_path / "latin").write_bytes(b"sasl.password=\xfc")
    with pytest.raises(UnusableError, match="save it as UTF-8"):
        read_properties(tmp_path / "latin")


def test_a_client_is_quiet_unless_it_is_asked_to_speak() -> None:
    config = client_config("b:9092", {"client.id": "me"})
    assert config == {"bootstrap.servers": "b:9092", "client.id": "me", "log_level": "0"}
    assert "log_level" not in client_config("b:9092", {"debug": "security"})


@given(st.lists(st.text("ab\"'\\é", min_size=1, max_size=6), min_size=1, max_size=3), st.text("xab", max_size=20))
def test_no_message_holds_a_secret(secrets: list[str], text: str) -> None:
    config = dict(zip(sorted(SECRETS), secrets, strict=False))
    said = without_secrets(text + secrets[0] + text, config | {"client.id": "x"})
    assert not any(secret in said for secret in secrets)


def test_a_property_that_there_is_not_is_one_sentence() -> None:
    with pytest.raises(clients.KafkaUnusable, match=r'No such configuration property: "sasl.pasword"\): correct it'):
        admin(client_config("127.0.0.1:1", {"sasl.pasword": "hidden-value"}))


def test_the_brokers_are_named_by_option_then_environment_then_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = ArgumentParser()
    add_kafka_arguments(parser)
    monkeypatch.setattr(clients, "_stack_servers", lambda: "stack:1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:1")
    assert bootstrap_servers(parser.parse_args(["--bootstrap_servers", "option:1"])) == "option:1"
    assert bootstrap_servers(parser.parse_args([])) == "environment:1"
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    assert kafka_config(parser.parse_args([]))["bootstrap.servers"] == "stack:1"
    monkeypatch.setattr(clients, "_stack_servers", lambda: None)
    with pytest.raises(clients.KafkaUnusable, match="give --bootstrap_servers HOST:PORT, or set KAFKA_BOOTSTRAP"):
        bootstrap_servers(parser.parse_args([]))


def test_an_answer_that_does_not_come_is_one_sentence() -> None:
    with (
        pytest.raises(clients.KafkaUnusable, match=r"broker at 127\.0\.0\.1:1 does not answer in time: try again"),
        clients.explained({"bootstrap.servers": "127.0.0.1:1"}),
    ):
        Future[int]().result(0.01)
