"""What few steps ask of a record besides its event data: the level, the rendered message, UserData, unnamed data."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from huntbeam.schemas.envelope import NULL, Winlog, decode_part
from huntbeam.schemas.values import Json, first
from huntbeam.schemas.winlog import WinlogEvent


class More(NamedTuple):
    """The values as they stand; null where the record has none."""

    level: Json  # a word or a number
    message: Json
    user_data: Json
    unnamed: Json  # the values of event data without names, where a converter keeps them apart


def more(event: WinlogEvent) -> More:
    """What the record holds, whatever its shape. Never fails: what cannot be read is not there."""
    envelope = event.envelope
    if envelope is None:
        return More(None, None, None, None)
    element = _read(envelope.Event)
    bare = _dig(element, "EventData", "Data")
    return More(
        first(
            _dig(element, "System", "Level"),
            envelope.Level,
            envelope.level,
            _dig(_read(envelope.log), "level"),
            envelope.Severity,
        ),
        first(_read(envelope.message), _read(envelope.Message), _dig(element, "RenderingInfo", "Message")),
        first(
            _read(envelope.winlog.user_data) if isinstance(envelope.winlog, Winlog) else None,
            _read(envelope.user_data),
            _dig(element, "UserData"),
        ),
        bare.get("#text") if isinstance(bare, dict) else bare,
    )


def _read(raw: msgspec.Raw) -> Json:
    if raw is NULL:
        return None
    try:
        return decode_part(msgspec.json.decode, raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _dig(value: Json, *path: str) -> Json:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
