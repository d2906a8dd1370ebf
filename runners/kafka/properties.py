"""The file of `--kafka_config`: librdkafka's names, one `name=value` a line (docs/kafka.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from huntbeam.schemas.errors import UnusableError

SECRETS = frozenset(
    {
        "sasl.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
    }
)

_JAVA_ONLY = {
    "sasl.jaas.config": "sasl.username and sasl.password",
    "ssl.truststore.location": "ssl.ca.location with a PEM file",
    "ssl.truststore.password": "ssl.ca.location with a PEM file, which has no password",
    "ssl.truststore.type": "ssl.ca.location with a PEM file",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.type": "ssl.keystore.location with a PKCS12 file, or ssl.certificate.location and ssl.key.location",
    "ssl.keystore.key": "ssl.key.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "buffer.memory": "queue.buffering.max.kbytes",
    "max.poll.records": "nothing: records come one by one",
    "default.api.timeout.ms": "socket.timeout.ms",
}
_OURS = {"bootstrap.servers": "--bootstrap_servers", "metadata.broker.list": "--bootstrap_servers"}
_VARIABLE = re.compile(r"\$\{env:([^}]*)\}")


def read_properties(path: str | Path) -> dict[str, str]:
    """The properties of a file; `${env:NAME}` in a value is replaced by the variable, here and now.

    Raises UnusableError, which names file and line, and never a value.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UnusableError(f"--kafka_config {path} cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError as error:
        raise UnusableError(f"--kafka_config {path} is no UTF-8 text: save it as UTF-8") from error
    properties: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        name, value = _property(f"--kafka_config {path}, line {number}", written)
        if name in properties:
            raise UnusableError(f"--kafka_config {path}, line {number}: {name} is there twice; leave one of them")
        properties[name] = value
    return properties


def _property(place: str, line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not (name and equals):
        raise UnusableError(f"{place}: write name=value, or # before a comment")
    if name in _JAVA_ONLY:
        raise UnusableError(f"{place}: {name} is a name of Java's client; write {_JAVA_ONLY[name]}")
    if name in _OURS:
        raise UnusableError(f"{place}: {name} is not taken from here; write {_OURS[name]} on the command line")
    return name, _VARIABLE.sub(lambda match: _variable(place, match[1]), value)


def _variable(place: str, name: str) -> str:
    if name not in os.environ:
        raise UnusableError(f"{place}: the environment variable {name} is not set; set it, or write the value")
    return os.environ[name]


def client_config(bootstrap_servers: str, properties: Mapping[str, str]) -> dict[str, str]:
    """The configuration of a client of confluent-kafka. It holds secrets: never print it.

    librdkafka's own lines on standard error are off, because clients.py makes a sentence of every error; a `log_level`
    or `debug` in the file turns them on again.
    """
    quiet = {} if {"log_level", "debug"} & properties.keys() else {"log_level": "0"}
    return quiet | dict(properties) | {"bootstrap.servers": bootstrap_servers}


def without_secrets(text: str, config: Mapping[str, object]) -> str:
    """A message about a configuration, in which no secret of it stands."""
    for secret in _values(config):
        text = text.replace(secret, "***")
    return text


def _values(config: Mapping[str, object]) -> Iterable[str]:
    secrets = (str(config[name]) for name in SECRETS if name in config)
    return sorted(filter(None, secrets), key=len, reverse=True)  # one may be a part of another
