"""Clocks: reading the times that records carry, and which of them is the event's.

Times in rows are text (RFC 3339, UTC, milliseconds): they sort as they stand and need no formatting on the way out.
Arithmetic is done on integer milliseconds since 1970.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DRIFT = HOUR  # nearer than this, UtcTime and the record's own time agree well enough
ZONE_STEP = 15 * MINUTE  # every time zone's offset is a multiple of it
ZONE_REACH = 16 * HOUR
ZONE_TOLERANCE = 2 * MINUTE

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999: what every format can write

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventTime(StrEnum):
    """Which clock is the event's: Sysmon's own, the record's, or the one that `auto` trusts."""

    UTC_TIME = "utc_time"
    TIMESTAMP = "timestamp"
    AUTO = "auto"


class Reading(NamedTuple):
    """Both clocks of a record, read: the chosen time in ms, which clock gave it, and UtcTime minus the record's own."""

    millis: int | None
    source: EventTime | None
    skew_ms: int | None


def read_clocks(mode: EventTime, utc_time: str | None, own_time: str | int | None) -> Reading:
    """Chooses the event time (docs/semantics.md, rule 1). An unreadable time counts as missing."""
    utc = parse_time(utc_time)
    own = parse_time(own_time)
    skew = utc - own if utc is not None and own is not None else None
    source = mode
    if mode is EventTime.AUTO:
        source = EventTime.TIMESTAMP if utc is None or (skew is not None and is_drift(skew)) else EventTime.UTC_TIME
    millis = utc if source is EventTime.UTC_TIME else own
    return Reading(millis, source if millis is not None else None, skew)


def is_drift(skew_ms: int) -> bool:
    """Whether UtcTime drifted, rather than the record's own time being local time in UTC's clothes.

    >>> is_drift(-982_003_000), is_drift(4 * HOUR + 900), is_drift(97_000)
    (True, False, False)
    """
    distance = abs(skew_ms)
    if distance <= DRIFT:
        return False
    beside_step = min(distance % ZONE_STEP, -distance % ZONE_STEP)
    return not (distance <= ZONE_REACH + ZONE_TOLERANCE and beside_step <= ZONE_TOLERANCE)


def parse_time(value: str | int | None) -> int | None:
    """Milliseconds since 1970 of a time as written: `2019-05-18 20:36:50.123`, RFC 3339, or a number of milliseconds.

    A time without a zone is UTC. Returns None for what is no time. Finer parts than a millisecond are cut off.
    """
    if isinstance(value, int):
        return value if 0 <= value <= LAST else None
    if not value:
        return None
    if 23 <= len(value) <= 24 and value[16] == ":" and value[19] == "." and value[23:] in ("", "Z"):
        return _millis_of_minute(value)  # as Sysmon and Winlogbeat write it: most times share their minute
    return _parse(value)


def _millis_of_minute(value: str) -> int | None:
    minute, rest = _minute(value[:16]), value[17:19] + value[20:23]
    if minute is None or not (rest.isdecimal() and rest.isascii()) or rest > "59999":
        return None
    return minute + int(rest)


@lru_cache(maxsize=65_536)
def _minute(prefix: str) -> int | None:
    return _parse(prefix + ":00")


def _parse(value: str) -> int | None:
    match = _TIME.fullmatch(value.strip()) if len(value) < 64 else None
    if match is None:
        return None
    date, hours, minutes, seconds, fraction, zone = match.groups()
    days, offset = _days(date), _offset(zone)
    if days is None or offset is None or hours > "23" or minutes > "59" or seconds > "59":
        return None
    clock = int(hours) * HOUR + int(minutes) * MINUTE + int(seconds) * SECOND + int((fraction or "0")[:3].ljust(3, "0"))
    millis = days * DAY + clock - offset
    return millis if FIRST <= millis <= LAST else None


@lru_cache(maxsize=4096)
def _days(date: str) -> int | None:
    try:
        return datetime.strptime(date, "%Y-%m-%d").toordinal() - _EPOCH.toordinal()
    except ValueError:
        return None


def _offset(zone: str | None) -> int | None:
    if zone is None or zone in ("Z", "z") or zone.upper() == "UTC":
        return 0
    if zone[1:3] > "23" or zone[-2:] > "59":
        return None
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(zone[1:3]) * HOUR + int(zone[-2:]) * MINUTE)


def instant(millis: int) -> str:
    """The text of a time in rows. What lies beyond the years 1 to 9999, as the edge of a window may, is their edge.

    >>> instant(1_558_211_810_123)
    '2019-05-18T20:36:50.123Z'
    """
    minute, rest = divmod(min(max(millis, FIRST), LAST), MINUTE)
    return f"{_minute_text(minute)}:{rest // SECOND:02}.{rest % SECOND:03}Z"


@lru_cache(maxsize=65_536)
def _minute_text(minute: int) -> str:
    return (_EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M").rjust(16, "0")


def millis(text: str) -> int:
    """Milliseconds of a time as rows hold it; the inverse of instant()."""
    value = parse_time(text)
    if value is None:
        raise ValueError(f"not a time: {text!r}")
    return value


_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as `500ms`, `30s`, `5m`, `1h`, `7d`. Raises ValueError otherwise.

    >>> parse_duration("5m")
    300000
    """
    match = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)", text.strip(), re.ASCII)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no duration; write a number and ms, s, m, h or d, such as 5m")
    return int(match[1]) * _UNITS[match[2]]
