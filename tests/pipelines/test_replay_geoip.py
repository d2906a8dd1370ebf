"""`huntbeam replay --geoip`: the addresses of joins and of alerts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import mmdb
from tests.conftest import run_replay
from tests.events import CONNECT, CONNECT_DATA, CREATE, wlb7

RULE = """\
title: Any Connect
id: 22222222-2222-4333-8444-555555555501
logsource: {product: windows, category: network_connection}
detection:
  selection: {Image|contains: '\\\\'}
  condition: selection
"""


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_joins_and_alerts_say_where_addresses_are(tmp_path: Path, file_format: str) -> None:
    data = [
        CONNECT_DATA | {"DestinationIp": mmdb.IN_SEOUL, "SourceIp": "10.0.0.5"},
        CONNECT_DATA | {"DestinationIp": "10.0.0.9", "SourceIp": mmdb.IN_BERLIN},
        CONNECT_DATA | {"DestinationIp": "10.0.0.9", "SourceIp": "not an address"},
    ]
    records = [wlb7(CREATE), *(wlb7(CONNECT._replace(data=one, record_id=n)) for n, one in enumerate(data))]
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "rule.yml").write_text(RULE)
    geo = ("--geoip", mmdb.nested(tmp_path / "a.mmdb", 4), "--geoip", mmdb.flat(tmp_path / "b.mmdb"))
    options = (*geo, "--rules", str(tmp_path / "rule.yml"), "--format", file_format)
    found = run_replay(tmp_path / "out", path, options=options)
    expected = {
        (mmdb.IN_SEOUL, "10.0.0.5"): (mmdb.SEOUL_GEO, None),
        ("10.0.0.9", mmdb.IN_BERLIN): (None, mmdb.BERLIN_GEO),
        ("10.0.0.9", "not an address"): (None, None),
    }
    joins = {
        (row["dst_ip_addr"], row["src_ip_addr"]): (row.get("dst_geo"), row.get("src_geo"))
        for row in found["sysmon_join"]
    }
    assert joins == expected
    of = [dict(row["event"]) for row in found["alerts"]]
    assert {
        (event["DestinationIp"], event["SourceIp"]): (row.get("dst_geo"), row.get("src_geo"))
        for event, row in zip(of, found["alerts"], strict=True)
    } == expected
    plain = run_replay(tmp_path / "plain", path, options=("--format", file_format))
    assert all("dst_geo" not in row for row in plain["sysmon_join"])
    assert len(plain["sysmon_join"]) == 3
