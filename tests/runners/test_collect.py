"""`huntbeam collect` without a broker: what comes is in the spool, and what is wrong is said."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.cli import main
from huntbeam.runners.collect.batches import Kind, batch_of
from huntbeam.runners.collect.counts import DESCRIBED, Counts, line, prometheus
from huntbeam.runners.collect.delivery import Delivery, check_topic
from huntbeam.runners.collect.refused import RefusedFile
from huntbeam.runners.collect.spool import Place, Spool
from huntbeam.transforms.syslog import Header
from tests.collecting import collecting
from tests.conftest import ROOT
from tests.ports import free_port

NOBODY = "127.0.0.1:1"  # where no broker answers
CONFIG = {"bootstrap.servers": NOBODY, "log_level": "0"}


def delivery(**options: Any) -> Delivery:
    refused: list[tuple[bytes, str]] = options.pop("refused", [])
    return Delivery(CONFIG, "t", keep_headers=False, refuse=lambda *r: refused.append(r), **options)


def test_what_is_not_acknowledged_comes_back_in_order() -> None:
    sending = delivery()
    records = [b"%d" % number for number in range(3_000)]
    sending.add(batch_of([b"<13>" + record for record in records[:1_000]]))
    sending.add(batch_of(records[1_000:2_000]))
    sending.add(batch_of(records[2_000:], Kind.READY))
    assert list(sending.poll(0.1)) == []
    assert (sending.direct, sending.delivered) == (3_000, 0)
    assert sending.take_back() == records
    assert sending.is_empty
    assert (sending.direct, sending.delivered, sending.errors) == (0, 0, 0)
    assert sending.headers == {Header.RFC3164: 1_000, Header.RFC5424: 0}


def test_the_window_is_bounded_by_bytes_and_by_records() -> None:
    large, many = delivery(), delivery()
    for _ in range(36):
        assert large.has_room
        large.add(batch_of([b"x" * 500_000] * 2))
        if not large.has_room:
            break
    assert not large.has_room
    for _ in range(13):
        many.add(batch_of([b"x"] * 8_000))
    assert not many.has_room
    assert len(large.take_back()) == 68
    assert len(many.take_back()) == 104_000


def test_a_record_that_is_too_long_for_kafka_is_refused_and_the_others_wait() -> None:
    refused: list[tuple[bytes, str]] = []
    sending = delivery(refused=refused)
    sending.add(batch_of([b"a", b"x" * 1_000_001, b"b"]))
    assert refused == [(b"x" * 1_000_001, "MSG_SIZE_TOO_LARGE")]
    assert sending.take_back() == [b"a", b"b"]
    assert sending.refused == 1


def test_a_producer_that_lost_its_place_is_replaced_and_nothing_is_lost() -> None:
    sending = delivery()
    sending.add(batch_of([b"1", b"2"]), Place(1, 10, 2))
    sending.add(batch_of([b"3"]))
    sending._fatal = True
    assert list(sending.poll(0)) == []
    assert (sending.direct, sending.errors) == (1, 0)
    sending.add(batch_of([b"4"]))
    assert sending.take_back() == [b"1", b"2", b"3", b"4"]


def test_no_broker_is_no_reason_not_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huntbeam.runners.collect.delivery._CHECK", 0.5)
    assert not check_topic(CONFIG, "t")


def test_refused_records_are_dead_letters_up_to_a_limit(tmp_path: Path) -> None:
    with closing(RefusedFile(tmp_path, 1_500)) as file:
        assert not any(tmp_path.iterdir())
        for _ in range(9):
            file.refuse(b"\xff<13>", "MSG_SIZE_TOO_LARGE")
    rows = [json.loads(row) for row in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert 1 < len(rows) < 9
    assert {(row["step"], row["raw_b64"]) for row in rows} == {("collect", "/zwxMz4=")}


@given(st.builds(Counts, taken_udp=st.integers(0, 10**12), kernel_drops=st.none() | st.integers(0, 9)))
def test_the_metrics_are_prometheus_text(counts: Counts) -> None:
    values = dict(row.split(" ") for row in prometheus(counts).splitlines() if not row.startswith("#"))
    assert values["huntbeam_collect_taken_udp_total"] == str(counts.taken_udp)
    assert ("huntbeam_collect_kernel_drops_total" in values) == (counts.kernel_drops is not None)
    types = [row.split(" ")[2:] for row in prometheus(counts).splitlines() if row.startswith("# TYPE")]
    assert [name for name, _ in types] == list(values)
    assert all(kind == "counter" if name.endswith("_total") else kind == "gauge" for name, kind in types)
    assert set(DESCRIBED) == set(Counts.__struct_fields__)


def test_every_count_is_described_in_the_docs() -> None:
    page = (ROOT / "docs" / "collect.md").read_text(encoding="utf-8")
    assert [name for name in DESCRIBED if f"`{name}`" not in page] == []


def test_the_line_says_what_is_not_nothing() -> None:
    assert line(Counts(taken_udp=1_000, taken_tcp=234, delivered=1_234), 99.6) == "1,234 taken (100/s), 1,234 delivered"
    said = line(Counts(taken_udp=5, delivered=1, dropped=2, kernel_drops=3, in_spool=2, kafka_up=0))
    assert said == (
        "5 taken, 1 delivered, 2 in the spool, 3 dropped by the kernel, 2 dropped by the full spool; Kafka is away"
    )


def spooled(folder: Path) -> list[bytes]:
    with closing(Spool(folder / "spool" / "monster", 1 << 30)) as spool:
        found = []
        while following := spool.next():
            found += list(following[0].each())
    return found


def test_without_a_broker_everything_is_left_in_the_spool_and_taken_up_again(tmp_path: Path) -> None:
    metrics = free_port()
    with collecting(NOBODY, tmp_path, "--tcp", "--metrics", f"127.0.0.1:{metrics}") as collector:
        collector.datagrams(b"1500\ta", b"", b"<13>1500\tb")
        collector.until(taken_udp=2, empty=1, in_flight=2, kafka_up=0)
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
            assert "huntbeam_collect_taken_udp_total 2\n" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{metrics}/")
        with collector.connect() as to:
            to.sendall(b"1500\tc\n6 1500\td")
            collector.until(taken_tcp=2, connections=1)
            said = collector.stop()
        assert "no Kafka broker answers" in said
        assert "4 records are left in the spool" in said
    assert spooled(tmp_path) == [b"1500\ta", b"1500\tb", b"1500\tc", b"1500\td"]
    with collecting(NOBODY, tmp_path, "--spool_always") as collector:
        collector.datagrams(b"1500\te")
        collector.until(resumed=4, taken_udp=1, in_spool=5, in_flight=0)
        collector.process.kill()  # -9
        collector.process.wait()
    assert spooled(tmp_path) == [b"1500\ta", b"1500\tb", b"1500\tc", b"1500\td", b"1500\te"]


def test_beyond_the_spools_limit_datagrams_are_counted_and_connections_wait(tmp_path: Path) -> None:
    with collecting(NOBODY, tmp_path, "--tcp", "--spool_max_bytes", "4MiB", "--spool_always") as collector:
        for _ in range(40):  # of what is in the spool 4 MB are in the window, too
            collector.datagrams(*[b"x" * 60_000] * 20)
            time.sleep(0.05)
        collector.until_so(lambda: collector.counts["taken_udp"] + collector.counts["kernel_drops"] == 800)
        counts = collector.counts
        assert counts["dropped"] > 0
        assert counts["dropped"] + counts["in_spool"] == counts["taken_udp"]
        assert counts["spool_bytes"] <= 4 * 1024**2
        with collector.connect() as to:
            to.sendall(b"kept\n" * 10)
            collector.datagrams(b"the last one")
            collector.until(taken_udp=counts["taken_udp"] + 1)
            assert collector.counts["taken_tcp"] == 0
            said = collector.stop(signal.SIGINT)
        assert "is full: datagrams are dropped and counted" in said
    assert spooled(tmp_path)[-10:] == [b"kept"] * 10


OPTIONS = [
    (["--syslog", "nowhere"], "--syslog nowhere: write HOST:PORT"),
    (["--syslog", "192.0.2.1:1514"], "cannot be listened on"),
    (["--topic", "../etc"], "is no name of a topic"),
    (["--topic", ".."], "is no name of a topic"),
    (["--receive_buffer", "much"], "--receive_buffer: 'much' is no size"),
    (["--spool_max_bytes", "1MB"], "--spool_max_bytes 1MB: write a size from 4194304"),
    (["--tcp", "--max_line", "1GiB"], "--max_line 1GiB: write a size from 256 to 900000"),
    (["--tcp", "--idle_timeout", "soon"], "--idle_timeout: "),
    (["--max_connections", "0"], "--max_connections 0: write a number from 1 on"),
    (["--metrics", "0.0.0.0:9514"], "on loopback alone; write 127.0.0.1:9514"),
    (["--status", "/nowhere/file"], "--status /nowhere/file cannot be written"),
    (["--spool", "/dev/null"], "choose another folder for --spool"),
]


@pytest.mark.parametrize(("options", "sentence"), OPTIONS, ids=[" ".join(options) for options, _ in OPTIONS])
def test_what_is_wrong_is_said(
    options: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huntbeam.runners.collect.delivery._CHECK", 0.2)
    base = ["collect", "--bootstrap_servers", NOBODY, "--syslog", str(free_port()), "--spool", str(tmp_path)]
    assert main([*base, *options]) == 2
    assert sentence in capsys.readouterr().err
