"""`huntbeam report` and `replay --report` through main(argv): what is in the page is what is in the folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from tests.conftest import Rows, run_replay
from tests.monster import generator, tsv
from tests.transforms.views.folders import folder_of
from tests.transforms.views.test_store import OPTIONS, SAMPLE, connect
from tests.transforms.views.test_tree import create


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def summed(table: dict[str, Any], number: int = 0) -> Counter[tuple[Any, ...]]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for _, key, *numbers in table["cells"]:
        sums[tuple(table["keys"][key])] += numbers[number]
    return sums


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Rows], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report")
    page = folder / "report.html"
    rows = run_replay(folder / "out", SAMPLE / "logs", options=(*OPTIONS, "--report", str(page)))
    return rows, data_of(page)


def test_every_view_shows_the_numbers_of_the_output(made: tuple[dict[str, Rows], dict[str, Any]]) -> None:
    rows, data = made
    views = data["views"]
    assert data["streams"] == {stream: len(some) for stream, some in rows.items()}
    alerts, joins, connects = rows["alerts"], rows["sysmon_join"], rows["sysmon_network_connect"]
    assert summed(views["rules"]) == Counter(
        (a["rule_title"], a["rule_level"], a["rule_id"], a["host"].lower()) for a in alerts
    )
    assert summed(views["levels"]) == Counter((a["rule_level"], a["host"].lower()) for a in alerts)
    assert summed(views["techniques"]) == Counter((t,) for a in alerts for t in a["attack"])
    assert summed(views["ports"]) == Counter((str(c["dst_port"]),) for c in connects)
    assert summed(views["time_creates"]) == Counter((c["host"].lower(),) for c in rows["sysmon_process_create"])
    assert summed(views["time_unmatched"]) == Counter((u["reason"],) for u in rows["sysmon_unmatched"])
    assert sum(summed(views["letters"]).values()) == len(rows["dead_letters"])
    assert summed(views["late"], 0) == Counter(
        {
            (name,): sum(w["count"] for w in rows["window_counts"] if w["counter"] == name)
            for name in ("network_destination", "process_image")
        }
    )
    shown = [dict(zip(views["connections"]["columns"], row, strict=True)) for row in views["connections"]["rows"]]
    assert Counter((s["event_uid"], s["process_command_line"]) for s in shown) == Counter(
        (j["event_uid"], j["process_command_line"]) for j in joins
    )
    assert views["anomalies"]["total"] == len(rows["anomalies"])


def test_the_worst_alerts_come_first_with_their_trees(made: tuple[dict[str, Rows], dict[str, Any]]) -> None:
    _, data = made
    table = data["views"]["alerts"]
    first = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert (first["rule_level"], first["host"]) == ("critical", "WS-0002.corp.example")
    assert "CommandLine" in first["matched"]
    names = []
    process = data["trees"][f"ws-0002.corp.example|{first['process_guid']}"]
    assert (process["connects_total"], len(process["children"])) == (32, 4)
    while process:
        names.append((process["path"] or "?").rpartition("\\")[2])
        process = data["trees"].get(f"ws-0002.corp.example|{process['parent']}")
    assert names == ["powershell.exe", "WINWORD.EXE", "OUTLOOK.EXE", "explorer.exe"]


def test_the_rules_text_is_there_with_rules(made: tuple[dict[str, Rows], dict[str, Any]], tmp_path: Path) -> None:
    rows, data = made
    assert set(data["rules"]) == {alert["rule_id"] for alert in rows["alerts"]}
    assert all(f"id: {rule}" in text for rule, text in data["rules"].items())


def test_a_report_of_a_folder_is_made_alone_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "out", {"sysmon_join": [connect(n) for n in range(3)]})
    page = tmp_path / "r.html"
    assert main(["report", str(folder), "-o", str(page)]) == 0
    assert main(["report", str(folder), "-o", str(page)]) == 0
    assert "open it in a browser" in capsys.readouterr().err
    assert data_of(page)["views"]["connections"]["total"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "r.html"]


def test_the_panels_of_monster_agent_have_the_numbers_of_its_records(tmp_path: Path) -> None:
    made = list(generator.records(416))
    (tmp_path / "in.tsv").write_bytes(tsv(*made))
    out, page = str(tmp_path / "out"), tmp_path / "r.html"
    assert main(["monster", "--input", str(tmp_path / "in.tsv"), "--output", out, "--quiet"]) == 0
    assert main(["report", out, "-o", str(page), "--quiet"]) == 0
    views, documents = data_of(page)["views"], [record.document for record in made]
    starts = [d for d in documents if d["EventID"] == 1500]
    flows = [d for d in documents if 3000 <= d["EventID"] < 4000]
    assert views["monster_events"]["total"] == views["monster_rows"]["total"] == len(documents)
    assert summed(views["monster_hosts"]) == Counter((d["host_key"], str(d["EventID"])) for d in documents)
    for name, key, some in (
        ("commands", "CommandLine", starts),
        ("images", "Image", starts),
        ("addresses", "remote_ip", flows),
        ("ports", "remote_port", flows),
    ):
        counts = Counter((None if d.get(key) is None else str(d[key]),) for d in some)
        found = summed(views[f"monster_{name}"])
        assert len(found) == min(10, len(counts))
        assert found.items() <= counts.items()
        assert sorted(found.values()) == sorted(counts.values())[-10:], name
    untrusted = [d for d in starts if not (d["signer_trusted"] and "microsoft" in (d.get("Signer") or "").lower())]
    assert 0 < len(untrusted) < len(starts)
    assert summed(views["monster_signers"]) == Counter(
        (d.get("Signer"), d.get("VerifiedResult"), d.get("Image")) for d in untrusted
    )
    for name, thousand in (("files", 2), ("registry", 4)):
        kinds = Counter((d["event_type"],) for d in documents if d["EventID"] // 1000 == thousand)
        assert summed(views[f"monster_{name}"]) == kinds
    for number, column in enumerate(("SendBytes", "RecvBytes")):
        sums: Counter[tuple[str]] = Counter()
        for d in flows:
            sums[(d["host_key"],)] += d.get(column) or 0
        assert summed(views["monster_bytes"], number) == sums


def test_the_page_stays_small_whatever_the_texts(tmp_path: Path) -> None:
    long = "x" * 30_000
    joins = [connect(n, process_command_line=long, process_path=f"{n}{long}", user_account=long) for n in range(150)]
    alert = {
        "rule_title": long,
        "rule_level": "high",
        "rule_id": "r",
        "host": "h",
        "attack": [],
        "matched": {"a": long},
    }
    alerts = [alert | {"event_uid": str(n), "event": {"ProcessGuid": f"{{g{n}}}", "b": long}} for n in range(150)]
    creates = [create("h", f"g{n}", f"g{n + 1}", n) | {"process_command_line": long} for n in range(150)]
    rows = {"sysmon_join": joins, "sysmon_network_connect": joins, "alerts": alerts, "sysmon_process_create": creates}
    folder_of(tmp_path / "out", rows)
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "r.html"), "--quiet"]) == 0
    assert (tmp_path / "r.html").stat().st_size < 15_000_000
    data = data_of(tmp_path / "r.html")
    assert data["views"]["connections"]["total"] == 150
    assert 0 < len(data["views"]["connections"]["rows"]) <= 150
    assert len(data["trees"]) > 10


@pytest.mark.parametrize(
    ("folder", "output", "says"),
    [
        ("nothing", "r.html", "there is no folder"),
        ("empty", "r.html", "holds no results: name the --output of a replay"),
        ("out", "empty", "is a folder: name a file"),
        ("out", "none/r.html", "make it, or choose another file"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, folder: str, output: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    folder_of(tmp_path / "out", {"sysmon_join": [connect(1)]})
    assert main(["report", str(tmp_path / folder), "-o", str(tmp_path / output)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_replay_refuses_a_report_that_could_not_be_made_before_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["replay", "--input", str(SAMPLE / "logs"), "--output", str(tmp_path / "out"), "--report", str(tmp_path)]
    assert main(argv) == 2
    assert "is a folder: name a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*argv[:4], "gs://bucket/out", *argv[5:]]) == 2
    assert "--report needs the results on this machine" in capsys.readouterr().err


def test_a_torn_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "out", {"sysmon_join": [connect(1)]})
    (folder / "sysmon_join" / "part-2.parquet").write_bytes(b"PAR1 torn")
    assert main(["report", str(folder), "-o", str(tmp_path / "r.html")]) == 2
    assert "cannot be read" in capsys.readouterr().err
