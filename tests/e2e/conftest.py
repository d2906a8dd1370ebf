"""Real servers on loopback, started for a test and stopped after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apache_beam.internal.gcp import auth
from gcp_storage_emulator.server import create_server

from huntbeam.runners.stack.stack import Stack
from tests.e2e.image import image
from tests.e2e.search import search
from tests.e2e.stack import sasl, stack
from tests.ports import free_port

__all__ = ["bucket", "image", "kafka", "sasl", "search", "stack"]

BUCKET = "huntbeam-test"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty bucket, on an emulator in this process."""
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    # without credentials Beam may look for a metadata server for a while before it goes on anonymously
    monkeypatch.setattr(auth._Credentials, "_credentials_init", True)
    monkeypatch.setattr(auth._Credentials, "_credentials", None)
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    yield f"gs://{BUCKET}"
    server.stop()


@pytest.fixture
def kafka(stack: Stack) -> str:
    """The broker of the stack."""
    return stack.addresses().kafka
