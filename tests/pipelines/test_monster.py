"""`huntbeam monster` on files, through main(argv)."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.schemas.monster_layouts import Layout, events
from tests import mmdb
from tests.conftest import Rows, read_rows
from tests.monster import by_uid, generator, tsv

MADE = list(generator.records(208))
RULES = """\
title: Temp Program
id: 11111111-2222-4333-8444-555555555501
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|contains: '\\Temp\\', Hashes|contains: 'SHA256='}
  condition: selection
level: high
---
title: Unsigned
id: 11111111-2222-4333-8444-555555555502
logsource: {product: windows, category: process_creation}
detection:
  selection: {VerifiedResult: NoSignature}
  signed: {Signer|contains: '*'}
  condition: selection and not signed
---
title: To RDP
id: 11111111-2222-4333-8444-555555555503
logsource: {product: windows, category: network_connection}
detection:
  selection: {DestinationPort: 3389, Initiated: 'true'}
  condition: selection
---
title: By Its Parent
id: 11111111-2222-4333-8444-555555555504
logsource: {product: windows, category: process_creation}
detection:
  selection: {ParentImage|endswith: '\\winword.exe'}
  condition: selection
"""


def run(output: Path, *inputs: Path, options: tuple[str, ...] = ()) -> dict[str, Rows]:
    argv = ["monster", "--output", str(output), "--quiet", *options]
    for path in inputs:
        argv += ["--input", str(path)]
    assert main(argv) == 0
    return {folder.name: read_rows(output, folder.name) for folder in output.iterdir() if folder.is_dir()}


def archive(folder: Path, content: bytes, name: str = "in.tsv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_documents_are_the_generators_field_by_field(tmp_path: Path, file_format: str) -> None:
    found = run(tmp_path / "out", archive(tmp_path, tsv(*MADE)), options=("--format", file_format))
    assert set(found) == {"monster_events", "dead_letters"}
    assert found["dead_letters"] == []
    assert len(found["monster_events"]) == len(MADE)
    assert by_uid(found["monster_events"]) == by_uid([record.document for record in MADE])


def test_a_second_run_and_compressed_files_give_the_same_ids(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", archive(tmp_path, tsv(*MADE)))
    half = len(MADE) // 2
    parts = (
        archive(tmp_path, gzip.compress(tsv(*MADE[:half])), "a.tsv.gz"),
        archive(tmp_path, tsv(*MADE[half:]).replace(b"\n", b"\r\n"), "b.tsv"),
    )
    assert by_uid(run(tmp_path / "b", *parts)["monster_events"]) == by_uid(plain["monster_events"])


def test_what_cannot_be_used_is_a_dead_letter_with_its_bytes(tmp_path: Path) -> None:
    good, first = MADE[0].line, MADE[1].line
    columns = list(events(Layout.V0_9)[3500].columns)
    network = next(r for r in MADE if r.document["EventID"] == 3500 and r.document["layout"] == "0.9").line
    bad_ip = network.split(b"\t")
    bad_ip[columns.index("DestinationIp")] = b"300.1.1.1"
    lines = [
        b'["a JSON array"]',
        good,
        b"",
        b"1500,77,10.0.0.5",
        good.replace(b"1500", b"1599", 1),
        first + b"\tone more",
        b"\t".join(bad_ip),
        b"\x00\xff\xfe binary",
        b"   ",
        first,
    ]
    found = run(tmp_path / "out", archive(tmp_path, b"\n".join(lines)))
    assert [row["EventID"] for row in found["monster_events"]] == [1500, 1501]
    refused = {base64.b64decode(row["raw_b64"]): row for row in found["dead_letters"]}
    assert set(refused) == {lines[at] for at in (0, 3, 4, 5, 6, 7)}
    assert {raw: row["error_class"] for raw, row in refused.items()} == dict(
        zip(
            (lines[at] for at in (0, 3, 4, 5, 6, 7)),
            ("UnknownLayout", "UnknownLayout", "UnknownEventId", "ColumnCount", "BadValue", "UnknownLayout"),
            strict=True,
        )
    )
    for raw, row in refused.items():
        content = (tmp_path / "in.tsv").read_bytes()
        assert content[row["position"] : row["position"] + len(raw)] == raw
    summary = json.loads((tmp_path / "out" / "_SUCCESS").read_text())["summary"]
    assert summary["tallies"] == {"blank_lines": 2}
    assert summary["events"] == [["Monster Agent", 1500, 1], ["Monster Agent", 1501, 1]]


def test_hosts_and_times_narrow(tmp_path: Path) -> None:
    path = archive(tmp_path, tsv(*MADE))
    since, until = MADE[50].document["time"], MADE[150].document["time"]
    options = ("--since", since, "--until", until, "--host", "10.20.0.1[12]", "--host", "00000001-*")
    found = run(tmp_path / "out", path, options=options)
    wanted = [
        r.document
        for r in MADE[50:150]
        if r.document["host_key"] in ("10.20.0.11", "10.20.0.12") or r.document["host_key"].startswith("00000001-")
    ]
    assert by_uid(found["monster_events"]) == by_uid(wanted)


def test_the_sheets_order(tmp_path: Path) -> None:
    found = run(tmp_path / "out", archive(tmp_path, MADE[0].line), options=("--layout", "sheet"))
    (row,), expected = found["monster_events"], MADE[0].document
    assert (row["ParentProcessId"], row["TerminalSessionId"]) == (
        expected["TerminalSessionId"],
        expected["ParentProcessId"],
    )


def sent(answer: dict[str, Any], at_least: int) -> dict[tuple[str, str], float]:
    """The windows and hosts that sent more than they received."""
    received = answer["received"]
    return {
        (row.split("|")[0], row.split("|")[1]): out / received[row]
        for row, out in answer["sent"].items()
        if out >= at_least and out > received[row]
    }


def test_exfiltration_is_the_generators_ratio_and_untrusted_programs_come_once_a_host(tmp_path: Path) -> None:
    answer = generator.answer(record.document for record in MADE)
    options = ("--detect", "exfiltration,signers", "--exfiltration_bytes", "20000000")
    found = run(tmp_path / "out", archive(tmp_path, tsv(*MADE)), options=options)
    rows = {row["kind"]: [] for row in found["anomalies"]} | {"ratio": []}
    for row in found["anomalies"]:
        rows[row["kind"]].append(row)
    expected = sent(answer, 20_000_000)
    assert expected
    assert {(r["window_start"].replace(".000Z", "Z"), r["key"]["host_key"]): r["value"] for r in rows["ratio"]} == (
        pytest.approx(expected)
    )
    programs = {(row["key"]["host_key"], row["key"]["Image"], row["key"]["Signer"]) for row in rows["first_seen"]}
    assert len(programs) == len(rows["first_seen"])
    assert {f"{host}|{image}|{signer}" for host, image, signer in programs} == set(answer["untrusted"])
    sums = Counter[str]()
    for row in found["window_counts"]:
        if row["counter"] == "monster_transfer":
            sums[f"{row['window_start'].replace('.000Z', 'Z')}|{row['key']['host_key']}"] += row["sums"]["SendBytes"]
    assert dict(sums) == answer["sent"]


def test_own_counters_add_up_numbers(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[[counter]]\nname = "written"\nevent_id = [2500]\nkey = ["layout"]\nsum = ["WriteBytes"]\n'
    )
    options = ("--counters", str(tmp_path / "c.toml"), "--window", "1d")
    found = run(tmp_path / "out", archive(tmp_path, tsv(*MADE)), options=options)
    rows = {row["key"]["layout"]: row["sums"] for row in found["window_counts"] if row["counter"] == "written"}
    for layout in ("0.9", "1.0"):
        files = [r.document for r in MADE if (r.document["EventID"], r.document["layout"]) == (2500, layout)]
        assert rows[layout] == {"WriteBytes": sum(document["WriteBytes"] for document in files)}


def test_rules_run_on_processes_and_connects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    found = run(tmp_path / "out", archive(tmp_path, tsv(*MADE)), options=("--rules", str(tmp_path / "rules.yml")))
    documents = [record.document for record in MADE]
    temp = {d["event_uid"] for d in documents if d["EventID"] == 1500 and "\\Temp\\" in d["Image"]}
    rdp = {
        d["event_uid"]
        for d in documents
        if d["EventID"] in (3500, 3502) and 3389 in (d.get("DestinationPort"), d.get("ServerPort"))
    }
    assert temp
    assert rdp
    by_rule = {
        title: {row["contributing"][0] for row in found["alerts"] if row["rule_title"] == title}
        for title in ("Temp Program", "Unsigned", "To RDP", "By Its Parent")
    }
    assert by_rule == {"Temp Program": temp, "Unsigned": temp, "To RDP": rdp, "By Its Parent": set()}
    (one, *_) = (row for row in found["alerts"] if row["rule_title"] == "Temp Program")
    of = by_uid(documents)[one["contributing"][0]]
    assert (one["time"], one["host"], one["process_path"], one["user_account"], one["rule_level"]) == (
        of["time"],
        of["host_key"],
        of["Image"],
        "CORP\\kim",
        "high",
    )
    assert one["matched"]["Hashes"] == f"MD5={of['MD5'].upper()},SHA256={of['SHA2'].upper()}"
    assert main(["rules", "check", "--monster", str(tmp_path / "rules.yml")]) == 0
    said = capsys.readouterr().out
    assert "3 rules run" in said
    assert "its events have no ParentImage" in said


def test_addresses_are_located(tmp_path: Path) -> None:
    geo = ("--geoip", mmdb.nested(tmp_path / "a.mmdb"), "--geoip", mmdb.flat(tmp_path / "b.mmdb"))
    (tmp_path / "rules.yml").write_text(RULES)
    lines = (
        tsv(*MADE).replace(b"203.0.113.10", mmdb.IN_SEOUL.encode()).replace(b"198.51.100.5", mmdb.IN_BERLIN.encode())
    )
    found = run(tmp_path / "out", archive(tmp_path, lines), options=(*geo, "--rules", str(tmp_path / "rules.yml")))
    expected = {mmdb.IN_SEOUL: mmdb.SEOUL_GEO, mmdb.IN_BERLIN: mmdb.BERLIN_GEO}
    assert {row.get("remote_ip") for row in found["monster_events"]} > set(expected)
    for row in found["monster_events"]:
        assert row.get("DestinationGeoip") == expected.get(row.get("remote_ip", ""))
    rdp = [row for row in found["alerts"] if row["rule_title"] == "To RDP"]
    for row in rdp:
        assert row.get("dst_geo") == expected.get(row["event"]["DestinationIp"])
    assert any("dst_geo" in row for row in rdp)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "name what is read"),
        (("--input", "x", "--input_topic", "monster"), "name what is read"),
        (("--input", "x"), "--input needs --output"),
        (("--input", "x", "--output", "o", "--detect", "ghosts"), "--detect ghosts: there is exfiltration, signers"),
        (("--input", "x", "--output", "o", "--geoip", "none.mmdb"), "none.mmdb cannot be read"),
        (
            ("--input", "x", "--output", "o", "--detect", "exfiltration", "--exfiltration_ratio", "0"),
            "--exfiltration_ratio has to be more than 0",
        ),
        (("--input_topic", "MONSTER_EVENTS"), "is an output topic, too"),
    ],
)
def test_options_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["monster", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_beacon_rule_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yml").write_text("{kind: beacon, id: a, name: Regular, severity: low}")
    path = archive(tmp_path, MADE[0].line)
    argv = ["monster", "--input", str(path), "--output", str(tmp_path / "o")]
    assert main([*argv, "--anomaly_rules", str(tmp_path / "r.yml")]) == 2
    assert "is a beacon and looks at Sysmon's connects alone" in capsys.readouterr().err
