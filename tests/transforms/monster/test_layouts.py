"""The declared layouts against the vendor's columns, and the record type that is made of them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from huntbeam.schemas.monster import MonsterEvent, attribute
from huntbeam.schemas.monster_layouts import COLUMNS, Layout, Order, events, vendor_name
from huntbeam.schemas.record import Kind, columns


@pytest.mark.parametrize("layout", Layout)
def test_every_event_has_the_vendors_columns_in_their_order(shared: Path, layout: Layout) -> None:
    vendor = json.loads((shared / "monster" / f"columns-{layout.value}.json").read_text())["events"]
    declared = events(layout)
    assert sorted(declared) == sorted(map(int, vendor))
    for event_id, event in declared.items():
        assert [vendor_name(name) for name in event.columns] == vendor[str(event_id)]["columns"], event_id


def test_there_are_23_and_29_event_ids() -> None:
    assert [len(events(layout)) for layout in Layout] == [23, 29]


@pytest.mark.parametrize("layout", Layout)
def test_no_record_repeats_a_name_and_every_column_is_declared(layout: Layout) -> None:
    for event in events(layout).values():
        assert len(set(event.columns)) == len(event.columns)
        assert set(event.columns) <= COLUMNS.keys() | {"EventID"}


def test_every_declared_column_is_used_and_is_a_field_of_the_document() -> None:
    used = {name for layout in Layout for event in events(layout).values() for name in event.columns}
    assert set(COLUMNS) | {"EventID"} == used
    written = {field.encode_name for field in msgspec.structs.fields(MonsterEvent)}
    assert used <= written
    kinds = {c.name: c.kind for c in columns(MonsterEvent)}
    assert all(kinds[attribute(name)] is declared.kind for name, declared in COLUMNS.items())
    assert all(kinds[f"{n}Ticks"] is Kind.INTEGER for n, declared in COLUMNS.items() if declared.kind is Kind.INSTANT)


def test_the_event_sheet_swaps_two_columns_in_two_records() -> None:
    conf, sheet = events(Layout.V0_9), events(Layout.V0_9, Order.SHEET)
    differ = {event_id for event_id in conf if conf[event_id] != sheet[event_id]}
    assert differ == {1500, 1501}
    for event_id, pair in ((1500, {"ParentProcessId", "TerminalSessionId"}), (1501, {"ProcessId", "Flag"})):
        one, other = conf[event_id].columns, sheet[event_id].columns
        assert {name for name, swapped in zip(one, other, strict=True) if name != swapped} == pair
    assert events(Layout.V1_0) == events(Layout.V1_0, Order.SHEET)


def test_types_that_the_vendor_names_wrongly() -> None:
    types = {i: event.event_type for i, event in events(Layout.V0_9).items()}
    assert (types[2012], types[2014]) == ("CreateFile", "CloseFile")
    assert (types[4001], types[4002], types[4003]) == ("CreateKey", "OpenKey", "DeleteKey")
    assert events(Layout.V1_0)[9509].event_type == "ServiceInstall"
