"""keyed_log.py's wiring with a core that says what it is given, against the runner in miniature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.util import assert_that
from apache_beam.transforms.userstate import get_dofn_specs
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog
from huntbeam.transforms.keyed_log_beam import EvaluateKeyed, KeyedLogFn
from huntbeam.transforms.state import Versioned
from tests.transforms.keyed import NOON, Brought, Driver, stream

WAIT = 10


class Place(NamedTuple):
    """A key."""

    name: str
    number: int | None


class Thing(msgspec.Struct, frozen=True, array_like=True):
    """An item."""

    a: int
    text: str


class Sum(msgspec.Struct, array_like=True):
    """All that was brought so far."""

    texts: list[str] = []


class Said(msgspec.Struct, frozen=True):
    """A row: what a key has when it is evaluated."""

    place: Place
    now: int
    texts: list[str]


ENTRY: Versioned[Entry[Sum, Thing]] = Versioned(1, Entry[Sum, Thing])


class SumCore(msgspec.Struct, frozen=True):
    """keyed_log.Core that sums up; a key is forgotten a while after it was evaluated."""

    wait: int = WAIT
    most: int = 1_000

    def log(self) -> KeyedLog[Place, Sum, Thing, Said]:
        return KeyedLog(self, ENTRY)

    def evaluate(self, key: Place, state: Sum | None, brought: list[Thing], now: int) -> Evaluation[Said, Sum]:
        if not brought:
            return Evaluation([], None)
        texts = sorted({*(state or Sum()).texts, *(one.text for one in brought)})
        return Evaluation([Said(key, now, texts)] * 2, Sum(texts), len(texts), now + 3 * WAIT)

    def shrink(self, key: Place, state: Sum | None, brought: list[Thing]) -> tuple[Evaluation[Said, Sum], list[Thing]]:
        raise AssertionError("these are few")


class SumFn(KeyedLogFn, timer="sum_due", key=Place):
    """Of SumCore."""


class OtherFn(KeyedLogFn, timer="other_due", key=Place):
    """The same under another name."""


def places(a: int, text: str) -> Iterator[tuple[Place, Thing]]:
    """A text concerns two keys, one of which it shares with many."""
    yield Place("all", None), Thing(a, text)
    yield Place(text[:1], len(text)), Thing(a, text)


came = st.lists(st.tuples(st.integers(0, 100), st.text("ab", max_size=3)), max_size=30)
few = settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@few
@given(came)
def test_rows_and_their_times_are_those_of_the_log(found: list[tuple[int, str]]) -> None:
    core = SumCore()
    brought = [Brought(key, item) for a, text in found for key, item in places(NOON + a, text)]
    expected = [(out.at, *msgspec.structs.astuple(out.row)) for out in stream(Driver(core.log()), brought).out]

    def check(rows: list[tuple[int, Said]]) -> None:
        assert sorted((at, *msgspec.structs.astuple(row)) for at, row in rows) == sorted(expected)

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        texts = pipeline | beam.Create([(NOON + a, [text]) for a, text in found], reshuffle=False)
        at = texts | beam.MapTuple(lambda a, b: TimestampedValue(b, timestamp(a))).with_output_types(Batch)
        batches = at | "Sum" >> EvaluateKeyed(core, places, SumFn)
        told = batches | beam.FlatMap(lambda b, at=beam.DoFn.TimestampParam: [(millis(at), one) for one in b])
        assert_that(told, check)


@pytest.mark.parametrize(("step", "name"), [(SumFn, "sum_due"), (OtherFn, "other_due")])
def test_each_step_has_a_timer_of_its_own(step: type[KeyedLogFn], name: str) -> None:
    states, timers = get_dofn_specs(step(SumCore()))
    assert {state.name for state in states} == {"head", "log"}
    assert [timer.name.removeprefix("ts-") for timer in timers] == [name]  # Beam's own prefix
