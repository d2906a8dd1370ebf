"""Deterministic ids (docs/semantics.md, rules 4 and 5): equal content, equal id, on every run and runner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec

_encode = msgspec.json.Encoder().encode


def digest(*parts: object) -> str:
    """H of rule 4: the first 32 hex digits of SHA-256 over the compact JSON array of the parts."""
    return sha256(_encode(parts)).hexdigest()[:32]


def event(
    host: str | None,
    provider: str | None,
    channel: str | None,
    event_id: int,
    record_id: int | str | None,
    own_time: str | int | None,
    fields: Mapping[str, str],
) -> str:
    """The id of an event; `fields` is its event data as text, without null and empty values, GUIDs canonical."""
    return digest(
        "e1", host.lower() if host else host, provider, channel, event_id, record_id, own_time, sorted(fields.items())
    )


def joined(connect_uid: str) -> str:
    """The id of a join row hangs on its connect alone, so that a better create replaces a worse."""
    return digest("j1", connect_uid)


def unmatched(connect_uid: str) -> str:
    """The id of a connect's row in sysmon_unmatched."""
    return digest("u1", connect_uid)


def window(counter: str, size_ms: int, window_start: str, key: Iterable[object]) -> str:
    """The id of a window's row; a host in the key is lower case."""
    return digest("w1", counter, size_ms, window_start, list(key))


def dead_letter(raw_sha256: str, step: str, error_class: str) -> str:
    """The id of a dead letter."""
    return digest("d1", raw_sha256, step, error_class)


def alert(rule_id: str, event_uid: str) -> str:
    """The id of what a rule finds in an event."""
    return digest("m1", rule_id, event_uid)


def correlation(rule_id: str, group: Iterable[object], first_uid: str) -> str:
    """The id of a correlation's alert; `first_uid` is the first event of its run that satisfied the condition."""
    return digest("c1", rule_id, list(group), first_uid)


def anomaly(rule_id: str, window_uid: str) -> str:
    """The id of what a rule finds in a window's row."""
    return digest("a1", rule_id, window_uid)


def first_seen(rule_id: str, key: Iterable[object]) -> str:
    """The id of a key's first sighting; a host in the key is lower case."""
    return digest("f1", rule_id, list(key))


def rare(rule_id: str, key: Iterable[object]) -> str:
    """The id of a key that is rare by the baseline; a host in the key is lower case."""
    return digest("r1", rule_id, list(key))


def beacon(rule_id: str, window_start: str, key: Iterable[object]) -> str:
    """The id of an hour of regular connects; a host in the key is lower case."""
    return digest("b1", rule_id, window_start, list(key))


def monster(cells: Iterable[str]) -> str:
    """The id of Monster Agent's document: its columns as they came, whatever order they are read in."""
    return digest("ma1", list(cells))
