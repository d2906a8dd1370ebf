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
