"""Records to documents, against the generator's and by property."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.monster import ENTRIES, MonsterEvent
from huntbeam.schemas.monster_layouts import COLUMNS, Layout, Order, events
from huntbeam.schemas.record import Kind
from huntbeam.transforms.monster.parse import parse
from huntbeam.transforms.monster.signers import Signers, Trust
from tests.conftest import examples
from tests.monster import generator
from tests.typed_rows import as_written

TICKS = 131_580_288_000_001_234  # 2017-12-18, 123.4 us after midnight
GUID = "0a1b2c3d-1111-4222-8333-0123456789ab"
SIGNERS = Signers(Trust())
KINDS = [(layout, event_id) for layout in Layout for event_id in events(layout)]


def cells(layout: Layout, event_id: int, **values: str) -> list[str]:
    """A record in which every column has something that fits, but for what is given."""
    plain = {Kind.INTEGER: "7", Kind.IP: "192.0.2.7", Kind.INSTANT: str(TICKS), Kind.GUID: GUID}
    names = events(layout)[event_id].columns
    assert set(values) <= set(names)
    of = {name: plain.get(COLUMNS[name].kind, "x") if name in COLUMNS else str(event_id) for name in names}
    return list((of | values).values())


def document(layout: Layout, event_id: int, order: Order = Order.CONF, **values: str) -> dict[str, Any]:
    return as_written(parse("\t".join(cells(layout, event_id, **values)).encode(), order))


def refused(raw: bytes | list[str]) -> RecordError:
    with pytest.raises(RecordError) as error:
        parse(raw if isinstance(raw, bytes) else "\t".join(raw).encode())
    return error.value


@pytest.mark.parametrize("seed", [1, 2])
def test_every_event_of_both_layouts_is_the_generators_document(seed: int) -> None:
    made = list(generator.records(4 * len(KINDS), seed=seed))
    assert {(r.document["layout"], r.document["EventID"]) for r in made} == {(lay.value, i) for lay, i in KINDS}
    for record in made:
        assert as_written(parse(record.line, signers=SIGNERS)) == record.document


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0", "\n\0"])
def test_the_end_of_a_line_is_no_part_of_it(end: str) -> None:
    raw = "\t".join(cells(Layout.V0_9, 1500))
    assert parse(f"{raw}{end}".encode()) == parse(raw.encode())


def test_a_record_with_nothing_in_it_has_the_head_alone() -> None:
    names = events(Layout.V0_9)[3500].columns
    assert document(Layout.V0_9, 3500, **{n: "" for n in names if n not in ("EventID", "HostIP")}) == {
        "EventID": 3500,
        "event_type": "NetworkConnect(TCP)",
        "layout": "0.9",
        "host_key": "192.0.2.7",
        "event_uid": document(Layout.V0_9, 3500, **{n: "" for n in names if n not in ("EventID", "HostIP")})[
            "event_uid"
        ],
        "HostIP": "192.0.2.7",
    }


def test_times_are_cut_to_milliseconds_and_keep_their_ticks() -> None:
    found = document(Layout.V0_9, 3500, ConnectTimestamp=str(TICKS + 19_999), DisconnectTimestamp="0")
    assert (found["time"], found["CollectTimestampTicks"]) == ("2017-12-18T00:00:00.000Z", TICKS)
    assert (found["ConnectTimestamp"], found["ConnectTimestampTicks"]) == ("2017-12-18T00:00:00.002Z", TICKS + 19_999)
    assert found["DisconnectTimestampTicks"] == 0
    assert "DisconnectTimestamp" not in found


@given(st.integers(1, 2_650_467_743_999_999_999))
def test_filetime_is_exact(ticks: int) -> None:
    time = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    found = document(Layout.V1_0, 1501, EventTimestamp=str(ticks))
    assert found["time"] == time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found["EventTimestampTicks"] == ticks


def test_a_double_quote_comes_as_a_back_tick_everywhere() -> None:
    assert document(Layout.V0_9, 1500, CommandLine='`C:\\a b.exe` "c"')["CommandLine"] == '"C:\\a b.exe" "c"'


@pytest.mark.parametrize("tick", ["`", '"'])
def test_groups_and_privileges_are_lists_of_objects(tick: str) -> None:
    groups = tick.join(("BUILTIN\\Users", "S-1-5-32-545", "7")) + "||" + tick.join(("Odd", "", "")) + "|Alone|"
    found = document(Layout.V1_0, 1500, Groups=groups, Privileges=tick.join(("SeDebug", "2", "more")))
    assert found["Groups"] == [
        {"name": "BUILTIN\\Users", "sid": "S-1-5-32-545", "attributes": "7"},
        {"name": "Odd"},
        {"name": "Alone"},
    ]
    assert found["Privileges"] == [{"name": "SeDebug", "attributes": '2"more'}]


def test_more_groups_than_a_token_has_are_refused() -> None:
    many = "|".join(["a"] * ENTRIES)
    assert len(document(Layout.V0_9, 1500, Groups=many)["Groups"]) == ENTRIES
    assert refused(cells(Layout.V0_9, 1500, Groups=many + "|b|c")).error_class == "BadValue"


def test_the_two_orders_of_a_process() -> None:
    swapped = {"TerminalSessionId": "1", "ParentProcessId": "40"}
    conf, sheet = (document(Layout.V0_9, 1500, order, **swapped) for order in Order)
    assert (conf["TerminalSessionId"], conf["ParentProcessId"]) == (1, 40)
    assert (sheet["TerminalSessionId"], sheet["ParentProcessId"]) == (40, 1)
    assert conf["event_uid"] == sheet["event_uid"]


def test_the_columns_that_a_row_repeats() -> None:
    found = document(Layout.V0_9, 1502, ImageSize="1", ImageFileSize="2", ProcessId="3", ImageProcessId="4")
    assert [found[n] for n in ("ImageSize", "ImageFileSize", "ProcessId", "ImageProcessId")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("layout", "event_id", "values", "remote"),
    [
        (Layout.V0_9, 3500, {"DestinationIp": "203.0.113.1", "DestinationPort": "443"}, ("203.0.113.1", 443)),
        (Layout.V0_9, 3501, {"DestinationIp": "203.0.113.1", "DestinationPort": "9"}, ("203.0.113.1", 9)),
        (
            Layout.V0_9,
            3501,
            {"DestinationIp": "192.0.2.7", "SourceIP": "203.0.113.1", "SourcePort": "50000"},
            ("203.0.113.1", 50_000),
        ),
        (Layout.V1_0, 3500, {"ServerIP": "2001:DB8::0:1", "ServerPort": "443"}, ("2001:db8::1", 443)),
        (Layout.V1_0, 3501, {"ClientIP": "fe80::1%12", "ClientPort": "1"}, ("fe80::1", 1)),
        (Layout.V1_0, 3502, {"ServerIP": "::ffff:203.0.113.1", "ServerPort": "53"}, ("203.0.113.1", 53)),
        (Layout.V1_0, 3503, {"ClientIP": "203.0.113.1", "ClientPort": "53"}, ("203.0.113.1", 53)),
        (Layout.V1_0, 9500, {"SourceIP": "203.0.113.1", "SourcePort": "0x10"}, ("203.0.113.1", 16)),
        (Layout.V1_0, 9501, {"SourceIP": "-", "SourcePort": "-"}, (None, None)),
        (Layout.V1_0, 9505, {"SourceIP": "203.0.113.1"}, ("203.0.113.1", None)),
        (Layout.V1_0, 1500, {}, (None, None)),
    ],
)
def test_the_other_side(layout: Layout, event_id: int, values: dict[str, str], remote: tuple[str, int]) -> None:
    found = document(layout, event_id, **values)
    assert (found.get("remote_ip"), found.get("remote_port")) == remote


@pytest.mark.parametrize(
    ("written", "host"),
    [(f"{{{GUID.upper()}}}", GUID), (GUID, GUID), ("D41D8CD98F00B204E9800998ECF8427E",) * 2, ("12345678",) * 2],
)
def test_the_host_of_layout_1_0(written: str, host: str) -> None:
    assert document(Layout.V1_0, 9503, HostGUID=written)["host_key"] == host


@pytest.mark.parametrize(
    ("signer", "result", "trust", "trusted"),
    [
        ("Microsoft Windows", "", Trust(), True),
        ("microsoft corporation", "whatever", Trust(), True),
        ("Microsoft Windows Fan Club", "", Trust(), False),
        ("", "", Trust(), False),
        ("Example Inc.", "", Trust(("Example*",)), True),
        ("Microsoft Windows", "", Trust(("Example*",)), False),
        ("Microsoft Windows", "Trusted", Trust(results=("trusted",)), True),
        ("Microsoft Windows", "Revoked", Trust(results=("trusted",)), False),
        ("Microsoft Windows", "", Trust(results=("trusted",)), False),
    ],
)
def test_who_is_trusted(signer: str, result: str, trust: Trust, trusted: bool) -> None:
    raw = "\t".join(cells(Layout.V1_0, 1500, Signer=signer, VerifiedResult=result)).encode()
    assert parse(raw, signers=Signers(trust)).signer_trusted is trusted


@pytest.mark.parametrize(
    ("raw", "error_class"),
    [
        (b"hello", "UnknownLayout"),
        (b"\xff\xfe\x00", "UnknownLayout"),
        (b"1500,77,10.0.0.5", "UnknownLayout"),
        (b"a\tb\tc", "UnknownLayout"),
        (b"9999\t1\t2", "UnknownEventId"),
        (f"{GUID}\t{GUID}\t2012\t1".encode(), "UnknownEventId"),
        (b"1500\t1\t2", "ColumnCount"),
        ("\t".join([*cells(Layout.V0_9, 1500), ""]).encode(), "ColumnCount"),
        ("\t".join(cells(Layout.V1_0, 1500)[:-1]).encode(), "ColumnCount"),
    ],
)
def test_what_is_no_record(raw: bytes, error_class: str) -> None:
    assert refused(raw).error_class == error_class


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [
        ("SendBytes", "many", "number"),
        ("SendBytes", "1.5", "number"),
        ("SendBytes", str(2**63), "number"),
        ("DestinationIp", "not-an-address", "address"),
        ("DestinationIp", "192.0.2.256", "address"),
        ("DestinationIp", "192.0.2.1%3", "address"),
        ("DestinationIp", "1" * 100_000, "address"),
        ("ConnectTimestamp", "2017-12-18", "time"),
        ("ConnectTimestamp", "-1", "time"),
        ("ConnectTimestamp", str(2**63 - 1), "time"),
    ],
)
def test_a_bad_value_names_its_column_and_not_itself(column: str, cell: str, what: str) -> None:
    error = refused(cells(Layout.V0_9, 3500, **{column: cell}))
    assert (error.error_class, error.time) == ("BadValue", "2017-12-18T00:00:00.000Z")
    assert error.message == f"{column} is no {what} in event 3500 of layout 0.9"


@settings(max_examples=examples(200))
@given(st.sampled_from(KINDS), st.data())
def test_any_text_is_one_and_comes_through(kind: tuple[Layout, int], data: st.DataObject) -> None:
    """Only numbers, times, addresses and lists have a form."""
    free = [n for n in events(kind[0])[kind[1]].columns if n in COLUMNS and COLUMNS[n].kind is Kind.TEXT]
    text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\t\r\n\0`"), max_size=20)
    values = data.draw(st.dictionaries(st.sampled_from(free), text)) if free else {}
    found = document(*kind, **values)
    assert {name: found.get(name, "") for name in values} == values


@settings(max_examples=examples(300))
@given(st.binary(max_size=200) | st.lists(st.text(max_size=12), max_size=30).map(lambda c: "\t".join(c).encode()))
def test_no_bytes_bring_anything_but_a_document_or_a_refusal(raw: bytes) -> None:
    with suppress(RecordError):
        assert isinstance(parse(raw), MonsterEvent)


@settings(max_examples=examples(200))
@given(st.sampled_from(KINDS), st.data())
def test_a_damaged_cell_is_a_refusal_or_a_document(kind: tuple[Layout, int], data: st.DataObject) -> None:
    record = cells(*kind)
    at = data.draw(st.integers(0, len(record) - 1))
    record[at] = data.draw(st.text(max_size=30) | st.sampled_from(["-", "0", "0x7f", "::1", "|", "`|`", "%"]))
    with suppress(RecordError):
        found = parse("\t".join(record).encode())
        assert json.loads(json.dumps(as_written(found)))["EventID"] == found.EventID
