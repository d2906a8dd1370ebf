"""Replay and stream with an index, against a server over real HTTP."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huntbeam.pipelines.index_options import Indexing, server
from huntbeam.runners.cli import main
from huntbeam.schemas import streams
from huntbeam.schemas.search import USUAL, target
from huntbeam.transforms.search_http import SearchServer
from tests.conftest import Rows, run_replay
from tests.events import CONNECT, CONNECT_DATA, CREATE, wlb7
from tests.pipelines.streaming import run_stream
from tests.transforms.search_double import Kept, serving


@pytest.fixture
def kept() -> Iterator[Kept]:
    with serving(Kept()) as found:
        yield found


def records(connects: int = 5, **last: str) -> list[dict[str, Any]]:
    """A create and its connects, `last` is how the last one differs."""
    made = [
        CONNECT._replace(record_id=100 + n, data=CONNECT_DATA | {"SourcePort": str(50_000 + n)})
        for n in range(connects)
    ]
    if last:
        made[-1] = made[-1]._replace(data=made[-1].data | last)
    return [wlb7(fact) for fact in (CREATE, *made)]


def archive(tmp_path: Path, found: list[dict[str, Any]]) -> Path:
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in found))
    return path


def tallies(output: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((output / "_SUCCESS").read_bytes())["summary"]["tallies"]
    return {name: count for name, count in found.items() if name.startswith("index")}


def documents(kept: Kept, stream: str) -> Rows:
    name = target(stream).name
    return [row for (index, _), (_, row) in sorted(kept.documents.items()) if index.startswith(f"{name}-")]


def by_uid(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: str(row["event_uid"]))


def test_documents_are_the_rows_and_a_second_run_adds_none(kept: Kept, tmp_path: Path) -> None:
    path = archive(tmp_path, records())
    rows = run_replay(tmp_path / "out", path, options=("--index", kept.url))
    for stream in (streams.JOIN, streams.WINDOW_COUNTS):
        assert documents(kept, stream) == by_uid(rows[stream]) != []
    before = dict(kept.documents)
    assert {index for index, _ in before} == {"sysmon-join-2026.03.04", "sysmon-windows-2026.03.04"}
    assert tallies(tmp_path / "out") == {"indexed": len(before)}
    run_replay(tmp_path / "again", path, options=("--index", kept.url))
    assert kept.documents == before
    windows = len(rows[streams.WINDOW_COUNTS])
    assert tallies(tmp_path / "again") == {"indexed": len(before) - windows, "index_superseded": windows}


def test_a_bad_address_is_one_dead_letter_and_the_others_are_stored(kept: Kept, tmp_path: Path) -> None:
    path = archive(tmp_path, records(DestinationIp="bad"))
    rows = run_replay(tmp_path / "out", path, options=("--index", kept.url, "--index_streams", "sysmon_join"))
    assert len(rows[streams.JOIN]) == 5
    assert len(kept.documents) == 4
    (dead,) = rows[streams.DEAD_LETTERS]
    assert (dead["step"], dead["source"]) == ("index", "index:sysmon-join-2026.03.04")
    assert dead["message"] == "the search server refuses it: field dst_ip_addr (ip): mapper_parsing_exception"
    assert tallies(tmp_path / "out") == {"indexed": 4, "index_refused": 1}


def test_a_server_that_was_away_gets_all_of_it(kept: Kept, tmp_path: Path) -> None:
    kept.fails = [(503, ""), (429, "")]
    rows = run_replay(tmp_path / "out", archive(tmp_path, records()), options=("--index", kept.url))
    assert documents(kept, streams.JOIN) == by_uid(rows[streams.JOIN])


def test_other_streams_with_a_prefix(kept: Kept, tmp_path: Path) -> None:
    options = ("--index", kept.url, "--index_prefix", "lab-", "--index_streams", "sysmon_process_create")
    run_replay(tmp_path / "out", archive(tmp_path, records()), options=options)
    assert [index for index, _ in kept.documents] == ["lab-sysmon-creates-2026.03.04"]


def test_it_says_that_there_is_no_template(kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path, records())
    argv = ["replay", "--input", str(path), "--index", kept.url, "--output"]
    assert main([*argv, str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert f"sysmon-join-*, sysmon-windows-* of OpenSearch 2.19 at {kept.url}" in said
    assert "there is no template for sysmon-join-*" in said
    kept.known = tuple(f"/_index_template/huntbeam-{target(stream).name}" for stream in USUAL)
    assert main([*argv, str(tmp_path / "again")]) == 0
    assert "there is no template" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--index", "http://127.0.0.1:1"], "http://127.0.0.1:1 does not answer"),
        (["--index", "URL", "--index_streams", "alerts"], "this run puts none of them out"),
        (["--index", "URL", "--index_streams", "dead_letters"], "it cannot be indexed"),
        (["--index", "URL", "--index_streams", ","], "--index_streams names no stream"),
        (["--index", "URL", "--index_patience", "soon"], "--index_patience: 'soon' is no duration"),
        (["--index", "URL", "--index_auth", "env:NOT_THERE"], "the variable is not set where this runs"),
        (["--index_prefix", "lab-"], "--index_prefix is there, but no --index URL"),
    ],
    ids=["nobody", "no-rules", "dead-letters", "none", "patience", "login", "no-index"],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    kept: Kept, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path, records())
    given = [kept.url if option == "URL" else option for option in options]
    assert main(["replay", "--input", str(path), "--output", str(tmp_path / "out"), *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_login_is_read_where_documents_are_written(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "login").write_text("ApiKey c2VjcmV0")
    kept.logins = ("ApiKey c2VjcmV0",)
    options = ["--index", kept.url, "--index_auth", "file:login"]
    path = archive(tmp_path, records())
    assert main(["replay", "--verbose", "--input", str(path), "--output", str(tmp_path / "out"), *options]) == 0
    assert kept.documents
    captured = capsys.readouterr()
    assert "c2VjcmV0" not in captured.out + captured.err


def test_a_stream_indexes_what_it_puts_out_and_its_dead_letters_have_what_was_refused(
    kept: Kept, tmp_path: Path
) -> None:
    indexing = Indexing(SearchServer(kept.url), "", USUAL, None)
    values = [json.dumps(record).encode() for record in records(DestinationIp="bad")]
    rows = run_stream(tmp_path / "out", {"in": values}, index=indexing)
    stored = {row["event_uid"] for row in documents(kept, streams.JOIN)}
    (dead,) = rows[streams.DEAD_LETTERS]
    assert dead["step"] == "index"
    assert stored == {row["event_uid"] for row in rows[streams.JOIN] if row["dst_ip_addr"] != "bad"}
    generations = {name for index, name in kept.documents if index.startswith("sysmon-windows-")}
    assert generations == {f"{row['event_uid']}-{row['generation']}" for row in rows[streams.WINDOW_COUNTS]}


def test_places_are_those_of_the_command_line_wherever_workers_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(index_auth="file:login", index_ca="ca.pem")
    expected = SearchServer("https://search", f"file:{tmp_path / 'login'}", str(tmp_path / "ca.pem"))
    assert server("https://search", args) == expected
    assert server("https://search", argparse.Namespace(index_auth="env:A", index_ca=None)).auth == "env:A"
