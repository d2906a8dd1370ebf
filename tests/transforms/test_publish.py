import io
import json
from pathlib import Path
from typing import BinaryIO

import fastavro
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems

from huntbeam.schemas.arrow import arrow_schema
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms import publish as publishing
from huntbeam.transforms.publish import OutputError, discard, prepare, publish, publish_again
from huntbeam.transforms.report import ReportPart, WrittenFile
from huntbeam.transforms.row_writers import Format

TWO = {name: STREAMS[name] for name in ("sysmon_join", "dead_letters")}


def _aside_file(aside: str, stream: str, name: str, content: str, rows: int = 1) -> WrittenFile:
    path = Path(aside, stream, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return WrittenFile(stream, str(path), rows, len(content))


def _complete(output: Path, *contents: str, overwrite: bool = False, file_format: Format = Format.JSONL) -> str:
    aside = prepare(str(output), overwrite)
    files = [_aside_file(aside, "sysmon_join", f"part-{n}", text, n + 1) for n, text in enumerate(contents)]
    publish(str(output), aside, ReportPart(files[::-1]), TWO, file_format, {"seconds": 1.5})
    return aside


def _tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_get_their_final_names_and_success_comes_last(tmp_path: Path) -> None:
    output = tmp_path / "new" / "out"
    aside = prepare(f"{output}/", overwrite=False)
    assert Path(aside).parent == output
    files = [_aside_file(aside, "sysmon_join", name, name, rows) for name, rows in (("b", 2), ("a", 1))]
    _aside_file(aside, "sysmon_join", "orphan", "written by a bundle that ran twice")
    rows = publish(str(output), aside, ReportPart(files), TWO, Format.JSONL, {"seconds": 1.5})
    assert rows == {"sysmon_join": 3, "dead_letters": 0}
    assert _tree(output) == [
        "_SUCCESS",
        "dead_letters/part-00000-of-00001.jsonl",
        "sysmon_join/part-00000-of-00002.jsonl",
        "sysmon_join/part-00001-of-00002.jsonl",
    ]
    assert (output / "sysmon_join/part-00000-of-00002.jsonl").read_text() == "a"
    assert (output / "dead_letters/part-00000-of-00001.jsonl").read_bytes() == b""
    assert json.loads((output / "_SUCCESS").read_text()) == {"rows": rows, "summary": {"seconds": 1.5}}
    assert not Path(aside).exists()


def test_empty_streams_have_a_schema(tmp_path: Path) -> None:
    _complete(tmp_path / "p", file_format=Format.PARQUET)
    table = pq.read_table(tmp_path / "p/sysmon_join/part-00000-of-00001.parquet")
    assert (table.num_rows, table.schema) == (0, arrow_schema(STREAMS["sysmon_join"]))
    _complete(tmp_path / "a", file_format=Format.AVRO)
    data = (tmp_path / "a/sysmon_join/part-00000-of-00001.avro").read_bytes()
    reader = fastavro.block_reader(io.BytesIO(data))
    assert reader.writer_schema["name"] == "huntbeam.SysmonJoin"  # type: ignore[index,call-overload]
    assert list(reader) == []


def test_results_are_refused_without_overwrite(tmp_path: Path) -> None:
    _complete(tmp_path, "old")
    before = _tree(tmp_path)
    with pytest.raises(OutputError, match=r"is not empty: .* --overwrite$"):
        prepare(str(tmp_path), overwrite=False)
    assert _tree(tmp_path) == before


def test_overwriting_replaces_all_old_results_at_the_end_only(tmp_path: Path) -> None:
    _complete(tmp_path, "old", "old too")
    (tmp_path / "duplicates").mkdir()
    (tmp_path / "duplicates/part-00000-of-00001.avro").write_text("of a run with other options")
    before = _tree(tmp_path)
    aside = prepare(str(tmp_path), overwrite=True)
    assert [name for name in _tree(tmp_path) if not name.startswith(".huntbeam-")] == before
    publish(str(tmp_path), aside, ReportPart(), TWO, Format.AVRO, {})
    assert _tree(tmp_path) == [
        "_SUCCESS",
        "dead_letters/part-00000-of-00001.avro",
        "sysmon_join/part-00000-of-00001.avro",
    ]
    assert not (tmp_path / "duplicates").exists()


@pytest.mark.parametrize(
    "name", ["notes.txt", "sysmon_join/notes.txt", "evidence/part-00000-of-00001.jsonl", "sysmon_join", ".huntbeam-x/a"]
)
@pytest.mark.parametrize("overwrite", [True, False])
def test_foreign_files_are_refused_and_named(tmp_path: Path, name: str, overwrite: bool) -> None:
    foreign = tmp_path / name
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text("mine")
    with pytest.raises(OutputError, match=f"not HuntBeam's \\({name}\\): choose another folder"):
        prepare(str(tmp_path), overwrite)
    assert _tree(tmp_path) == [name]


def test_a_long_list_of_foreign_files_is_cut(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(OutputError, match=r"\(\d.txt, \d.txt, \d.txt, \.\.\.\)"):
        prepare(str(tmp_path), overwrite=True)


def test_a_foreign_file_that_came_during_the_run_stops_publishing(tmp_path: Path) -> None:
    _complete(tmp_path, "old")
    aside = prepare(str(tmp_path), overwrite=True)
    (tmp_path / "notes.txt").touch()
    before = _tree(tmp_path)
    with pytest.raises(OutputError, match=r"notes\.txt"):
        publish(str(tmp_path), aside, ReportPart(), TWO, Format.JSONL, {})
    assert _tree(tmp_path) == before


def test_a_linked_folder_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sysmon_join").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="sysmon_join"):
        prepare(str(tmp_path / "out"), overwrite=True)


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    killed = prepare(str(tmp_path), overwrite=False)
    _aside_file(killed, "sysmon_join", "part-1", "half")
    aside = prepare(str(tmp_path), overwrite=False)
    assert not Path(killed).exists()
    assert [path.name for path in tmp_path.iterdir()] == [Path(aside).name]


def test_names_with_pattern_characters_are_plain_names(tmp_path: Path) -> None:
    neighbour = tmp_path / "case1"
    _complete(neighbour, "theirs")
    output = tmp_path / "case[1]"
    _complete(output, "ours")
    _complete(output, "ours again", overwrite=True)
    assert (output / "sysmon_join/part-00000-of-00001.jsonl").read_text() == "ours again"
    assert (neighbour / "sysmon_join/part-00000-of-00001.jsonl").read_text() == "theirs"


def test_an_output_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be used \(.*\): choose another folder"):
        prepare(str(tmp_path / "file"), overwrite=True)


def test_pattern_characters_in_a_bucket_are_refused() -> None:
    with pytest.raises(OutputError, match="name patterns there"):
        prepare("gs://bucket/case[1]", overwrite=True)


def test_files_of_a_stream_nobody_knows_are_an_error(tmp_path: Path) -> None:
    aside = prepare(str(tmp_path), overwrite=False)
    file = _aside_file(aside, "surprise", "part-1", "")
    with pytest.raises(ValueError, match="surprise"):
        publish(str(tmp_path), aside, ReportPart([file]), TWO, Format.JSONL, {})


def test_discard_leaves_an_empty_folder(tmp_path: Path) -> None:
    aside = prepare(str(tmp_path), overwrite=False)
    discard(aside)
    assert list(tmp_path.iterdir()) == []
    discard(aside)


def _fail_at_the_second_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    rename, calls = FileSystems.rename, iter(range(9))

    def failing(sources: list[str], targets: list[str]) -> None:
        if sources and "replaced" not in targets[0] and "replaced" not in sources[0] and next(calls) == 1:
            raise OSError("no space left")
        rename(sources, targets)

    monkeypatch.setattr(FileSystems, "rename", failing)


def test_a_publishing_that_fails_puts_back_what_it_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _complete(tmp_path, "old", "old too")
    before = {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)}
    aside = prepare(str(tmp_path), overwrite=True)
    files = [_aside_file(aside, stream, "part-0", "new") for stream in TWO]
    _fail_at_the_second_rename(monkeypatch)
    with pytest.raises(OSError, match="no space left"):
        publish(str(tmp_path), aside, ReportPart(files), TWO, Format.JSONL, {})
    discard(aside)
    assert {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)} == before


