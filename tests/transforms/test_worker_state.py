"""The cheap scale weighs what our states are about as Beam's own does, and is the one that is used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apache_beam.runners.worker import statecache

from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.join_unbounded import JoinKeyFn
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.worker_state import ENTRY, prepare_worker, weight

BEAMS_OWN = statecache.get_deep_size  # tests are collected before any of them replaces it


@pytest.fixture(autouse=True)
def beams_own() -> Iterator[None]:
    statecache.get_deep_size = BEAMS_OWN
    yield
    statecache.get_deep_size = BEAMS_OWN


@pytest.mark.parametrize("value", [7, b"x" * 700, [(1, 2, b"row" * 300)] * 3, {"a": [1.5, None]}, []])
def test_it_weighs_about_as_beams_own(value: object) -> None:
    assert 0.5 < (weight(value) - ENTRY) / BEAMS_OWN(value) < 4


def test_what_the_cache_may_measure_itself_is_asked() -> None:
    class Pages(statecache.CacheAware):
        def get_referents_for_cache(self) -> list[bytes]:
            return [b"x" * 10_000]

    assert weight(Pages()) > 10_000


def test_a_worker_of_the_join_uses_it() -> None:
    JoinKeyFn(JoinKind.INNER, Waits()).setup()
    assert statecache.get_deep_size is weight


def test_another_beam_without_such_a_scale_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(statecache, "get_deep_size")
    prepare_worker("known")
    assert not hasattr(statecache, "get_deep_size")
