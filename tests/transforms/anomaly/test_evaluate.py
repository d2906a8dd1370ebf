"""Anomalies in window rows: against the text, word by word, and against the statistics of the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import Anomaly, Deviation, Method, Ratio, Severity, Threshold
from huntbeam.schemas.arrow import record_batch
from huntbeam.schemas.avro import avro_record, avro_schema
from huntbeam.schemas.clock import MINUTE, instant, millis
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.evaluate import WindowRule, evaluate, evaluate_all
from tests.conftest import examples

SIZE = 5 * MINUTE
NOON = 1_800_000_000_000


def row(
    number: int,
    count: int = 1,
    ports: int = 0,
    host: str = "WS-7",
    generation: int | None = None,
    counter: str = "network_destination",
) -> WindowCount:
    """A row of the window of that number; its first event comes `count` ms after the start."""
    start = NOON + number * SIZE
    return WindowCount(
        counter=counter,
        window_start=instant(start),
        window_end=instant(start + SIZE),
        key={"host": host, "dst_port": 443, "user_account": None},
        count=count,
        distinct={"src_port": ports},
        distinct_capped=False,
        first_seen=instant(start + count % SIZE),
        last_seen=instant(start + SIZE - 1),
        generation=generation,
        late_count=0,
        event_uid=uid.window(counter, SIZE, instant(start), (host.lower(), 443, None)),
        sums={"out": 3 * count, "in": 5 * ports},
    )


def ratio(above: float = 1, at_least: int = 0) -> Ratio:
    return Ratio(
        id="r-1",
        name="Out",
        severity=Severity.LOW,
        counter="network_destination",
        measure="sum.out",
        by="sum.in",
        above=above,
        at_least=at_least,
    )


def threshold(above: float = 5, **others: Any) -> Threshold:
    return Threshold(id="t-1", name="Many", severity=Severity.LOW, counter="network_destination", above=above, **others)


def deviation(method: Method = Method.MEAN_STDDEV, factor: float = 2, min_history: int = 1, **others: Any) -> Deviation:
    return Deviation(
        id="d-1",
        name="More than usual",
        severity=Severity.HIGH,
        tags=("attack.t1046",),
        text="Look at it.",
        counter="network_destination",
        method=method,
        factor=factor,
        min_history=min_history,
        **others,
    )


# What the text says ---------------------------------------------------------------------------------------------------


Told = list[tuple[str, float | None, float | None, int | None]]


def naive(rule: WindowRule, rows: Sequence[WindowCount]) -> Told:
    """Every final row: host and number of the window, its value, what was usual, and the history."""
    measure = rule.measure.removeprefix("distinct.").removeprefix("sum.")
    final: dict[tuple[str, int], dict[int | None, WindowCount]] = {}
    for one in rows:
        number = (millis(one.window_start) - NOON) // SIZE
        copies = final.setdefault((str(one.key["host"]).lower(), number), {})
        known = copies.get(one.generation)
        if known is None or (one.count, one.distinct["src_port"]) > (known.count, known.distinct["src_port"]):
            copies[one.generation] = one
    if isinstance(rule, Ratio):
        added: Told = []
        for (host, number), copies in final.items():
            out, into = (sum((c.sums or {})[name] for c in copies.values()) for name in ("out", "in"))
            if out > rule.above * into and out >= rule.at_least:
                added.append((f"{host} {number}", out / into if into else None, rule.above, None))
        return sorted(added, key=str)
    values = {
        place: sum(c.count for c in copies.values())
        if rule.measure == "count"
        else sum((c.sums or {})[measure] for c in copies.values())
        if rule.measure.startswith("sum.")
        else max(c.distinct[measure] for c in copies.values())
        for place, copies in final.items()
    }
    found: Told = []
    for (host, number), value in values.items():
        if isinstance(rule, Threshold):
            if value > rule.above:
                found.append((f"{host} {number}", float(value), rule.above, None))
            continue
        before = [values.get((host, n)) for n in range(number - rule.windows, number)]
        while before and before[0] is None:
            before.pop(0)  # not seen yet
        past = [value or 0 for value in before]
        history = sum(value > 0 for value in past)
        if history < rule.min_history:
            continue
        if rule.method is Method.MEAN_STDDEV:
            expected, unit = statistics.mean(past), statistics.pstdev(past)
        else:
            expected = statistics.median(past)
            unit = 1.4826 * statistics.median(abs(value - expected) for value in past)
        if value > expected + rule.factor * unit and value > rule.above:
            found.append((f"{host} {number}", float(value), float(expected), history))
    return sorted(found, key=str)


def told(anomalies: Sequence[Anomaly]) -> Told:
    found = (
        (f"{a.key['host']} {(millis(a.window_start or '') - NOON) // SIZE}", a.value, a.expected, a.history)
        for a in anomalies
    )
    return sorted(found, key=str)


counts = st.sampled_from([1, 1, 1, 2, 2, 3, 10, 2**40])


@st.composite
def rows(draw: st.DrawFn) -> list[WindowCount]:
    numbers = st.integers(0, 12) | st.sampled_from([-8640, -8639, 8640])
    made = st.builds(
        row,
        numbers,
        counts,
        st.integers(0, 3),
        st.sampled_from(["ws-7", "WS-7", "ws-8"]),
        st.sampled_from([None, None, 0, 1]),
    )
    return draw(st.lists(made, max_size=30))


# Factors that no deviation hits exactly: there a comparison of floats is a matter of rounding.
measures = st.sampled_from(["count", "distinct.src_port", "sum.out"])
ratios = st.builds(ratio, st.sampled_from([0.5, 0.6, 1, 1.2]), st.sampled_from([0, 4, 30]))
rules = (
    st.builds(threshold, st.sampled_from([0, 1, 2.5, 9]), measure=measures)
    | ratios
    | st.builds(
        deviation,
        st.sampled_from(Method),
        st.sampled_from([0.1234567, 0.7654321, 2.7182818]),
        st.integers(1, 4),
        measure=measures,
        windows=st.sampled_from([4, 6, 288]),
        above=st.sampled_from([0.0, 2.0]),
    )
)


@settings(max_examples=examples(400), deadline=None)
@given(rows(), rules, st.randoms(use_true_random=False))
def test_anomalies_are_what_the_text_says_in_any_order(found: list[WindowCount], rule: WindowRule, random: Any) -> None:
    expected = naive(rule, found)
    random.shuffle(found)
    shown = told(list(evaluate_all([rule], [*found, row(3, 10**9, counter="other")], SIZE)))
    assert [place for place, *_ in shown] == [place for place, *_ in expected]
    for (_, value, usual, history), (_, naive_value, naive_usual, naive_history) in zip(shown, expected, strict=True):
        assert (value, history) == (naive_value, naive_history)
        assert usual == pytest.approx(naive_usual)


@given(rows(), rules)
def test_one_row_against_its_past_is_what_replay_finds(found: list[WindowCount], rule: WindowRule) -> None:
    found = [msgspec.structs.replace(one, generation=None) for one in found]
    best: dict[str, WindowCount] = {}
    for one in sorted(found, key=lambda one: (one.count, one.distinct["src_port"], one.first_seen)):
        best[one.event_uid] = one
    final = list(best.values())
    single = [evaluate(rule, one, found, SIZE) for one in final]
    by_uid = sorted((one for one in single if one is not None), key=lambda one: one.event_uid)
    assert by_uid == sorted(evaluate_all([rule], final, SIZE), key=lambda one: one.event_uid)


# Examples -------------------------------------------------------------------------------------------------------------


def test_every_column() -> None:
    (found,) = evaluate_all([deviation(min_history=2)], [row(0, 4), row(1, 6), row(2, 20, host="ws-7")], SIZE)
    assert found == Anomaly(
        time=instant(NOON + 2 * SIZE + 20),
        event_uid=uid.digest("a1", "d-1", row(2).event_uid),
        revision=0,
        retracted=False,
        rule_id="d-1",
        title="More than usual",
        severity="high",
        attack=["attack.t1046"],
        text="Look at it.",
        kind="deviation",
        counter="network_destination",
        window_start=instant(NOON + 2 * SIZE),
        window_end=instant(NOON + 3 * SIZE),
        key={"host": "ws-7", "dst_port": 443, "user_account": None},
        measure="count",
        value=20,
        expected=5.0,
        deviation=15.0,
        history=2,
    )


def test_a_threshold_is_exceeded_not_reached() -> None:
    assert [a.value for a in evaluate_all([threshold(5)], [row(0, 5), row(1, 6)], SIZE)] == [6]


@pytest.mark.parametrize(
    ("count", "ports", "above", "at_least", "value"),
    [(2, 1, 1.2, 0, None), (2, 1, 1, 6, 1.2), (2, 1, 1, 7, None), (1, 0, 1, 0, "by nothing"), (0, 0, 1, 0, None)],
)
def test_a_ratio_is_exceeded_and_the_measure_reached(
    count: int, ports: int, above: float, at_least: int, value: object
) -> None:
    found = list(evaluate_all([ratio(above, at_least)], [row(0, count, ports)], SIZE))
    assert [one.value for one in found] == ([] if value is None else [None if value == "by nothing" else value])
    assert {one.measure for one in found} <= {"sum.out/sum.in"}


def test_absent_windows_count_zero_once_the_key_was_seen() -> None:
    """Seen 4 windows before with 4, then not: 1 on average."""
    (found,) = evaluate_all([deviation(factor=0.1)], [row(0, 4), row(4, 9)], SIZE)
    assert (found.expected, found.history) == (1.0, 1)


def test_a_window_further_back_is_none_of_the_baseline() -> None:
    rule = deviation(windows=4, min_history=2)
    past = [row(0), row(1)]
    assert len(list(evaluate_all([rule], [*past, row(4, 9)], SIZE))) == 1
    assert len(list(evaluate_all([rule], [*past, row(5, 9)], SIZE))) == 0


def test_what_never_varied_deviates_by_no_number() -> None:
    for method in Method:
        (found,) = evaluate_all([deviation(method)], [row(0, 3), row(1, 3), row(2, 4)], SIZE)
        assert (found.expected, found.deviation) == (3.0, None)


def test_an_anomaly_is_a_row_of_every_format() -> None:
    (found,) = evaluate_all([deviation(min_history=2)], [row(0, 4), row(1, 6), row(2, 20)], SIZE)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Anomaly) == found
    (shown,) = record_batch([found], Anomaly).to_pylist()
    assert (shown["value"], shown["attack"], dict(shown["key"])["dst_port"]) == (20.0, ["attack.t1046"], "443")
    assert avro_record(found)["expected"] == 5.0
    assert ["null", "double"] in [field["type"] for field in avro_schema(Anomaly)["fields"]]
