"""Files: which ones paths, folders and patterns name, here and in the cloud."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from huntbeam.transforms import files
from huntbeam.transforms.read import FileInfo, InputError, Span, expand, read, spans

from .reading import LINES, PLAIN, Got


def test_expand(tmp_path: Path) -> None:
    for name in (
        "b.json",
        "a.json",
        "sub/c.json",
        ".hidden/d.json",
        "_tmp/e.json",
        "sub/.f",
        "sub/_SUCCESS",
        "x[1].json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")

    def names(*patterns: str) -> list[str]:
        return [str(Path(f.path).relative_to(tmp_path)) for f in expand([str(tmp_path / p) for p in patterns])]

    everything = ["a.json", "b.json", "sub/c.json", "x[1].json"]
    assert names("") == everything
    assert names("**") == everything
    assert names("*") == everything
    assert names("**/*.json") == everything
    assert names("?.json", "a.json", "sub/../b.json") == ["a.json", "b.json"]
    assert names("x[1].json") == ["x[1].json"]
    assert names("_tmp/*") == ["_tmp/e.json"]
    assert names(".hidden") == [".hidden/d.json"]
    assert expand([str(tmp_path / "a.json")]) == [FileInfo(str(tmp_path / "a.json"), 5)]
    assert expand(["-"]) == [FileInfo("-", 0)]


def test_expand_refuses_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    for pattern in ("*.json", "missing", "empty", "dead"):
        with pytest.raises(InputError, match=str(tmp_path / pattern).replace("*", r"\*")):
            expand([str(tmp_path / pattern)])


def test_expand_refuses_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret").write_bytes(b"")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="secret cannot be read"):
        expand([str(tmp_path)])
    assert Got(read(Span(str(tmp_path / "secret"), 0, 0, None, 0))).classes == ["ReadError"]


class _File:
    def __init__(self, data: io.BytesIO) -> None:
        self.read, self.seek, self.close = data.read, data.seek, data.close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Bucket:
    """Beam's FileSystems over a dictionary, without readinto as some of its files are."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def match(self, patterns: list[str]) -> list[Any]:
        if "denied" in patterns[0]:
            raise RuntimeError("no")
        sign = re.compile(re.escape(patterns[0]).replace(r"\*\*", ".*").replace(r"\*", "[^/]*"))
        found = [
            SimpleNamespace(path=path, size_in_bytes=len(data), last_updated_in_seconds=7.0)
            for path, data in self._files.items()
            if sign.fullmatch(path)
        ]
        return [SimpleNamespace(metadata_list=found)]

    def open(self, path: str, compression_type: str) -> Any:
        if path not in self._files:
            raise RuntimeError("not found")
        data = io.BytesIO(self._files[path])
        return _File(data)


def test_remote_files(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a/x.json", "a/b/y.json", "a/_tmp/z", "a/.h", "a/", "other")
    bucket = Bucket({f"gs://b/{n}": PLAIN for n in names})
    monkeypatch.setattr(files, "_filesystems", lambda _: (bucket, ""))

    def found(pattern: str) -> list[str]:
        return [f.path.removeprefix("gs://b/") for f in expand([pattern])]

    assert found("gs://b/a") == found("gs://b/a/") == found("gs://b/a/**") == ["a/b/y.json", "a/x.json"]
    assert found("gs://b") == ["a/b/y.json", "a/x.json", "other"]
    assert found("gs://b/a/*.json") == found("gs://b/a/x.json") == ["a/x.json"]
    assert found("gs://b/a/_tmp/*") == ["a/_tmp/z"]
    for pattern in ("gs://b/none", "gs://b/*.none", "gs://denied/x"):
        with pytest.raises(InputError, match="gs://"):
            expand([pattern])
    pieces = spans(expand(["gs://b/other"]), 16)
    assert len(pieces) > 1
    got = Got(item for span in pieces for item in read(span))
    assert got.lines == LINES
    assert Got(read(Span("gs://b/gone", 0, 0, None, 1))).classes == ["ReadError"]


def test_content_and_copies_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket = Bucket({"gs://b/x": PLAIN, "gs://b/cut": PLAIN})
    monkeypatch.setattr(files, "_filesystems", lambda _: (bucket, ""))
    monkeypatch.setattr(files, "_PIECE", 7)
    (tmp_path / "x").write_bytes(PLAIN)
    for path in ("gs://b/x", str(tmp_path / "x")):
        for most in (0, 1, 6, 7, 8, len(PLAIN) - 1, len(PLAIN), len(PLAIN) + 100):
            assert files.content(path, most) == PLAIN[: most + 1]
            with files.local_copy(path, most) as copy:
                assert Path(copy).read_bytes() == PLAIN[: most + 1]
                assert Path(copy).stat().st_mode & 0o077 == 0
            assert not Path(copy).exists()
    with pytest.raises(OSError, match="RuntimeError"):
        files.content("gs://b/gone", 10)


def test_a_bucket_that_refuses_at_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> bytes:
        raise RuntimeError("no")

    bucket = SimpleNamespace(open=lambda *_, **__: contextlib.closing(SimpleNamespace(read=refuse, close=print)))
    monkeypatch.setattr(files, "_filesystems", lambda _: (bucket, ""))
    with pytest.raises(OSError, match="RuntimeError"):
        files.content("gs://b/x", 10)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_standard_input_that_gives_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    for stdin, reason in ((None, "closed"), (closed, "closed"), (Terminal(io.BytesIO()), "keyboard")):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(InputError, match=f"standard input.*{reason}"):
            expand(["-"])
        with pytest.raises(InputError, match=reason):
            list(read(Span("-", 0, 0, None, 0)))


def test_standard_input_closed_by_the_shell_is_refused() -> None:
    code = "from huntbeam.transforms.files import expand; expand(['-'])"
    run = subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" <&-'], capture_output=True, text=True, check=False)
    assert "standard input, which is closed" in run.stderr
