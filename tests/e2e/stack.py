"""One local stack for all end-to-end tests of a run, with the user's cache of jars."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import parts
from huntbeam.runners.stack.stack import Stack, default_cache
from huntbeam.schemas.errors import UnusableError


def need_stack() -> None:
    """Skips where a stack cannot be started."""
    try:
        find_java()
    except UnusableError as error:
        pytest.skip(str(error))
    fetched = all(part.exists() for part in parts(default_cache(), None))
    if not fetched and shutil.which("mvn") is None:
        pytest.skip("Maven is missing, and the cache does not hold the stack's jars yet")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack; its parts may be killed and started again by a test, which leaves all of them running."""
    need_stack()
    home: Path = tmp_path_factory.mktemp("stack")
    running = Stack(home)
    try:
        running.up()
        yield running
    finally:
        running.down()
