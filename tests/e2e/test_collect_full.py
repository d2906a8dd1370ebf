"""`huntbeam collect` under the load that it is made for: what was sent and what Kafka holds are one number."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.collecting import PATIENCE, collecting
from tests.conftest import ROOT
from tests.e2e.topics import ends, topics

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


@pytest.mark.parametrize("away", [0, 30], ids=["all the time", "stopped for 30 s"])
def test_20000_datagrams_a_second_for_a_minute(stack: Stack, kafka: str, tmp_path: Path, away: int) -> None:
    with topics(kafka, "monster") as (topic,), collecting(kafka, tmp_path, "--topic", topic) as collector:
        sender = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/syslog_load.py"), "--to", f"127.0.0.1:{collector.port}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with sender:
            if away:
                time.sleep(10)
                stack.stop("kafka")
                time.sleep(away)
                stack.start("kafka")
            said, _ = sender.communicate(timeout=PATIENCE * 5)
        sent = int(said.split()[1])
        collector.until_so(lambda: collector.counts["in_spool"] == 0)
        collector.stop()
        counts = collector.counts
        assert sent == 1_200_000
        assert counts["taken_udp"] + counts["kernel_drops"] == sent
        assert counts["dropped"] == 0  # the spool is large enough
        assert counts["delivered"] == counts["taken_udp"]
        assert sum(ends(kafka, topic)) == counts["delivered"]
