"""`--kafka_config` for Java's client (kafka-clients 2.4.1, in Beam's KafkaIO), which knows other names and no PEM.

Key and trust store and the secrets lie in a private folder; the configuration itself, which goes into job graphs and
logs, only says where: `${file:FOLDER/secrets.properties:NAME}`. Java's processes read the folder under the same path.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from huntbeam.runners.kafka.java_stores import key_store, trust_store
from huntbeam.schemas.errors import UnusableError

_SECRETS_FILE = "secrets.properties"
_PROVIDER = "org.apache.kafka.common.config.provider.FileConfigProvider"
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_MODULES = {"PLAIN": _PLAIN, "SCRAM-SHA-256": _SCRAM, "SCRAM-SHA-512": _SCRAM}
_OFFSETS = {"smallest": "earliest", "beginning": "earliest", "largest": "latest", "end": "latest", "error": "none"}

_SAME = (
    "acks",
    "auto.offset.reset",
    "batch.size",
    "client.id",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "group.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "metadata.max.age.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "session.timeout.ms",
)
_NAMES = {name: name for name in _SAME} | {
    "compression.codec": "compression.type",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "fetch.wait.max.ms": "fetch.max.wait.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.max.bytes": "max.request.size",
    "message.timeout.ms": "delivery.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "request.required.acks": "acks",
    "socket.receive.buffer.bytes": "receive.buffer.bytes",
    "socket.send.buffer.bytes": "send.buffer.bytes",
}
_SECURITY = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.location",
        "ssl.keystore.password",
    }
)
# what only says how this program's own clients log or connect
_OURS = frozenset(
    {
        "broker.address.family",
        "debug",
        "log.connection.close",
        "log_level",
        "receive.message.max.bytes",
        "socket.keepalive.enable",
        "socket.timeout.ms",
        "statistics.interval.ms",
        "topic.metadata.refresh.interval.ms",
    }
)


def java_config(bootstrap_servers: str, properties: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The configuration of Java's producers and consumers; stores and secrets are written to the folder (0700).

    Without a secret in the properties the folder is not made. Raises UnusableError for what Java's client has not.
    """
    config = {"bootstrap.servers": bootstrap_servers}
    for name, value in properties.items():
        if name in _NAMES:
            config[_NAMES[name]] = _OFFSETS.get(value, value) if name == "auto.offset.reset" else value
        elif name not in _SECURITY and name not in _OURS:
            raise UnusableError(f"--kafka_config: {name} has no counterpart in Java's Kafka client; leave it out")
    private = _Private(folder)
    config |= _security(properties, private)
    return config | private.write()


class _Private:
    """What goes into the private folder: stores as files, secrets as references to one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._files: dict[str, bytes] = {}
        self._secrets: dict[str, str] = {}

    def file(self, name: str, content: bytes) -> str:
        """The path that a file will have."""
        self._files[name] = content
        return str(self._folder / name)

    def secret(self, name: str, value: str) -> str:
        """The reference that Java's client replaces by the value."""
        self._secrets[name] = value
        return f"${{file:{self._folder / _SECRETS_FILE}:{name}}}"

    def write(self) -> dict[str, str]:
        """Writes what there is and gives the properties by which Java's client finds the secrets."""
        if not self._secrets:
            return {}
        if set(":}") & set(str(self._folder)):
            raise UnusableError(f"{self._folder} has a : or }} in its name, which Java's client cannot read; move it")
        lines = (f"{name}={_escaped(value)}\n" for name, value in self._secrets.items())
        self._files[_SECRETS_FILE] = "".join(lines).encode("ascii")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            for name, content in self._files.items():
                _write(self._folder / name, content)
        except OSError as error:
            raise UnusableError(
                f"{self._folder} cannot take the secrets of --kafka_config ({error.strerror}): check its permissions"
            ) from error
        return {"config.providers": "file", "config.providers.file.class": _PROVIDER}


def _write(path: Path, content: bytes) -> None:
    """A file that nobody else can read, not even for a moment; a running client sees the old one or the new one."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    aside.replace(path)


def _escaped(value: str) -> str:
    r"""A value as Java's Properties read it: what is not plain ASCII as UTF-16 code units.

    >>> _escaped("a b\\ü")
    'a\\u0020b\\u005c\\u00fc'
    """
    units = value.encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if chr(code).isalnum() and code < 128 else f"\\u{code:04x}" for code in codes)


def _security(properties: Mapping[str, str], private: _Private) -> dict[str, str]:
    protocol = properties.get("security.protocol", "plaintext").upper()
    if protocol not in _PROTOCOLS:
        raise UnusableError(f"--kafka_config: security.protocol is one of {', '.join(_PROTOCOLS).lower()}")
    config = {"security.protocol": protocol}
    if protocol.startswith("SASL"):
        config |= _sasl(properties, private)
    if protocol.endswith("SSL"):
        config |= _tls(properties, private)
    return config


def _sasl(properties: Mapping[str, str], private: _Private) -> dict[str, str]:
    mechanism = properties.get("sasl.mechanisms") or properties.get("sasl.mechanism", "")
    if mechanism not in _MODULES:
        raise UnusableError(f"--kafka_config: sasl.mechanism is one of {', '.join(_MODULES)} for Java's Kafka client")
    if missing := [name for name in ("sasl.username", "sasl.password") if not properties.get(name)]:
        raise UnusableError(f"--kafka_config: {mechanism} needs {missing[0]}; add it")
    user, password = _quoted(properties["sasl.username"]), _quoted(properties["sasl.password"])
    jaas = f"{_MODULES[mechanism]} required username={user} password={password};"
    return {"sasl.mechanism": mechanism, "sasl.jaas.config": private.secret("sasl.jaas.config", jaas)}


def _quoted(text: str) -> str:
    r"""A text in JAAS quotes.

    >>> _quoted('a"b')
    '"a\\"b"'
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def _tls(properties: Mapping[str, str], private: _Private) -> dict[str, str]:
    config: dict[str, str] = {}
    if algorithm := properties.get("ssl.endpoint.identification.algorithm"):
        config["ssl.endpoint.identification.algorithm"] = "" if algorithm == "none" else algorithm
    if "ssl.ca.location" in properties or "ssl.ca.pem" in properties:
        config |= _store("truststore", lambda password: trust_store(properties, password), private)
    if "ssl.keystore.location" in properties:
        config |= {"ssl.keystore.location": properties["ssl.keystore.location"], "ssl.keystore.type": "PKCS12"}
        password = properties.get("ssl.keystore.password", "")
        config["ssl.keystore.password"] = private.secret("ssl.keystore.password", password)
    elif "ssl.certificate.location" in properties or "ssl.certificate.pem" in properties:
        config |= _store("keystore", lambda password: key_store(properties, password), private)
        config["ssl.key.password"] = config["ssl.keystore.password"]
    return config


def _store(kind: str, make: Callable[[bytes], bytes], private: _Private) -> dict[str, str]:
    """The three properties of a store, with a password of its own that nobody needs to know."""
    password = secrets.token_hex(24)
    return {
        f"ssl.{kind}.location": private.file(f"{kind}.p12", make(password.encode())),
        f"ssl.{kind}.type": "PKCS12",
        f"ssl.{kind}.password": private.secret(f"ssl.{kind}.password", password),
    }
