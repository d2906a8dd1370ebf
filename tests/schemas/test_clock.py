"""Clocks: every spelling of a time that records carry, and which of two clocks is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.clock import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    ZONE_STEP,
    EventTime,
    Reading,
    instant,
    is_drift,
    millis,
    parse_duration,
    parse_time,
    read_clocks,
)

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999
AT = 1_772_600_767_089
MOMENTS = st.integers(FIRST, LAST)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-04 05:06:07.089",
        "2026-03-04T05:06:07.089Z",
        "2026-03-04t05:06:07.089z",
        "2026-03-04T05:06:07,089Z",
        "2026-03-04T05:06:07.0890000Z",
        "2026-03-04T05:06:07.089999999Z",  # finer parts are cut off, never rounded up
        "2026-03-04T07:06:07.089+02:00",
        "2026-03-04T07:06:07.089+0200",
        "2026-03-03T23:36:07.089-05:30",
        "2026-03-04 05:06:07.089 UTC",
        "  2026-03-04 05:06:07.089\r\n",
        AT,
    ],
)
def test_one_moment_in_many_spellings(written: str | int) -> None:
    assert parse_time(written) == AT


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-03-04 05:06:07", "2026-03-04T05:06:07.000Z"),
        ("2026-03-04 05:06:07.5", "2026-03-04T05:06:07.500Z"),
        ("2026-03-04 05:06:07.05", "2026-03-04T05:06:07.050Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
    ],
)
def test_a_time_without_a_zone_is_utc_and_a_short_fraction_is_no_number_of_milliseconds(
    written: str, expected: str
) -> None:
    at = parse_time(written)
    assert at is not None
    assert instant(at) == expected


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "-",
        "never",
        "2026-03-04",
        "05:06:07",
        "2026-13-04 05:06:07",
        "2026-02-29 05:06:07",
        "0000-01-01 00:00:00",
        "2026-03-04 24:00:00",
        "2026-03-04 05:60:00",
        "2026-03-04 05:06:60",
        "2026-03-04 5:06:07",
        "04.03.2026 05:06:07",
        "2026-03-04T05:06:07.089Zulu",
        "2026-03-04T05:06:07+24:00",
        "2026-03-04T05:06:07+01:60",
        "2026-03-04T05:06:07.1234567890Z",
        "٢٠٢٦-03-04 05:06:07",  # digits that int() would read
        "2026-03-04 05:06:07\0",
        "0001-01-01T00:00:00+01:00",  # a moment before the year 1
        "9999-12-31T23:59:59-01:00",
        " " * 100 + "2026-03-04 05:06:07",
        -1,
        10**18,
        10**400,
    ],
)
def test_what_is_no_time(written: str | int | None) -> None:
    assert parse_time(written) is None


@given(MOMENTS)
def test_a_moment_survives_its_text(at: int) -> None:
    assert parse_time(instant(at)) == millis(instant(at)) == at


@given(MOMENTS)
def test_the_text_is_what_datetime_says(at: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    assert instant(at) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(MOMENTS, MOMENTS)
def test_texts_sort_as_their_moments(a: int, b: int) -> None:
    assert (instant(a) < instant(b)) == (a < b)


@given(MOMENTS, st.integers(-23, 23), st.integers(0, 59))
def test_an_offset_is_taken_off(at: int, hours: int, minutes: int) -> None:
    offset = (abs(hours) * HOUR + minutes * MINUTE) * (-1 if hours < 0 else 1)
    if FIRST <= at + offset <= LAST:
        sign = "-" if hours < 0 else "+"
        local = instant(at + offset).removesuffix("Z")
        assert parse_time(f"{local}{sign}{abs(hours):02}:{minutes:02}") == at


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")))
def test_no_text_raises_and_every_time_that_is_read_can_be_written(written: str) -> None:
    at = parse_time(written)
    assert at is None or FIRST <= at <= LAST
    if at is not None:
        assert millis(instant(at)) == at


def test_an_edge_beyond_the_last_year_is_its_last_moment() -> None:
    """The window of a record of 31 December 9999 ends in a year that no format can write."""
    assert instant(LAST + 1) == instant(LAST) == "9999-12-31T23:59:59.999Z"
    assert instant(FIRST - 1) == instant(FIRST) == "0001-01-01T00:00:00.000Z"
    assert instant(10**18) == instant(LAST)


def test_millis_refuses_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="not a time: 'soon'"):
        millis("soon")


# Which clock ------------------------------------------------------------------------------------------------------

UTC_TIME = "2026-03-04 05:06:07.089"


@pytest.mark.parametrize(
    ("skew_ms", "drift"),
    [
        (0, False),
        (97 * SECOND, False),
        (-113 * SECOND, False),
        (HOUR, False),  # exactly: still near enough
        (HOUR + 1, False),  # an hour is a zone
        (HOUR + 2 * MINUTE, False),
        (HOUR + 2 * MINUTE + 1, True),
        (HOUR + 7 * MINUTE, True),
        (4 * HOUR, False),
        (-4 * HOUR - 2 * MINUTE, False),
        (-4 * HOUR - 2 * MINUTE - 1, True),
        (5 * HOUR + 45 * MINUTE, False),  # Nepal
        (5 * HOUR + 43 * MINUTE, False),
        (5 * HOUR + 42 * MINUTE + 59 * SECOND, True),
        (16 * HOUR, False),
        (16 * HOUR + 2 * MINUTE, False),
        (16 * HOUR + 2 * MINUTE + 1, True),
        (16 * HOUR + 15 * MINUTE, True),  # further than any zone
        (DAY, True),
        (-982_003 * SECOND, True),
    ],
)
def test_drift_and_zone_errors_are_told_apart(skew_ms: int, drift: bool) -> None:
    assert is_drift(skew_ms) is drift
    assert is_drift(-skew_ms) is drift


@given(st.integers(-64, 64), st.integers(-2 * MINUTE, 2 * MINUTE))
def test_every_zone_error_is_none_of_drift(steps: int, off: int) -> None:
    assert not is_drift(steps * ZONE_STEP + off)


@given(st.integers(16 * HOUR + 2 * MINUTE + 1, 400 * DAY))
def test_beyond_every_zone_all_is_drift(skew_ms: int) -> None:
    assert is_drift(skew_ms)
    assert is_drift(-skew_ms)


@pytest.mark.parametrize(
    ("mode", "utc_time", "own", "source", "expected"),
    [
        ("utc_time", UTC_TIME, instant(AT + DAY), "utc_time", AT),
        ("utc_time", UTC_TIME, None, "utc_time", AT),
        ("utc_time", None, instant(AT), None, None),  # no other clock steps in unasked
        ("utc_time", "bad", instant(AT), None, None),
        ("timestamp", UTC_TIME, instant(AT + DAY), "timestamp", AT + DAY),
        ("timestamp", UTC_TIME, AT + DAY, "timestamp", AT + DAY),
        ("timestamp", UTC_TIME, None, None, None),
        ("timestamp", UTC_TIME, "bad", None, None),
        ("auto", UTC_TIME, instant(AT + DAY), "timestamp", AT + DAY),
        ("auto", UTC_TIME, instant(AT - 4 * HOUR), "utc_time", AT),
        ("auto", UTC_TIME, instant(AT + 300), "utc_time", AT),
        ("auto", UTC_TIME, None, "utc_time", AT),
        ("auto", UTC_TIME, "bad", "utc_time", AT),
        ("auto", None, instant(AT), "timestamp", AT),
        ("auto", "bad", instant(AT), "timestamp", AT),
        ("auto", None, None, None, None),
    ],
)
def test_the_clock_that_is_asked_for(
    mode: str, utc_time: str | None, own: str | int | None, source: str | None, expected: int | None
) -> None:
    reading = read_clocks(EventTime(mode), utc_time, own)
    assert (reading.millis, reading.source) == (expected, source)


@pytest.mark.parametrize("mode", list(EventTime))
def test_the_skew_is_utc_time_minus_the_records_own_in_every_mode(mode: EventTime) -> None:
    assert read_clocks(mode, UTC_TIME, instant(AT + 5)).skew_ms == -5
    assert read_clocks(mode, UTC_TIME, "bad").skew_ms is None
    assert read_clocks(mode, None, None) == Reading(None, None, None)


# Durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"), [("500ms", 500), ("30s", 30_000), ("5m", 300_000), (" 1h ", HOUR), ("7d", 7 * DAY)]
)
def test_durations(written: str, expected: int) -> None:
    assert parse_duration(written) == expected


@pytest.mark.parametrize("written", ["", "5", "m", "0m", "-5m", "1.5h", "5 m", "5M", "1w", "٥m", "1234567890s"])
def test_what_is_no_duration_is_said_with_the_remedy(written: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write a number and ms, s, m, h or d, such as 5m"):
        parse_duration(written)
