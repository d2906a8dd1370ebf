"""Baselines of rarity: counting, the file, and what does not run without one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.anomaly import Beacon, Prevalence, Rare, Severity
from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.anomaly import baseline
from huntbeam.transforms.anomaly.baseline import baseline_lines
from huntbeam.transforms.anomaly.evaluate import CounterKey, row_key
from huntbeam.transforms.anomaly.rarity import (
    Baseline,
    BaselineError,
    BaselineFile,
    rare_key,
    read_baseline,
    runnable,
)
from huntbeam.transforms.windows import Value
from tests.transforms.anomaly.test_evaluate import row

RARE = Rare(id="r", name="A rare program", severity=Severity.LOW, counter="network_destination")
COUNTER = Counter(name="network_destination", event_id=3, key=("host", "dst_port", "user_account"))
SIZE = 300_000
BEACON = Beacon(id="b", name="A beacon", severity=Severity.LOW)


def of(user: str | None = "LAB\\ada", port: Value = 443, host: str | None = "WS-7", window: int = 0) -> WindowCount:
    return msgspec.structs.replace(row(window, 3), key={"host": host, "dst_port": port, "user_account": user})


rows = st.lists(
    st.builds(
        of,
        st.sampled_from([None, "", "ada", "ADA", "grace", "a\nb"]),
        st.sampled_from([443, "443", None]),
        st.sampled_from(["ws-7", "WS-7", "ws-8", None]),
        st.integers(0, 3),
    ),
    max_size=20,
)


def saved(folder: Path, found: list[WindowCount]) -> Path:
    path = folder / "baseline.ndjson"
    path.write_bytes(b"".join(baseline_lines(found)))
    return path


@given(rows, st.randoms(use_true_random=False))
def test_a_baseline_counts_keys_without_host_and_case(
    tmp_path_factory: pytest.TempPathFactory, found: list[WindowCount], random: Any
) -> None:
    lines = list(baseline_lines(found))
    known = read_baseline(saved(tmp_path_factory.mktemp("b"), found))
    for one in found:
        like = [other for other in found if rare_key(row_key(other)) == rare_key(row_key(one))]
        assert known.prevalence(row_key(one), Prevalence.COUNT) == sum(other.count for other in like)
        windows = {other.window_start for other in like}
        assert known.prevalence(row_key(one), Prevalence.WINDOWS) == len(windows)
        hosts = {str(other.key["host"]).lower() for other in like if other.key["host"]}
        assert known.prevalence(row_key(one), Prevalence.HOSTS) == len(hosts)
    random.shuffle(found)
    assert list(baseline_lines(found)) == lines


def test_keys_are_compared_as_text_without_case() -> None:
    assert rare_key(row_key(of("LAB\\ada", 443))) == rare_key(row_key(of("lab\\ADA", "443", "ws-9")))
    assert rare_key(row_key(of(None))) != rare_key(row_key(of("x")))


def test_an_unknown_key_is_known_nowhere() -> None:
    key = CounterKey("network_destination", ("host", "dst_port"), ("ws-7", 80))
    assert {Baseline({}).prevalence(key, measure) for measure in Prevalence} == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-1], "is no baseline after key 1"),
        (lambda raw: raw[: raw[:-1].rindex(b"\n") + 1], "has 1 of its 2 keys"),
        (lambda raw: raw + b"{}\n", "is no baseline after key 2"),
        (lambda raw: raw.replace(b'baseline":1', b'baseline":2'), "another version"),
        (lambda raw: b"", "is no baseline after key 0"),
        (lambda raw: b"[" * 100_000 + b"\n", "is no baseline after key 0"),
        (lambda raw: raw.replace(b"ada", b"\xff"), "is no baseline after key 0"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = saved(tmp_path, [of("ada"), of("grace")])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BaselineError, match=message) as refused:
        read_baseline(path)
    assert str(refused.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="cannot be read"):
        read_baseline(tmp_path / "missing")


def test_a_baseline_has_a_bounded_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "KEYS", 2)
    assert len(list(baseline_lines([of("a"), of("b"), of("A")]))) == 3
    with pytest.raises(BaselineError, match="at most 2 keys"):
        list(baseline_lines([of("a"), of("b"), of("c")]))


def test_a_baseline_has_a_bounded_number_of_windows_and_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "SIGHTINGS", 3)
    assert len(list(baseline_lines([of(host=f"ws-{n}") for n in range(4)]))) == 2
    with pytest.raises(BaselineError, match="more than 3 hosts"):
        list(baseline_lines([of(host=f"ws-{n}") for n in range(5)]))


def test_a_baseline_has_windows_of_one_size() -> None:
    other = msgspec.structs.replace(of(), window_end="2026-03-04T07:00:00.000Z")
    with pytest.raises(BaselineError, match="windows of 300 and of"):
        list(baseline_lines([of(), other]))


def test_without_a_baseline_a_rule_says_that_it_does_not_run() -> None:
    run, messages = runnable([RARE, BEACON], None, [COUNTER], SIZE)
    assert run == [BEACON]
    assert messages == [
        "rule 'A rare program' does not run: it is judged against a baseline, and there is none "
        "(--baseline FILE, which `huntbeam baseline` makes)"
    ]


def test_a_baseline_made_with_other_counters_says_so() -> None:
    run, messages = runnable([RARE, BEACON], Baseline({}), [COUNTER], SIZE)
    assert run == [BEACON]
    assert "has no rows of the counter network_destination" in messages[0]
    known = Baseline({rare_key(row_key(of())): (1, 1, 1)}, SIZE)
    assert runnable([RARE, BEACON], known, [COUNTER], SIZE) == ([RARE, BEACON], [])
    other = msgspec.structs.replace(COUNTER, key=("host", "process_path"))
    run, messages = runnable([RARE, BEACON], known, [other], SIZE)
    assert run == [BEACON]
    assert "by dst_port, user_account and not by process_path" in messages[0]


def test_windows_of_another_size_are_no_measure() -> None:
    known = Baseline({rare_key(row_key(of())): (1, 1, 1)}, SIZE)
    by_windows = msgspec.structs.replace(RARE, prevalence=Prevalence.WINDOWS)
    assert runnable([by_windows], known, [COUNTER], SIZE)[0] == [by_windows]
    assert runnable([by_windows, RARE], known, [COUNTER], 2 * SIZE)[0] == [RARE]


def test_what_travels_to_workers_is_the_path(tmp_path: Path) -> None:
    file = BaselineFile(str(saved(tmp_path, [of("ada")])))
    packed = pickle.dumps(file)
    assert len(packed) < 300 + len(str(tmp_path))
    sent = pickle.loads(packed)  # noqa: S301  # as Beam does
    assert sent.load() is file.load()
    assert sent.prevalence(row_key(of("ada")), Prevalence.HOSTS) == 1
    saved(tmp_path, [of("ada"), of("ada", host="ws-8")])
    assert file.load().prevalence(row_key(of("ada")), Prevalence.HOSTS) == 1
    assert file.read_again().prevalence(row_key(of("ada")), Prevalence.HOSTS) == 2
