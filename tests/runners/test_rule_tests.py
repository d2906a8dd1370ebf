"""`huntbeam rules test`: the pack, users' own rules, and what is said of what is wrong; through main(argv)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from huntbeam.rules import located
from huntbeam.runners.all_rules import all_rules
from huntbeam.runners.cli import main
from huntbeam.runners.rule_table import markdown
from huntbeam.runners.rule_tests import trial_rules
from huntbeam.transforms.read import Span, expand, spans
from huntbeam.transforms.trial import tried
from tests.conftest import ROOT, run_replay
from tests.events import CONNECT, CREATE, CREATE_DATA, Fact, wlb7

RULE_ID = "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b11"
RULE = f"""\
title: A <Shell> & "More"
id: {RULE_ID}
logsource: {{category: process_creation, product: windows}}
detection:
    selection: {{CommandLine|contains: hidden}}
    condition: selection
level: low
"""
RARE = """\
kind: rare
id: 2b5b9d5e-9c5f-4f0e-8f55-0c5f2d1d0a01
name: A Rare Program
severity: low
counter: process_image
"""
SHELL = CREATE._replace(data=CREATE_DATA | {"CommandLine": "powershell -w hidden"})


def sample(path: Path, *facts: Fact) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "shell.yml").write_text(RULE)
    return folder


def run(capsys: pytest.CaptureFixture[str], *argv: Any) -> tuple[int, str]:
    code = main(["rules", "test", *map(str, argv)])
    return code, capsys.readouterr().out


def test_every_rule_of_ours_has_samples_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "builtin:", "--strict", "--junit", tmp_path / "out.xml")
    assert code == 0, out
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()[0]  # noqa: S314  # our own
    assert [suite.get(name) for name in ("failures", "errors", "skipped")] == ["0", "0", "0"]
    assert int(suite.get("tests") or 0) == len(suite) == len(list(ROOT.glob("rules/*/*.[fs]i*.ndjson"))) > 50


def files(pattern: str) -> list[Path]:
    return sorted(path for path in (ROOT / "rules").rglob("*.ndjson") if pattern in path.name)


def read(paths: Sequence[Path]) -> list[Span]:
    return spans(expand([str(path) for path in paths]))


def test_a_replay_finds_what_the_tests_find(tmp_path: Path) -> None:
    """All samples that fire at once: the whole path, with the rules of the package, finds each."""
    everything, usual = files(".fires"), files(".baseline")
    run_replay(tmp_path / "usual", *usual, options=("--anomaly_rules", "builtin:"))
    assert main(["baseline", str(tmp_path / "usual"), "-o", str(tmp_path / "base"), "--quiet"]) == 0
    options = ("--rules", "builtin:", "--anomaly_rules", "builtin:", "--baseline", str(tmp_path / "base"))
    out = run_replay(tmp_path / "out", *everything, options=options)
    found = {row["rule_id"] for stream in ("alerts", "anomalies") for row in out[stream]}
    rules = all_rules(["builtin:"])
    assert found == {fact.id for fact in rules.facts if fact.alerts}
    assert found == tried(trial_rules(rules, 300_000), read(everything), read(usual)).found


def test_the_table_of_our_rules_is_true() -> None:
    text = (ROOT / "docs" / "detections.md").read_text(encoding="utf-8")
    assert text == markdown(), "python -m huntbeam.runners.rule_table > docs/detections.md"


def test_rules_and_samples_are_all_in_the_package() -> None:
    assert Path(located("builtin:")) == ROOT / "rules"
    assert Path(located("builtin:windows")) == ROOT / "rules" / "windows"
    there = {path.suffix for path in (ROOT / "rules").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert there == {".py", ".yml", ".toml", ".ndjson"}
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"huntbeam.rules": ["**/*.yml", "**/*.toml", "**/*.ndjson"]' in text


def test_rules_of_a_users_own(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(mine / "shell.fires.ndjson", SHELL)
    sample(mine / "shell.fires.again.ndjson", CREATE, SHELL)
    sample(mine / f"{RULE_ID}.silent.ndjson", CREATE)
    code, out = run(capsys, mine)
    assert (code, out.splitlines()[-1].startswith("1 rules tried on 1 samples: 0 failed")) == (0, True)  # those by id
    (mine / f"{RULE_ID}.silent.ndjson").rename(mine / "shell.silent.ndjson")
    code, out = run(capsys, mine / "shell.yml", "--strict")
    assert (code, "1 rules tried on 3 samples: 0 failed" in out) == (0, True)


def test_a_rule_that_finds_too_little_or_too_much_fails(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(mine / "shell.fires.ndjson", CREATE)
    sample(mine / "shell.silent.ndjson", CREATE, SHELL)
    code, out = run(capsys, mine, "--junit", tmp_path / "out.xml")
    assert code == 1
    assert "shell.fires.ndjson: it finds nothing in 1 events" in out
    assert "shell.silent.ndjson: it finds something in 2 events" in out
    root = ElementTree.parse(tmp_path / "out.xml").getroot()  # noqa: S314  # our own
    assert [failure.get("message") for failure in root.iter("failure")] == [
        f"it finds nothing in 1 events; `huntbeam rules explain {RULE_ID} {mine}/shell.fires.ndjson` says why",
        "it finds something in 2 events",
    ]
    assert {case.get("name") for case in root.iter("testcase")} == {
        f'A <Shell> & "More" ({RULE_ID}): shell.{verdict}.ndjson' for verdict in ("fires", "silent")
    }


def test_rules_without_samples_are_named_and_fail_when_strict(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(mine / "shell.fires.ndjson", SHELL)
    code, out = run(capsys, mine, "--junit", tmp_path / "out.xml")
    assert (code, "no sample (silent)" in out) == (0, True)
    root = ElementTree.parse(tmp_path / "out.xml").getroot()  # noqa: S314  # our own
    assert [skipped.get("message") for skipped in root.iter("skipped")] == ["there is no sample: silent"]
    assert run(capsys, mine, "--strict", "--junit", tmp_path / "out.xml")[0] == 1
    root = ElementTree.parse(tmp_path / "out.xml").getroot()  # noqa: S314  # our own
    assert [failure.get("message") for failure in root.iter("failure")] == ["there is no sample: silent"]


def test_samples_may_lie_elsewhere(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(tmp_path / "samples" / f"{RULE_ID}.fires.ndjson", SHELL)
    sample(tmp_path / "samples" / f"{RULE_ID}.silent.ndjson", CREATE)
    code, out = run(capsys, mine, "--strict", "--samples", tmp_path / "samples")
    assert (code, "1 rules tried on 2 samples" in out) == (0, True)
    assert main(["rules", "test", str(mine), "--samples", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"), [("", "the sample has no events"), ('{"winlog": {}}\n', "byte 0: "), ("{\n", "byte 0: ")]
)
def test_a_sample_that_says_nothing_fails(
    mine: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    sample(mine / "shell.fires.ndjson", SHELL)
    (mine / "shell.silent.ndjson").write_text(content)
    code, out = run(capsys, mine)
    assert (code, message in out) == (1, True), out


def test_a_rule_that_cannot_run_fails(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "shell.yml").write_text(RULE.replace("windows", "linux"))
    code, out = run(capsys, mine, "--junit", tmp_path / "out.xml")
    assert (code, "CANNOT RUN" in out) == (1, True)
    (error,) = ElementTree.parse(tmp_path / "out.xml").getroot().iter("error")  # noqa: S314  # our own
    assert error.get("type") == "NotWindows"


def test_titles_of_others_are_no_xml_and_steer_no_terminal(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine / "shell.yml").write_text(RULE.replace('A <Shell> & "More"', "\"]]><x a='1'/>\\e[31m\\0&amp;\""))
    sample(mine / "shell.fires.ndjson", CREATE)
    code, out = run(capsys, mine, "--junit", tmp_path / "out.xml")
    assert code == 1
    assert "\x1b" not in out
    assert "\0" not in out
    root = ElementTree.parse(tmp_path / "out.xml").getroot()  # noqa: S314  # our own
    assert root[0][0].get("name", "").startswith("]]><x a='1'/>\ufffd[31m\ufffd&amp; (")


def test_what_is_rare_is_judged_by_its_own_baseline(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "shell.yml").unlink()
    (mine / "rare.yml").write_text(RARE)
    new = CREATE._replace(data=CREATE_DATA | {"Image": "C:\\new.exe"})
    sample(mine / "rare.fires.ndjson", CREATE, new)
    sample(mine / "rare.silent.ndjson", CREATE)
    code, out = run(capsys, mine)
    assert (code, "add rare.baseline.ndjson with usual events" in out) == (1, True)
    sample(mine / "rare.baseline.ndjson", CREATE)
    assert run(capsys, mine, "--strict")[0] == 0


def test_anomaly_rules_have_the_counters_of_their_folder(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine / "many.yml").write_text(
        "kind: threshold\nid: many\nname: Many\nseverity: low\n"
        "counter: by_port\nmeasure: distinct.dst_ip_addr\nabove: 1\n"
    )
    (mine / "counters.toml").write_text(
        '[[counter]]\nname = "by_port"\nevent_id = 3\nkey = ["host", "dst_port"]\ndistinct = ["dst_ip_addr"]\n'
    )
    other = CONNECT._replace(data=CONNECT.data | {"DestinationIp": "198.51.100.5"})
    sample(mine / "many.fires.ndjson", CONNECT, other)
    sample(mine / "many.silent.ndjson", CONNECT, CONNECT)
    code, out = run(capsys, mine)
    assert (code, "1 rules tried on 2 samples: 0 failed" in out) == (0, True)
    assert run(capsys, mine, "--window", "1m")[0] == 0
    (mine / "counters.toml").unlink()
    assert main(["rules", "test", str(mine)]) == 2
    assert "there is no counter by_port" in capsys.readouterr().err
