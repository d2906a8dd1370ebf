"""Clients of a Kafka broker, the options that say which, and errors as one sentence with its remedy.

confluent-kafka is imported with the first client: commands that need no broker do not need it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from huntbeam.runners.kafka.properties import client_config, read_properties, without_secrets
from huntbeam.schemas.errors import UnusableError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient, ClusterMetadata

TIMEOUT = 20.0  # seconds within which a broker that is there is found, on a busy machine too
ANSWER = 30.0  # seconds within which it does what it is asked for

Client = TypeVar("Client")

_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"


class KafkaUnusable(UnusableError):  # noqa: N818 - it is an UnusableError, and reads as what it says
    """A broker, a topic or the configuration of a client cannot be used."""


class KafkaAway(KafkaUnusable):
    """No broker answers: it may later."""


def add_kafka_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of every command that talks to a broker."""
    group = parser.add_argument_group("Kafka")
    group.add_argument(
        "--bootstrap_servers",
        metavar="HOST:PORT,...",
        help=f"the brokers (default: the variable {_SERVERS}, else the running local stack's)",
    )
    group.add_argument(
        "--kafka_config", metavar="FILE", help="properties of the connection, librdkafka's names (docs/kafka.md)"
    )


def bootstrap_servers(args: argparse.Namespace) -> str:
    """The brokers to talk to: the option's, the environment's, or the running local stack's."""
    servers = args.bootstrap_servers or os.environ.get(_SERVERS) or _stack_servers()
    if not servers:
        raise KafkaUnusable(f"no Kafka broker is named: give --bootstrap_servers HOST:PORT, or set {_SERVERS}")
    return servers


def _stack_servers() -> str | None:
    from huntbeam.runners.stack.stack import running_addresses

    running = running_addresses()
    return running.kafka if running else None


def kafka_properties(args: argparse.Namespace) -> dict[str, str]:
    """The properties of --kafka_config; none without it."""
    return read_properties(args.kafka_config) if args.kafka_config else {}


def kafka_config(args: argparse.Namespace) -> dict[str, str]:
    """The configuration of this program's own clients, from the options."""
    return client_config(bootstrap_servers(args), kafka_properties(args))


def admin(config: Mapping[str, Any]) -> AdminClient:
    """A client for topics. Raises KafkaUnusable for a property that there is not."""
    from confluent_kafka.admin import AdminClient

    return _made(AdminClient, config)


def consumer(config: Mapping[str, Any]) -> Consumer:
    """A reader; `group.id` is needed by the library even if no group is used."""
    from confluent_kafka import Consumer

    return _made(Consumer, {"group.id": "huntbeam", **config})


def producer(config: Mapping[str, Any]) -> Producer:
    """A writer; without other words in the configuration it is idempotent, so a retry neither doubles nor reorders."""
    from confluent_kafka import Producer

    return _made(Producer, {"enable.idempotence": True, **config})


def _made(client: Callable[[dict[str, Any]], Client], config: Mapping[str, Any]) -> Client:
    from confluent_kafka import KafkaException

    try:
        return client({"error_cb": _ignore, **config})
    except KafkaException as error:
        reason = _plain(without_secrets(error.args[0].str(), config))
        raise KafkaUnusable(
            f"--kafka_config cannot be used ({reason}): correct it; docs/kafka.md has examples"
        ) from None


def _ignore(_: KafkaError) -> None:
    """Errors come with the call that they concern; without this the library prints them."""


def check_broker(config: Mapping[str, Any], timeout: float = TIMEOUT) -> ClusterMetadata:
    """Brokers and topics, when a broker answers within `timeout` seconds; a refused login or TLS ends it at once.

    Raises KafkaUnusable, which tells the one from the other.
    """
    from confluent_kafka import KafkaError, KafkaException

    seen: list[KafkaError] = []
    client = admin({**config, "error_cb": seen.append})
    until = time.monotonic() + timeout
    while True:
        try:
            return client.list_topics(timeout=max(min(1.0, until - time.monotonic()), 0.1))
        except KafkaException as error:
            seen.append(error.args[0])
        client.poll(0)  # brings what the connections met with
        final = [error for error in seen if error.code() == KafkaError._AUTHENTICATION or _is_tls(error)]
        if final or time.monotonic() >= until:
            raise explain(final[0] if final else seen[-1], config)


@contextmanager
def explained(config: Mapping[str, Any]) -> Iterator[None]:
    """Makes KafkaUnusable of an error of the library."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise explain(error.args[0], config) from error
    except TimeoutError as error:  # of a future of the admin client
        raise KafkaUnusable(
            f"the broker at {config['bootstrap.servers']} does not answer in time: try again, or look at its log"
        ) from error


def explain(error: KafkaError, config: Mapping[str, Any]) -> KafkaUnusable:
    """One sentence for an error: what is wrong, and what to do."""
    from confluent_kafka import KafkaError

    servers = config["bootstrap.servers"]
    reason = _plain(without_secrets(error.str(), config))
    away = f"no Kafka broker answers at {servers}: check --bootstrap_servers, that it runs, and security.protocol"
    login = (
        f"the broker at {servers} refused the login: check sasl.mechanism, sasl.username and sasl.password "
        "in --kafka_config"
    )
    tls = (
        f"TLS with the broker at {servers} failed ({reason}): check ssl.ca.location, ssl.certificate.location and "
        "security.protocol in --kafka_config"
    )
    topic = f"the topic is missing ({reason}): check its name, or make it with `huntbeam topics create`"
    rights = f"the broker at {servers} does not allow this ({reason}): ask for the right, or use another login"
    sentences = {
        KafkaError._TRANSPORT: away,
        KafkaError._ALL_BROKERS_DOWN: away,
        KafkaError._TIMED_OUT: away,
        KafkaError._RESOLVE: away,
        KafkaError._AUTHENTICATION: login,
        KafkaError.SASL_AUTHENTICATION_FAILED: login,
        KafkaError._UNKNOWN_TOPIC: topic,
        KafkaError._UNKNOWN_PARTITION: topic,
        KafkaError.UNKNOWN_TOPIC_OR_PART: topic,
        KafkaError.TOPIC_AUTHORIZATION_FAILED: rights,
        KafkaError.GROUP_AUTHORIZATION_FAILED: rights,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: rights,
    }
    other = f"the broker at {servers} refused the request ({reason}): correct it and try again"
    sentence = tls if _is_tls(error) else sentences.get(error.code(), other)
    return KafkaAway(sentence) if sentence is away else KafkaUnusable(sentence)


def _is_tls(error: KafkaError) -> bool:
    """Whether it is about TLS; of a certificate that the broker refuses only the text says so."""
    from confluent_kafka import KafkaError

    return error.code() == KafkaError._SSL or "SSL routines" in error.str()


def _plain(text: str) -> str:
    """Text of another program, in one short line."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()
