"""huntbeam peek on folders, and its conditions."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.where import conditions
from huntbeam.schemas.errors import UnusableError
from tests.conftest import ROOT, run_replay

SAMPLE = ROOT / "samples" / "logs"
ROW = {
    "host": "WS-1",
    "dst_port": 443,
    "hashes": None,
    "capped": False,
    "key": {"host": "ws-[2]", "a.b": {"c": "deep"}},
    "truncated_fields": ["hashes", "key.host"],
    "text": "two\nlines",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peek") / "out"
    run_replay(folder, SAMPLE)
    return folder


def peek(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    assert main(["peek", *argv]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (["host=ws-1"], True),
        (["host=ws"], False),
        (["host=ws-*", "dst_port=44?"], True),
        (["host=ws-*", "dst_port=80"], False),
        (["hashes="], True),
        (["hashes=?*"], False),
        (["nothing="], False),
        (["capped=False"], True),
        (["key.host=ws-[2]"], True),
        (["key.host=ws-2"], False),
        (["key.a.b.c=DEEP"], True),
        (["host.name=*"], False),
        (["truncated_fields=key.*"], True),
        (["text=two*lines"], True),
        (["host=a=b"], False),
        ([], True),
    ],
)
def test_conditions(where: list[str], holds: bool) -> None:
    assert all(condition.holds(ROW) for condition in conditions(where)) is holds


def test_a_hostile_text_does_not_hold_up_a_pattern() -> None:
    assert not conditions(["text=*a*a*a*a*a*a*b"])[0].holds({"text": "a" * 200_000})


@pytest.mark.parametrize("text", ["host", "=x", ""])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UnusableError, match="write FIELD=VALUE"):
        conditions([text])


def test_the_rows_of_a_stream_and_of_all_streams(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joins = [json.loads(line) for line in next((output / "sysmon_join").iterdir()).read_bytes().splitlines()]
    assert peek(capsys, str(output / "sysmon_join")) == joins
    assert len(peek(capsys, str(output))) == sum(json.loads((output / "_SUCCESS").read_text())["rows"].values())


@pytest.mark.parametrize("file_format", ["parquet", "avro"])
def test_every_format_shows_the_same_rows(
    output: Path, tmp_path: Path, file_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_replay(tmp_path / "out", SAMPLE, options=("--format", file_format))
    for stream in ("sysmon_join", "window_counts"):
        expected = peek(capsys, str(output / stream))
        for row in expected:
            if "key" in row:  # a map of text there
                row["key"] = {name: None if value is None else str(value) for name, value in row["key"].items()}
        shown = peek(capsys, str(tmp_path / "out" / stream))
        assert sorted(shown, key=json.dumps) == sorted(expected, key=json.dumps)


def test_where_and_limit(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connects = peek(capsys, str(output / "sysmon_join"), "--where", "dst_port=445")
    assert {row["dst_port"] for row in connects} == {445}
    assert peek(capsys, str(output / "sysmon_join"), "--where", "dst_port=445", "--limit", "2") == connects[:2]
    windows = peek(capsys, str(output / "window_counts"), "--where", "key.host=WS-0002*")
    assert {row["key"]["host"].lower() for row in windows} == {"ws-0002.corp.example"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["{out}", "--limit", "0"], "--limit 0: write a number from 1 on"),
        (["{out}", "--follow"], "is a folder: --follow and --from are for topics; leave them out"),
        (["{out}/nothing"], "there is no folder {out}/nothing"),
        (["TOPIC", "--from", "end"], "--from end shows what comes after now: add --follow"),
        (["{empty}"], "{empty} holds no results"),
        (["{bad}"], "cannot be read ("),
    ],
)
def test_what_cannot_be_shown(
    output: Path, tmp_path: Path, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, empty = tmp_path / "bad", tmp_path / "empty"
    for folder in (bad, empty):
        folder.mkdir()
    (bad / "a.jsonl").write_text("{torn")
    places = {"out": output, "bad": bad, "empty": empty}
    assert main(["peek", *(text.format(**places) for text in argv)]) == 2
    assert said.format(**places) in capsys.readouterr().err


HOSTILE = "\x1b[31m\x07\x7f\x9b1m\u202eé"


def show(folder: Path, terminal: bool) -> bytes:
    folder.joinpath("a.jsonl").write_text(json.dumps({"text": HOSTILE}) + "\n")
    command = [sys.executable, "-m", "huntbeam.runners.cli", "peek", str(folder)]
    if not terminal:
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    said = os.read(ours, 4096)
    os.close(ours)
    return said


def test_nothing_of_an_attacker_reaches_a_terminal_raw(tmp_path: Path) -> None:
    said = show(tmp_path, terminal=True)
    assert json.loads(said) == {"text": HOSTILE}
    assert all(0x20 <= byte < 0x7F for byte in said.rstrip(b"\r\n"))


def test_elsewhere_rows_are_utf8(tmp_path: Path) -> None:
    said = show(tmp_path, terminal=False)
    assert json.loads(said) == {"text": HOSTILE}
    assert "é".encode() in said


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    tmp_path.joinpath("a.jsonl").write_text(f'{{"text":"{"x" * 1000}"}}\n' * 2000)
    command = f"{sys.executable} -m huntbeam.runners.cli peek {tmp_path} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[1] == "0"
    assert done.stderr == ""
