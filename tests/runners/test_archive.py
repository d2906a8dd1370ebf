"""`huntbeam archive` without a broker: rows, their files, and what the files' names tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.cli import main
from huntbeam.runners.kafka.archive_options import streams_of
from huntbeam.runners.kafka.archive_rows import identities, identity_of, typed_row
from huntbeam.runners.kafka.landing import Chunk, Folder, Landed, Origin
from huntbeam.schemas.dead_letter import Original, RecordError, dead_letter
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import Duplicate
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.topic_rows import Encoding, RowEncoder, decode_value, topic_name
from tests.conftest import read_rows

TIME = "2019-05-18T20:36:50.123Z"
WINDOW = WindowCount("process_image", TIME, TIME, {"host": "ws-1"}, 4, {"p": 2}, False, TIME, TIME, 1, 0, "0" * 32)
DUPLICATE = Duplicate("1" * 32, TIME, "ws-1", 3, None, None, None, "17", "kafka:in", 9)
LETTER = dead_letter(RecordError("read", "InvalidJson", "no"), Original.of(b"{"), "kafka:T", 9, 0)
ORIGINS = {
    "window_counts": Origin("WINDOW_COUNTS", "a"),
    "duplicates": Origin("DUPLICATES", "b"),
    "dead_letters": Origin("DEAD_LETTERS", "c"),
}


def folder_of(path: Path, origins: dict[str, Origin] = ORIGINS) -> Folder:
    return Folder(str(path), origins)


def window_chunk(folder: Folder, first: int, file_format: Format = Format.PARQUET) -> Chunk:
    return Chunk(folder, "window_counts", "WINDOW_COUNTS", 0, first, file_format)


def files(output: Path) -> list[str]:
    return sorted(str(p.relative_to(output)) for p in output.rglob("*") if p.is_file() and ".huntbeam" not in str(p))


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(("stream", "row"), [("window_counts", WINDOW), ("duplicates", DUPLICATE)])
def test_a_value_of_a_topic_becomes_its_row_again(encoding: Encoding, stream: str, row: msgspec.Struct) -> None:
    assert typed_row(decode_value(RowEncoder(stream, encoding).encode(row)[1]), stream) == row


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_uid": None},
        {"count": "many"},
        {"count": 2**63},
        {"distinct": {"p": 2**63}},
        {"window_start": "yesterday"},
        {"window_start": "2019-05-18 20:36"},
        {"key": [1]},
        {"key": {"port": 2**64}},
    ],
)
def test_what_a_file_could_not_hold_is_refused_without_its_content(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="the value is no row of window_counts") as refused:
        typed_row(msgspec.structs.asdict(WINDOW) | wrong, "window_counts")
    assert not any(str(value) in refused.value.message for value in wrong.values())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@given(st.dictionaries(st.sampled_from(WindowCount.__struct_fields__), _JSON))
def test_no_row_of_an_attacker_breaks_a_file(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    try:
        row = typed_row(msgspec.structs.asdict(WINDOW) | changes, "window_counts")
    except RecordError:
        return
    output = tmp_path_factory.mktemp("out")
    with folder_of(output) as folder:
        for file_format in Format:
            chunk = window_chunk(folder, 0, file_format)
            chunk.add(row)
            chunk.land()


@pytest.mark.parametrize("file_format", Format)
@pytest.mark.parametrize(
    ("stream", "row"), [("window_counts", WINDOW), ("duplicates", DUPLICATE), ("dead_letters", LETTER)]
)
def test_a_landed_row_is_known_again(tmp_path: Path, file_format: Format, stream: str, row: msgspec.Struct) -> None:
    with folder_of(tmp_path) as folder:
        chunk = Chunk(folder, stream, stream.upper(), 2, 12_345, file_format)
        chunk.add(row)
        chunk.took(12_350, 100)
        assert chunk.land() == 1
        path = tmp_path / stream / f"part-2-00000000000000012345-00000000000000012350.{file_format}"
        assert list(folder.landed(stream)) == [Landed(path, 2, 12_345, 12_350)]
    assert list(identities(path, stream)) == [identity_of(row, stream)]
    assert len(read_rows(tmp_path, stream)) == 1


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    for file_format in Format:
        path = tmp_path / f"part{file_format.suffix}"
        path.write_bytes(b"not one of ours")
        with pytest.raises(UnusableError, match="move it away"):
            list(identities(path, "window_counts"))


def test_repeats_alone_make_no_file_and_dead_letters_come_with_an_empty_one(tmp_path: Path) -> None:
    with folder_of(tmp_path) as folder:
        repeats = window_chunk(folder, 0)
        repeats.took(9, 1)
        assert repeats.land() == 0
        assert files(tmp_path) == ["_archive.json"]
        refused = window_chunk(folder, 10)
        refused.refuse(LETTER)
        assert refused.land() == 0
        assert [landed.first for landed in folder.landed("window_counts")] == [10]
    assert read_rows(tmp_path, "undecodable")[0]["source"] == "kafka:T"


def test_a_killed_landing_is_undone_by_the_next(tmp_path: Path) -> None:
    """Killed between the two renames: the dead letters go, because their records are read again."""
    with folder_of(tmp_path) as folder:
        for first in (0, 1):
            chunk = window_chunk(folder, first)
            chunk.refuse(LETTER)
            chunk.add(WINDOW)
            chunk.land()
    (tmp_path / "window_counts" / f"part-0-{1:020}-{1:020}.parquet").unlink()
    (tmp_path / ".huntbeam-archive" / "window_counts-0").write_bytes(b"PAR1")
    with folder_of(tmp_path):
        assert files(tmp_path) == [
            "_archive.json",
            f"undecodable/WINDOW_COUNTS-part-0-{0:020}-{0:020}.jsonl",
            f"window_counts/part-0-{0:020}-{0:020}.parquet",
        ]
        assert [path.name for path in (tmp_path / ".huntbeam-archive").iterdir()] == ["lock"]


def test_a_second_archive_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    with folder_of(tmp_path), pytest.raises(UnusableError, match="another huntbeam archive"):
        folder_of(tmp_path)
    folder_of(tmp_path).__exit__()


@pytest.mark.parametrize(
    ("origin", "said"),
    [(Origin("lab.WINDOW_COUNTS", "x"), "is from the topic"), (Origin("WINDOW_COUNTS", "x"), "deleted and made again")],
)
def test_another_topic_than_before_is_refused(tmp_path: Path, origin: Origin, said: str) -> None:
    folder_of(tmp_path).__exit__()
    with pytest.raises(UnusableError, match=said):
        folder_of(tmp_path, {"window_counts": origin})
    folder_of(tmp_path, {"sysmon_join": Origin("SYSMON_JOIN", "d")}).__exit__()  # one more stream is welcome


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "replayed").mkdir()
    (tmp_path / "replayed" / "_SUCCESS").write_bytes(b"")
    for output, said in (
        ("gs://bucket/out", "no local folder"),
        (str(tmp_path / "file"), "choose another folder"),
        (str(tmp_path / "replayed"), "the results of a replay"),
    ):
        with pytest.raises(UnusableError, match=said):
            Folder(output, ORIGINS)


def test_topics_tell_their_stream_by_name_or_are_told() -> None:
    assert streams_of(["lab.SYSMON_JOIN", "once=window_counts"], "lab.") == {
        "lab.SYSMON_JOIN": "sysmon_join",
        "once": "window_counts",
    }
    assert streams_of([stream.upper() for stream in STREAMS], "") == {stream.upper(): stream for stream in STREAMS}
    assert streams_of([topic_name(s, "lab.") for s in STREAMS], "lab.") == {topic_name(s, "lab."): s for s in STREAMS}
    for wrong in (["OTHER"], ["A=nothing"], ["A=sysmon_join", "SYSMON_JOIN"]):
        with pytest.raises(UnusableError, match="--topic"):
            streams_of(wrong, "")


@pytest.mark.parametrize("option", ["--roll_rows=0", "--roll_bytes=-1", "--roll_interval=soon", "--dedupe_window=1y"])
def test_options_that_cannot_be_used_are_one_sentence(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "--output", "out", "--bootstrap_servers", "127.0.0.1:1", option]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert option.partition("=")[0] in said
