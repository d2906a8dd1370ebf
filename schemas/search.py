"""What a search index is told of each stream: the name of its indexes, the ids of documents, the types of fields."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas import streams
from huntbeam.schemas.record import Column, Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import SysmonEvent

IGNORE_ABOVE = 1024  # characters; a longer text is kept in the document, but not found by its value
OUT_OF_RANGE = "outofrange"  # in place of the day, where the time is missing or is none that can be
MONSTER = "monster_events"

_WANTED = (streams.JOIN, streams.WINDOW_COUNTS, streams.ALERTS, streams.ANOMALIES, MONSTER)
USUAL = tuple(name for name in _WANTED if name in STREAMS)  # what is indexed unless said otherwise

_NAMES = {
    streams.PROCESS_CREATE: "sysmon-creates",
    streams.NETWORK_CONNECT: "sysmon-connects",
    streams.WINDOW_COUNTS: "sysmon-windows",
    MONSTER: "monster",
}
_NEVER = (streams.DEAD_LETTERS, streams.DUPLICATES)  # copies have one id; what an index refuses cannot go into it
_TIMES = {streams.ANOMALIES: ("window_start", "time")}  # an anomaly's own time may move back with a revision
_VERSIONS = {streams.WINDOW_COUNTS: "count"}
_GENERATION, _REVISION = "generation", "revision"


class Target(NamedTuple):
    """How the rows of a stream become documents."""

    name: str  # <prefix><name>-2026.11.20
    times: tuple[str, ...]  # columns; the day of the first that is not null names the index
    version: str | None  # column: of two copies of a document the one with more is kept
    generation: bool  # whether the id says which generation it is

    @property
    def time(self) -> str:
        """The column that a dashboard goes by."""
        return self.times[-1]


def indexable() -> list[str]:
    """The streams that can be indexed."""
    return [name for name in STREAMS if name not in _NEVER]


def target(stream: str) -> Target:
    """Where the rows of a stream go."""
    declared = columns(STREAMS[stream])
    names = {column.name for column in declared}
    times = _TIMES.get(stream) or (next(column.name for column in declared if column.kind is Kind.INSTANT),)
    version = _VERSIONS.get(stream) or (_REVISION if _REVISION in names else None)
    return Target(_NAMES.get(stream) or _name(stream), times, version, _GENERATION in names)


def _name(stream: str) -> str:
    return "sysmon-" + stream.removeprefix("sysmon_").replace("_", "-")


def mapping(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The mapping of a record type. Fields that it does not declare are kept in documents, but not searched."""
    return {
        "dynamic": False,
        "date_detection": False,
        "dynamic_templates": [{"keys": {"path_match": "key.*", "match_mapping_type": "string", "mapping": _KEYWORD}}],
        "properties": {
            name: _field(column) for name, column in zip(record.__struct_encode_fields__, columns(record), strict=True)
        },
    }


_KEYWORD = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
_LONG = {"type": "long"}
_TYPES: dict[str, dict[str, Any]] = {
    Kind.TEXT: _KEYWORD,
    Kind.GUID: _KEYWORD,
    Kind.TEXT_LIST: _KEYWORD,
    Kind.INTEGER: _LONG,
    Kind.NUMBER: {"type": "double"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.INSTANT: {"type": "date"},
    Kind.IP: {"type": "ip"},
    "object_list": {"properties": dict.fromkeys(("name", "sid", "attributes"), _KEYWORD)},
    "geo": {
        "properties": dict.fromkeys(("country_code", "country", "city"), _KEYWORD) | {"location": {"type": "geo_point"}}
    },
}


def _field(column: Column) -> dict[str, Any]:
    match column.kind:
        case Kind.INTEGER_MAP:
            return _object(dict.fromkeys(_counted(), _LONG))
        case Kind.TEXT_MAP if column.name == "key":
            return _object({name: _lenient(kind) for name, kind in _counted().items()})
        case Kind.TEXT_MAP:  # attackers choose the names: as fields they would fill the index up
            return {"type": "object", "enabled": False}
    return _TYPES[column.kind]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Further names are those of counters, which nobody but the user writes."""
    return {"dynamic": True, "properties": properties}


def _counted() -> dict[str, Kind]:
    """The columns that counters of Sysmon events count by."""
    return {column.name: column.kind for column in columns(SysmonEvent)}


def _lenient(kind: Kind) -> dict[str, Any]:
    """Of a key the document is worth more than its being found."""
    field = _TYPES[kind]
    return field | {"ignore_malformed": True} if field["type"] in ("ip", "long", "date") else field
