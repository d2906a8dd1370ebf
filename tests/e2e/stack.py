"""One local stack for all end-to-end tests of a run, with the user's cache of jars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack, lacking
from tests.ports import free_port


def need_stack(*search: str) -> None:
    """Skips where a stack cannot be started."""
    if missing := lacking(search):
        pytest.skip(missing)


PASSWORD = 'p4ss "word" \\ ${x}'  # noqa: S105 - what quoting and references could go wrong on
_QUOTED = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
SASL = {
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
    f'required user_hunter="{_QUOTED}";',
}


@pytest.fixture(scope="session")
def sasl() -> str:
    """The address at which the stack's broker wants a login: hunter, PASSWORD."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, sasl: str) -> Iterator[Stack]:
    """A running stack; its parts may be killed and started again by a test, which leaves all of them running."""
    need_stack()
    home: Path = tmp_path_factory.mktemp("stack")
    running = Stack(home)
    try:
        running.up(task_slots=8, kafka_properties={"listeners": f"SASL_PLAINTEXT://{sasl}", **SASL})
        yield running
    finally:
        running.down()
