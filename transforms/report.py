"""What a run has to report: the files it wrote, what it counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PAIRS = 10_000  # (provider, event id) pairs counted by name; an attacker chooses both
OTHER = ("other", None)

EventCount = tuple[str | None, str | int | None, int]  # provider, event id, events


class WrittenFile(msgspec.Struct, frozen=True):
    """A finished file aside."""

    stream: str
    path: str
    rows: int
    bytes: int


class ReportPart(msgspec.Struct, frozen=True):
    """A part of what a run has to report; merge() makes one of two."""

    files: list[WrittenFile] = []
    tallies: dict[str, int] = {}
    events: list[EventCount] = []


def merge(*parts: ReportPart) -> ReportPart:
    """One report of any number, commutative and associative; lists come out sorted.

    Of the (provider, event id) pairs the first 10,000 in sort order keep their counts, the rest is counted as
    ("other", None). By sort order, and not by count, because only then no order of merging changes the result.
    """
    files = sorted((file for part in parts for file in part.files), key=lambda file: (file.stream, file.path))
    tallies: dict[str, int] = {}
    for part in parts:
        for name, count in part.tallies.items():
            tallies[name] = tallies.get(name, 0) + count
    return ReportPart(files, dict(sorted(tallies.items())), _merge_events(part.events for part in parts))


def _merge_events(lists: Iterable[list[EventCount]]) -> list[EventCount]:
    counts: dict[tuple[str | None, str | int | None], int] = {}
    for events in lists:
        for provider, event_id, count in events:
            counts[provider, event_id] = counts.get((provider, event_id), 0) + count
    other = counts.pop(OTHER, 0)
    pairs = sorted(counts, key=_pair_order)
    other += sum(counts[pair] for pair in pairs[PAIRS:])
    merged: list[EventCount] = [(*pair, counts[pair]) for pair in pairs[:PAIRS]]
    return [*merged, (*OTHER, other)] if other else merged


def _pair_order(pair: tuple[str | None, str | int | None]) -> tuple[object, ...]:
    """Total over mixed types: text by provider, then numbers before text before null."""
    provider, event_id = pair
    if event_id is None:
        return provider is None, provider or "", 2
    return provider is None, provider or "", isinstance(event_id, str), event_id
