"""Rows as documents: index names by day, ids, versions; refused documents as dead letters."""

from __future__ import annotations

import base64
import json
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.clock import FIRST, LAST, instant
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.search import indexable
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.search_bulk import Document, Refused
from huntbeam.transforms.search_rows import DocumentMaker, check_prefix, refusal
from tests.transforms.test_topic_rows import empty

TODAY = date(2026, 11, 20)


def made(stream: str, prefix: str = "", today: date = TODAY, **values: Any) -> Document:
    return DocumentMaker(stream, prefix).document(empty(STREAMS[stream], **values), today)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-11-20T08:00:00.000Z", "2026.11.20"),
        ("2026-11-21T23:59:59.999Z", "2026.11.21"),
        ("2026-11-22T00:00:00.000Z", "outofrange"),
        ("2016-11-20T00:00:00.000Z", "2016.11.20"),
        ("2016-11-19T23:59:59.999Z", "outofrange"),
        ("1601-01-01T00:00:00.000Z", "outofrange"),
        ("9999-12-31T23:59:59.999Z", "outofrange"),
        (None, "outofrange"),
    ],
)
def test_the_day_of_the_event_names_the_index(time: str | None, day: str) -> None:
    assert made(streams.JOIN, event_date_creation=time).index == f"sysmon-join-{day}"
    assert made(streams.JOIN, "lab-", event_date_creation=time).index == f"lab-sysmon-join-{day}"


@given(st.integers(FIRST, LAST), st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_no_time_makes_an_index_but_of_ten_years_and_tomorrow(millis: int, today: date) -> None:
    day = made(streams.JOIN, today=today, event_date_creation=instant(millis)).index.removeprefix("sysmon-join-")
    if day != "outofrange":
        assert timedelta(days=-3_656) <= date.fromisoformat(day.replace(".", "-")) - today <= timedelta(days=1)


class TestIds:
    def test_a_row_has_its_event_uid_and_no_version(self) -> None:
        row = made(streams.JOIN, event_uid="u1")
        assert (row.id, row.version) == ("u1", None)

    @pytest.mark.parametrize(("generation", "name"), [(None, "u1"), (0, "u1-0"), (7, "u1-7")])
    def test_a_window_has_its_generation_and_its_count(self, generation: int | None, name: str) -> None:
        row = made(streams.WINDOW_COUNTS, event_uid="u1", generation=generation, count=12)
        assert (row.id, row.version) == (name, 12)
        assert row.index.startswith("sysmon-windows-")

    @pytest.mark.parametrize("stream", [streams.ALERTS, streams.ANOMALIES])
    def test_what_is_revised_has_its_revision(self, stream: str) -> None:
        row = made(stream, event_uid="u1", revision=3)
        assert (row.id, row.version) == ("u1", 3)

    def test_an_anomaly_stays_in_the_index_of_its_window(self) -> None:
        window = {"window_start": "2026-11-19T23:55:00.000Z"}
        times = ("2026-11-20T00:00:01.000Z", "2026-11-19T23:59:00.000Z")
        assert {made(streams.ANOMALIES, time=time, **window).index for time in times} == {"sysmon-anomalies-2026.11.19"}
        assert made(streams.ANOMALIES, time=times[0], window_start=None).index == "sysmon-anomalies-2026.11.20"


@pytest.mark.parametrize("stream", indexable())
def test_the_document_is_the_row(stream: str) -> None:
    row = empty(STREAMS[stream], event_uid="u1")
    document = DocumentMaker(stream).document(row, TODAY)
    assert json.loads(document.source) == json.loads(msgspec.json.encode(row))
    assert b"\n" not in document.source


@pytest.mark.parametrize("prefix", ["Lab", "-lab", "a*", "a/b", "a b", "a,b", "_x", "..", "ü"])
def test_a_prefix_that_no_index_can_have(prefix: str) -> None:
    with pytest.raises(UnusableError, match="--index_prefix"):
        check_prefix(prefix)


class TestDeadLetters:
    def test_a_refused_document_is_kept_whole(self) -> None:
        document = Document("sysmon-join-2026.11.20", "u1", b'{"dst_ip_addr":"bad"}')
        row = refusal(Refused(document, "mapper_parsing_exception", "dst_ip_addr (ip)"))
        assert (row.step, row.error_class, row.source) == ("index", "DocumentRefused", "index:sysmon-join-2026.11.20")
        assert row.message == "the search server refuses it: field dst_ip_addr (ip): mapper_parsing_exception"
        assert base64.b64decode(row.raw_b64) == document.source

    def test_too_large(self) -> None:
        row = refusal(Refused(Document("x", "u", b"{}"), "too_large"))
        assert row.error_class == "DocumentTooLarge"
