"""GeoIP files that tests write: MaxMind's nested shape and DB-IP's flat one. Addresses are invented ones that count as
public, since documentation ranges do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

SEOUL = "1.11.0.0/16"
BERLIN = "2.160.0.0/16"
SIX = "2a00:1450::/32"
IN_SEOUL, IN_BERLIN, IN_SIX, NOWHERE = "1.11.2.3", "2.160.9.9", "2a00:1450::7", "5.5.5.5"

SEOUL_GEO = {"country_code": "KR", "country": "South Korea", "city": "Seoul", "location": {"lat": 37.5, "lon": 127.0}}
BERLIN_GEO = {"country_code": "DE", "city": "Berlin", "location": {"lat": 52.5, "lon": 13.25}}


def nested(path: Path, version: int = 6) -> str:
    """MaxMind's: Seoul, and a v6 network of which the country alone is known."""
    seoul = {
        "city": {"names": {"en": "Seoul", "de": "Seoul", "ko": "서울"}},
        "country": {"iso_code": "KR", "names": {"en": "South Korea"}},
        "location": {"latitude": 37.5, "longitude": 127.0, "time_zone": "Asia/Seoul"},
    }
    rows: dict[str, Any] = {SEOUL: seoul}
    if version == 6:
        rows[SIX] = {"country": {"iso_code": "IE", "names": {"en": "Ireland"}}}
    return _written(path, rows, version)


def flat(path: Path) -> str:
    """DB-IP's: Berlin, with coordinates as text; and Seoul's city by another name."""
    rows = {
        BERLIN: {"country_code": "DE", "city": "Berlin", "latitude": "52.5", "longitude": "13.25", "state1": "Berlin"},
        SEOUL: {"country_code": "KR", "city": "Seoul-si", "latitude": 37.0, "longitude": 127.5},
    }
    return _written(path, rows, 4)


def _written(path: Path, rows: dict[str, Any], version: int) -> str:
    writer = MMDBWriter(version, "Test", languages=["en"], ipv4_compatible=version == 6)
    for network, record in rows.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return str(path)