def test_a_run_killed_while_publishing_is_undone_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _complete(tmp_path, "old")
    before = {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)}
    aside = prepare(str(tmp_path), overwrite=True)
    monkeypatch.setattr("huntbeam.transforms.publish._put_back", lambda *_: None)  # as if it were gone
    _fail_at_the_second_rename(monkeypatch)
    with pytest.raises(OSError, match="no space left"):
        publish(
            str(tmp_path), aside, ReportPart([_aside_file(aside, s, "p", "new") for s in TWO]), TWO, Format.JSONL, {}
        )
    monkeypatch.undo()
    discard(prepare(str(tmp_path), overwrite=True))
    assert {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)} == before


def test_discard_removes_the_output_folder_that_prepare_made(tmp_path: Path) -> None:
    discard(prepare(str(tmp_path / "new"), overwrite=False))
    assert list(tmp_path.iterdir()) == []


def test_when_earlier_results_cannot_all_be_moved_aside_they_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _complete(tmp_path, "old", "old too")
    before = {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)}
    aside = prepare(str(tmp_path), overwrite=True)
    rename = FileSystems.rename

    def failing(sources: list[str], targets: list[str]) -> None:
        if "replaced" in targets[0]:
            rename(sources[:2], targets[:2])
            raise OSError("disk gone")
        rename(sources, targets)

    monkeypatch.setattr(FileSystems, "rename", failing)
    with pytest.raises(OSError, match="disk gone"):
        publish(str(tmp_path), aside, ReportPart(), TWO, Format.JSONL, {})
    discard(aside)
    assert {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)} == before


