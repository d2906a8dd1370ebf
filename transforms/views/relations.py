"""Relations: the streams of a folder as the views' SQL knows them, whatever columns the folder has. Pure.

A relation has the stream's own column names, its event time as `moment`, and as `t` in milliseconds since 1970. A
column that the folder does not have is null, so that older and newer folders go through the same views.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

from huntbeam.schemas import streams
from huntbeam.schemas.record import Kind

MONSTER = "monster_events"
ENRICHED = "sysmon_enriched"

TEXT, INTEGER, NUMBER, BOOLEAN, MAP, LIST = (
    "VARCHAR",
    "BIGINT",
    "DOUBLE",
    "BOOLEAN",
    "MAP(VARCHAR, VARCHAR)",
    "VARCHAR[]",
)
ZONED = "TIMESTAMP WITH TIME ZONE"
PLACES = {"file": ("_file", TEXT), "nth": ("file_row_number", INTEGER)}
_OF_KINDS = {  # any other kind is read as text
    Kind.INTEGER: INTEGER,
    Kind.NUMBER: NUMBER,
    Kind.BOOLEAN: BOOLEAN,
    Kind.INSTANT: ZONED,
    Kind.TEXT_MAP: MAP,
    Kind.INTEGER_MAP: "MAP(VARCHAR, BIGINT)",
    Kind.TEXT_LIST: LIST,
    Kind.GEO: "STRUCT(country_code VARCHAR, country VARCHAR, city VARCHAR, location STRUCT(lat DOUBLE, lon DOUBLE))",
}


class Field(NamedTuple):
    """A column: its name, its type, and under which names it may stand in a folder (none: its own)."""

    name: str
    type: str = TEXT
    physical: tuple[str, ...] = ()


class Relation(NamedTuple):
    """A stream with its columns. `latest` keeps, of an archive's copies of a row, the last; `where` those that hold.

    Rows with an own `latest` are kept in a table, as a file that comes later may hold a better copy.
    """

    stream: str
    time: str
    fields: tuple[Field, ...]
    latest: str = ""
    where: str = "true"
    more: tuple[tuple[str, str], ...] = ()  # columns made of others, as a search reads them a million times


def _texts(names: str) -> tuple[Field, ...]:
    return tuple(map(Field, names.split()))


def _integers(names: str) -> tuple[Field, ...]:
    return tuple(Field(name, INTEGER) for name in names.split())


_GEO = (  # --geoip's column is an object
    Field("country", TEXT, ("dst_geo.country", "DestinationGeoip.country", "country")),
    Field("city", TEXT, ("dst_geo.city", "DestinationGeoip.city", "city")),
    Field("latitude", NUMBER, ("dst_geo.location.lat", "DestinationGeoip.location.lat", "latitude")),
    Field("longitude", NUMBER, ("dst_geo.location.lon", "DestinationGeoip.location.lon", "longitude")),
)
_PROCESS = _texts("process_guid process_path user_account host event_uid event_time_source")
_DESTINATION = _texts(
    "network_protocol network_connection_initiated src_ip_addr src_host_name dst_ip_addr dst_host_name"
)
_CONNECT = (
    *_PROCESS,
    *_DESTINATION,
    *_integers("process_id src_port dst_port clock_skew_ms"),
)
_REVISED = "QUALIFY row_number() OVER (PARTITION BY event_uid ORDER BY revision DESC) = 1"
_HOLDS = "NOT coalesce(retracted, false)"
_SERIES = (("series", "lower(concat_ws(' ', counter, CAST(key AS VARCHAR)))"),)  # hosts are spelled as one likes
_RULE = (*_texts("event_uid rule_id"), Field("revision", INTEGER), Field("retracted", BOOLEAN))

RELATIONS: dict[str, Relation] = {
    "creates": Relation(
        streams.PROCESS_CREATE,
        "event_date_creation",
        (
            *_PROCESS,
            *_texts("process_command_line process_integrity_level hashes parent_process_guid parent_process_path"),
            *_texts("parent_process_command_line file_description file_company"),
            *_integers("process_id clock_skew_ms event_id"),
        ),
    ),
    "connects": Relation(streams.NETWORK_CONNECT, "event_date_creation", _CONNECT),
    "joins": Relation(
        streams.JOIN,
        "event_date_creation",
        (
            *_CONNECT,
            *_texts("process_command_line parent_process_path parent_process_command_line hashes"),
            Field("process_create_time", ZONED),
            *_GEO,
        ),
    ),
    "unmatched": Relation(streams.UNMATCHED, "event_date_creation", (*_CONNECT, Field("reason"))),
    "events": Relation(
        streams.EVENTS, "event_date_creation", (*_PROCESS, Field("source_name"), *_integers("event_id clock_skew_ms"))
    ),
    "alerts": Relation(
        streams.ALERTS,
        "time",
        (
            *_RULE,
            *_texts("host user_account process_path record_id rule_title rule_level rule_type author ruleset"),
            *_texts("first_seen last_seen"),
            Field("truncated", BOOLEAN),
            Field("suppressed_count", INTEGER),
            *(Field(name, LIST) for name in ("tags", "attack", "references", "contributing")),
            *(Field(name, MAP) for name in ("matched", "event")),
            Field("contributing_count", INTEGER),
        ),
        _REVISED,
        _HOLDS,
    ),
    "anomalies": Relation(
        streams.ANOMALIES,
        "time",
        (
            *_RULE,
            *_texts("title severity text kind counter measure window_start window_end"),
            Field("attack", LIST),
            Field("key", MAP),
            Field("history", INTEGER),
            *(Field(name, NUMBER) for name in ("value", "expected", "deviation")),
        ),
        _REVISED,
        _HOLDS,
        _SERIES,
    ),
    "windows": Relation(
        streams.WINDOW_COUNTS,
        "window_start",
        (
            *_texts("counter event_uid"),
            Field("key", MAP),
            Field("distinct", "MAP(VARCHAR, BIGINT)"),
            *_integers("count generation late_count"),
        ),
        "QUALIFY row_number() OVER (PARTITION BY event_uid, generation ORDER BY count DESC) = 1",
        more=_SERIES,
    ),
    "dead": Relation(
        streams.DEAD_LETTERS,
        "time",
        (*_texts("source step error_class message raw_b64 event_uid"), *_integers("position partition raw_length")),
    ),
    "duplicates": Relation(
        streams.DUPLICATES, "event_date_creation", (*_texts("host source_name event_uid"), Field("event_id", INTEGER))
    ),
    "suppressed": Relation("suppressed", "time", (*_texts("host rule_id rule_title event_uid"),)),
    "enriched": Relation(
        ENRICHED, "event_date_creation", (*_texts("host event_uid context"), Field("event_id", INTEGER))
    ),
    "monster": Relation(
        MONSTER,
        "time",
        (
            Field("event_id", INTEGER, ("EventID", "event_id")),
            Field("host_ip", TEXT, ("host_key", "HostIP", "host")),
            *_texts("event_type remote_ip layout event_uid"),
            Field("remote_port", INTEGER),
            Field("image", TEXT, ("Image",)),
            Field("command_line", TEXT, ("CommandLine",)),
            Field("signer", TEXT, ("Signer",)),
            Field("verified", TEXT, ("VerifiedResult",)),
            Field("signer_trusted", BOOLEAN),
            Field("sha2", TEXT, ("SHA2",)),
            Field("md5", TEXT, ("MD5",)),
            Field("send_bytes", INTEGER, ("SendBytes",)),
            Field("recv_bytes", INTEGER, ("RecvBytes",)),
            *_GEO,
        ),
    ),
}


def sql_type(kind: Kind) -> str:
    """The type of a column that a file without types of its own is read as.

    >>> sql_type(Kind.IP)
    'VARCHAR'
    """
    return _OF_KINDS.get(kind, TEXT)


def as_text(column: str) -> str:
    """SQL of a column of instants as the text that JSON lines have. To compare millions of rows, compare instants."""
    return f"""strftime("{column}", '%Y-%m-%dT%H:%M:%S.%gZ')"""


def relation_sql(relation: Relation, present: Mapping[str, str], source: str) -> str:
    """The SQL that selects a relation's columns of `source`, which has the columns `present` (name: type).

    `file` and `nth` say where a row stands, so that a few can be read again without a look at all.
    """
    places = [f"CAST({at if at in present else 'NULL'} AS {kind}) AS {name}" for name, (at, kind) in PLACES.items()]
    columns = [*_times(relation.time, present), *(_column(field, present) for field in relation.fields), *places]
    made = "".join(f", {expression} AS {name}" for name, expression in relation.more)
    return f"SELECT *{made} FROM (SELECT {', '.join(columns)} FROM {source})"


def _times(time: str, present: Mapping[str, str]) -> tuple[str, str]:
    if time not in present:
        return "CAST(NULL AS BIGINT) AS t", "CAST(NULL AS TIMESTAMPTZ) AS moment"
    at = f'"{time}"' if present[time] == ZONED else f'TRY_CAST("{time}" AS TIMESTAMPTZ)'
    return f"epoch_ms({at}) AS t", f"{at} AS moment"


def _column(field: Field, present: Mapping[str, str]) -> str:
    for path in field.physical or (field.name,):
        name, *parts = path.split(".")
        if parts and _has(present.get(name, ""), parts):
            return f'{_inside(name, parts)} AS "{field.name}"'
        if name in present and not parts:
            return f'{_value(name, present[name], field.type)} AS "{field.name}"'
    return f'CAST(NULL AS {field.type}) AS "{field.name}"'


def _has(physical: str, parts: list[str]) -> bool:
    """Whether an object of a type has what is named: `STRUCT(city VARCHAR, "location" STRUCT(lat DOUBLE, ...))`."""
    return physical.startswith("STRUCT") and set(parts) <= set(re.findall(r"\w+", physical))


def _inside(name: str, parts: list[str]) -> str:
    return reduce(lambda sql, part: f"struct_extract({sql}, '{part}')", parts, f'"{name}"')


def _value(name: str, physical: str, wanted: str) -> str:
    if physical == wanted:
        return f'"{name}"'
    if wanted == TEXT and "TIMESTAMP" in physical:
        return as_text(name)
    return f'TRY_CAST("{name}" AS {wanted})'
