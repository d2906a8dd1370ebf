"""`huntbeam topics dedupe` on a real broker, killed in the middle."""

from __future__ import annotations

import json
import signal
from collections import Counter

import pytest

from huntbeam.runners.cli import main
from tests.e2e.topics import (
    Record,
    committed,
    ends,
    eventually,
    finished,
    killed,
    received,
    running,
    send,
    topics,
    with_repeats,
)

pytestmark = pytest.mark.e2e


def row(number: int, **columns: object) -> bytes:
    return json.dumps({"event_uid": f"{number:032x}", **columns}).encode()


def test_killed_and_started_again_each_row_is_there_once(kafka: str) -> None:
    numbers = with_repeats(50_000)
    with topics(kafka, "in", "out") as (source, target):
        records = [Record(row(n, pad="x" * 200), str(n % 997).encode() if n % 2 else None) for n in numbers]
        send(kafka, source, records)  # those without a key repeat in other partitions
        command = ["topics", "dedupe", source, target, "--quiet", "--max_transaction_rows", "400"]
        for least in (2_000, 12_000, 20_000):
            killed(kafka, command, lambda least=least: written(kafka, target) > least)
        assert finished(kafka, *command) == ""
        out = received(kafka, target)
        counts = Counter(json.loads(message.value() or b"")["event_uid"] for message in out)
        assert len(counts) == len(set(numbers))
        assert set(counts.values()) == {1}
        where = {message.key(): message.partition() for message in received(kafka, source) if message.key()}
        assert all(where[message.key()] == message.partition() for message in out if message.key())


def written(kafka: str, topic: str) -> int:
    try:
        return sum(ends(kafka, topic))
    except Exception:  # it is made by the command
        return 0


def test_what_goes_on_and_what_is_said(kafka: str) -> None:
    windows = [row(1, generation=g, count=c) for g, c in ((0, 1), (0, 3), (0, 2), (0, 3), (1, 1), (1, 1))]
    foreign = [b"\xff\x00", b"[]", b"{}", b"{}"]
    with topics(kafka, "in", "out") as (source, target):
        send(kafka, source, [Record(value, b"k") for value in [*windows, row(2), row(2), *foreign]])
        send(kafka, source, [Record(None, b"k")])
        said = finished(kafka, "topics", "dedupe", source, target)
        assert "13 rows read, 9 written, 4 repeats left out, 5 without event_uid passed on" in said
        assert [m.value() for m in received(kafka, target)] == [
            *(windows[at] for at in (0, 1, 4)),
            row(2),
            *foreign,
            None,
        ]
        send(kafka, source, [Record(windows[1], b"k"), Record(row(1, generation=0, count=4), b"k")])
        assert "2 rows read, 1 written, 1 repeats left out" in finished(kafka, "topics", "dedupe", source, target)
        another_group = finished(kafka, "topics", "dedupe", source, target, "--group_id", f"{source}_again")
        assert "15 rows read, 5 written, 10 repeats" in another_group  # foreign records have no id to know them by


def test_a_second_instance_shuts_the_first_out(kafka: str) -> None:
    with topics(kafka, "in", "out") as (source, target):
        command = ("topics", "dedupe", source, target, "--follow", "--quiet")
        send(kafka, source, [Record(row(n)) for n in range(100)])
        with running(kafka, *command) as first:
            eventually(lambda: len(written_rows(kafka, target)) == 100)
            with running(kafka, *command) as second:
                send(kafka, source, [Record(row(n)) for n in range(100)])
                eventually(lambda: sum(committed(kafka, f"huntbeam-dedupe:{source}:{target}", source)) == 200)
                numbers = iter(range(100, 10_000))

                def shut_out() -> bool:
                    send(kafka, source, [Record(row(next(numbers)))])
                    return first.poll() is not None

                eventually(shut_out)
                _, said = first.communicate()
                assert (first.returncode, said.count("\n")) == (1, 1), said
                assert "took over" in said
                last = next(numbers)
                send(kafka, source, [Record(row(last))] * 2)
                eventually(lambda: row(last) in written_rows(kafka, target))
                second.send_signal(signal.SIGTERM)
                _, said = second.communicate(timeout=60)
                assert (second.returncode, said) == (0, "")
        rows = written_rows(kafka, target)
        assert len(rows) == len(set(rows))


def written_rows(kafka: str, topic: str) -> list[bytes | None]:
    return [message.value() for message in received(kafka, topic)] if written(kafka, topic) else []


def test_a_topic_or_a_broker_that_is_not_there_is_one_sentence(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    for servers, said in ((kafka, "there is no topic t_nowhere"), ("127.0.0.1:1", "no Kafka broker answers")):
        assert main(["topics", "dedupe", "t_nowhere", "t_out", "--bootstrap_servers", servers]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert said in err
