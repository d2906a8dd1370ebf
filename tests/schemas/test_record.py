"""Declarations: every column of every stream says its kind and source; the KSQL columns keep their order."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from huntbeam.schemas.record import Column, Kind, column, columns, positional
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import NetworkConnect, ProcessCreate, SysmonEvent, SysmonJoin

# The columns as the KSQL statements of HELK and of Confluent's recipe list them.
HEAD = "event_date_creation process_guid process_id process_path"
IDS = "event_id source_name log_name"
OF_CREATE = """
    file_version file_description file_company process_command_line process_current_directory user_account
    user_logon_guid user_logon_id user_session_id process_integrity_level hashes parent_process_guid parent_process_id
    parent_process_path parent_process_command_line
"""
OF_CONNECT = """
    network_protocol network_connection_initiated src_is_ipv6 src_ip_addr src_host_name src_port src_port_name
    dst_is_ipv6 dst_ip_addr dst_host_name dst_port dst_port_name
"""
OF_JOIN = """
    source_name log_name process_command_line hashes parent_process_path parent_process_command_line user_logon_guid
    user_logon_id user_session_id process_current_directory process_integrity_level parent_process_guid
    parent_process_id
"""
SEEDS: dict[type[msgspec.Struct], tuple[int, str]] = {
    SysmonEvent: (34, f"{HEAD} {OF_CREATE} {OF_CONNECT} {IDS}"),
    ProcessCreate: (22, f"{HEAD} {OF_CREATE} {IDS}"),
    NetworkConnect: (20, f"{HEAD} user_account {OF_CONNECT} {IDS}"),
    SysmonJoin: (30, f"{HEAD} user_account {OF_CONNECT} {OF_JOIN}"),
}


@pytest.mark.parametrize("record", SEEDS, ids=lambda r: r.__name__)
def test_the_columns_of_the_seeds_come_first_in_their_order(record: type[msgspec.Struct]) -> None:
    count, names = SEEDS[record]
    assert len(names.split()) == count
    assert list(record.__struct_fields__[:count]) == names.split()
    assert "host" in record.__struct_fields__[count:]


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_is_declared_and_every_record_frozen(stream: str) -> None:
    record = STREAMS[stream]
    assert record.__struct_config__.frozen
    assert [c.name for c in columns(record)] == list(record.__struct_fields__)
    for one in columns(record):
        assert isinstance(one.kind, Kind)
        assert one.source
        assert one.description


@pytest.mark.parametrize("stream", STREAMS)
def test_every_row_has_an_id(stream: str) -> None:
    uid = next(c for c in columns(STREAMS[stream]) if c.name == "event_uid")
    assert (uid.kind, uid.nullable) == (Kind.TEXT, False)


class Declared(msgspec.Struct):
    """Two columns."""

    a: Annotated[int, column(Kind.INTEGER, "x", "First")]
    b: Annotated[str | None, column(Kind.TEXT, "y", "Second")]


def test_what_a_declaration_says() -> None:
    assert columns(Declared) == (
        Column("a", Kind.INTEGER, False, "x", "First"),
        Column("b", Kind.TEXT, True, "y", "Second"),
    )


def test_a_field_without_a_declaration_is_refused() -> None:
    class Plain(msgspec.Struct):
        a: int

    class Described(msgspec.Struct):
        a: Annotated[int, msgspec.Meta(description="no kind")]

    for record in (Plain, Described):
        with pytest.raises(TypeError, match=rf"{record.__name__}.a is not declared with column\(\)"):
            columns(record)


def test_positional_takes_values_in_column_order() -> None:
    assert positional(Declared)(1, "x") == Declared(a=1, b="x")
