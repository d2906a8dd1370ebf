"""The columns of all streams as Markdown: `python -m huntbeam.schemas.field_table > docs/fields.md`."""

from __future__ import annotations

import re
import sys
from inspect import getdoc

import msgspec

from huntbeam.schemas.record import Column, Kind, columns
from huntbeam.schemas.streams import STREAMS

_HEAD = """\
# Fields

Made from the declarations in `schemas/`; do not edit: `python -m huntbeam.schemas.field_table > docs/fields.md`.

`source` is the Sysmon field for event data, else where the value comes from. Types by format:

| type | JSON | Parquet | Avro |
| --- | --- | --- | --- |
| text, guid, ip | string | string | string |
| integer | number | int64 | long |
| number | number | double | double |
| boolean | true, false | bool | boolean |
| instant | string, `2019-05-18T20:36:50.123Z` | timestamp[ms, UTC] | long, timestamp-millis |
| text_map | object | map<string, string> | map of null or string |
| integer_map | object | map<string, int64> | map of long |
| text_list | array | list<string> | array of string |
| ip | string | string | string |
| object_list | array of objects | list<struct> of name, sid, attributes | array of records |
| geo | object: country_code, country, city, location (lat, lon) | struct | record |

A column of `monster_events` that is null, and `src_geo` and `dst_geo` that are, are left out of JSON; names in
parentheses, as in `FinalFileName(NT)`, are `FinalFileName_NT` in Parquet and Avro.

The values of a text map are as they were in JSON and text in Parquet and Avro: 443 is `"443"` there, null stays null.
"""
_SPECIAL = re.compile(r"([\\|<*])")


def markdown() -> str:
    """One section with one table per stream, in the order of STREAMS."""
    return "\n".join([_HEAD, *(_section(stream, record) for stream, record in STREAMS.items())])


def _section(stream: str, record: type[msgspec.Struct]) -> str:
    lines = [
        f"## {stream}",
        "",
        _escape((getdoc(record) or "").partition("\n")[0]),
        "",
        "| column | type | nullable | source | description |",
        "| --- | --- | --- | --- | --- |",
        *(_line(column) for column in columns(record)),
    ]
    return "\n".join(lines) + "\n"


def _line(column: Column) -> str:
    nullable = "yes" if column.nullable else "no"
    kind = Kind(column.kind).value
    return f"| `{column.name}` | {kind} | {nullable} | {_escape(column.source)} | {_escape(column.description)} |"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is, in a table cell too."""
    return _SPECIAL.sub(r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(markdown())