def test_discard_keeps_earlier_results_that_could_not_be_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _complete(tmp_path, "old")
    before = {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)}
    aside = prepare(str(tmp_path), overwrite=True)
    _fail_at_the_second_rename(monkeypatch)
    monkeypatch.setattr("huntbeam.transforms.publish._put_back", lambda *_: None)  # as if that had failed too
    with pytest.raises(OSError, match="no space left"):
        publish(
            str(tmp_path), aside, ReportPart([_aside_file(aside, s, "p", "new") for s in TWO]), TWO, Format.JSONL, {}
        )
    discard(aside)
    monkeypatch.undo()
    discard(prepare(str(tmp_path), overwrite=True))
    assert {name: (tmp_path / name).read_bytes() for name in _tree(tmp_path)} == before


@pytest.mark.parametrize("earlier", [False, True])
def test_what_is_killed_at_any_step_goes_on_at_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    """As a runner does it that tries a failed step again."""
    attempts = 0
    for kill_at in range(100):
        output = tmp_path / str(kill_at)
        if earlier:
            _complete(output, "old", "older", "oldest")
        aside = prepare(str(output), overwrite=True)
        files = [_aside_file(aside, "sysmon_join", f"part-{n}", text) for n, text in enumerate("abcd")]
        made = str(output), aside, ReportPart(files), TWO, Format.JSONL, {"seconds": 1.5}
        with monkeypatch.context() as patch:
            _die_at(patch, kill_at)
            try:
                rows = publish_again(*made)
            except KeyboardInterrupt:
                attempts += 1
                rows = {}
        if not rows:
            rows = publish_again(*made)
        assert rows == {"sysmon_join": 4, "dead_letters": 0}
        names = [f"sysmon_join/part-0000{n}-of-00004.jsonl" for n in range(4)]
        assert _tree(output) == ["_SUCCESS", "dead_letters/part-00000-of-00001.jsonl", *names]
        assert [(output / name).read_text() for name in names] == list("abcd")
        assert publish_again(*made) == rows
        if attempts <= kill_at:
            break
    assert attempts > 6


def _die_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Ends the process, so to speak, before the given step on files."""
    left, rename, create_ = step, FileSystems.rename, publishing.create

    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt

    def one_by_one(sources: list[str], targets: list[str]) -> None:
        for source, target in zip(sources, targets, strict=True):
            die()
            rename([source], [target])

    def create(path: str) -> BinaryIO:
        die()
        return create_(path)

    patch.setattr(FileSystems, "rename", staticmethod(one_by_one))
    patch.setattr(publishing, "create", create)
    patch.setattr(publishing, "_restore", lambda *_: None)  # a killed process puts nothing back


def test_a_folder_aside_that_is_gone_is_an_error(tmp_path: Path) -> None:
    aside = prepare(str(tmp_path / "out"), overwrite=False)
    discard(aside)
    with pytest.raises(OSError, match="another run used this folder"):
        publish_again(str(tmp_path / "out"), aside, ReportPart([]), TWO, Format.JSONL, {})
