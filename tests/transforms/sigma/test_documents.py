"""Finding the documents below paths, whatever the paths hold."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.documents import Document, documents, documents_of
from huntbeam.transforms.sigma.plan import RuleError
from huntbeam.transforms.sigma.rule_files import Limits

TWO = b"""# two rules

---
title: a
--- # the second

# of them
title: b
text: |
  ---
  no mark
...
---

# end
"""


def found(*paths: Path, limits: Limits = Limits()) -> list[tuple[str, int, str]]:  # noqa: B008  # immutable
    read = list(documents(paths, limits))
    assert all(isinstance(one, Document) for one in read), read
    return [(Path(one.file).name, one.line, one.text) for one in read if isinstance(one, Document)]


def errors(*paths: Path, limits: Limits = Limits()) -> list[str]:  # noqa: B008  # immutable
    return [one.error_class for one in documents(paths, limits) if isinstance(one, RuleError)]


def test_each_document_has_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "two.yml"
    path.write_bytes(TWO)
    assert [(line, text.splitlines()[0]) for _, line, text in found(path)] == [(4, "title: a"), (8, "title: b")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"# nothing\n\n", []),
        (b"title: a", [1]),
        (b"\xef\xbb\xbftitle: a\r\n---\r\n\r\ntitle: b\r\n", [1, 4]),
        (b"%YAML 1.2\n---\ntitle: a\n", [3]),
        (b"--- {title: a}\n---\n---\ntitle: b", [1, 4]),
        (b"title: ---\nx: 1\n----\n", [1]),
    ],
)
def test_marks(tmp_path: Path, content: bytes, lines: list[int]) -> None:
    (tmp_path / "rules.yaml").write_bytes(content)
    assert [line for _, line, _ in found(tmp_path)] == lines


@given(st.lists(st.sampled_from(["title: a", "  b", "", "#", "---", "--- x", "\r", "...", "%", "- ---"]), max_size=12))
def test_no_line_is_lost_and_no_mark_left(lines: list[str]) -> None:
    text = "\n".join(lines)
    read = [one for one in documents_of("f", text.encode(), Limits()) if isinstance(one, Document)]
    for one in read:
        assert text.split("\n")[one.line - 1].endswith(one.text.split("\n")[0])
    marks = [line for line in lines if line == "---" or line.startswith("--- ")]
    assert len(read) <= len(marks) + 1


def test_folders_and_archives_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "rules" / "b").mkdir(parents=True)
    (tmp_path / "rules" / "b" / "2.yml").write_text("title: two")
    (tmp_path / "rules" / "1.YAML").write_text("title: one")
    (tmp_path / "rules" / "readme.md").write_text("title: none")
    (tmp_path / "rules" / "b" / "loop").symlink_to(tmp_path / "rules")
    tar, zipped = tmp_path / "r.tar.gz", tmp_path / "r.zip"
    with tarfile.open(tar, "w:gz") as archive:
        archive.add(tmp_path / "rules" / "b" / "2.yml", "z/2.yml")
        archive.add(tmp_path / "rules" / "1.YAML", "../../1.yml")
        link = tarfile.TarInfo("a/passwd.yml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(tmp_path / "rules" / "b" / "2.yml", "z/2.yml")
        archive.write(tmp_path / "rules" / "1.YAML", "/abs/1.yml")
        archive.writestr("notes.txt", "title: none")
    expected = ["title: one", "title: two"]
    assert [text for *_, text in found(tmp_path / "rules")] == expected
    assert [text for *_, text in found(tar)] == expected
    assert [text for *_, text in found(zipped)] == expected
    assert [text for *_, text in found(zipped, tmp_path / "rules" / "1.YAML")] == [*expected, "title: one"]
    assert next(one.file for one in documents([zipped]) if isinstance(one, Document)) == f"{zipped}!abs/1.yml"


def test_what_cannot_be_read_is_an_error_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"title: \xff\xfe")
    (tmp_path / "b.yml").write_bytes(b"title: b")
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04 damaged")
    (tmp_path / "d.tgz").write_bytes(b"\x1f\x8b damaged")
    (tmp_path / "e.yml").symlink_to(tmp_path / "gone")
    assert errors(tmp_path) == ["NotText", "Unreadable"]
    assert errors(tmp_path / "c.zip") == ["Unreadable"]
    assert errors(tmp_path / "d.tgz") == ["Unreadable"]
    with pytest.raises(UnusableError, match="name one that exists"):
        list(documents([tmp_path / "none.yml"]))


@pytest.mark.parametrize("length", [1_536 * 3, 1_536 * 3 + 392, 1_536 * 3 + 512, 1_536 * 3 + 900])
@pytest.mark.parametrize("packed", [False, True])
def test_a_torn_archive_gives_what_was_whole(tmp_path: Path, length: int, packed: bool) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for number in range(20):
            member = tarfile.TarInfo(f"{number:02}.yml")
            member.size = 600
            archive.addfile(member, io.BytesIO(b"title: " + b"x" * 593))
    torn = tmp_path / ("torn.tar.gz" if packed else "torn.tar")
    part = whole.getvalue()[:length]
    torn.write_bytes(gzip.compress(part, mtime=0) if packed else part)
    assert [type(one) for one in documents([torn])].count(Document) == 3
    assert errors(torn) == ["Unreadable"]


def test_torn_compression_is_an_error(tmp_path: Path) -> None:
    for name, mode in (("r.tar.gz", "w:gz"), ("r.tar.xz", "w:xz"), ("r.tar.bz2", "w:bz2")):
        path = tmp_path / name
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # one of its modes
            for number in range(4):
                content = b"".join(sha256(bytes((number, part))).hexdigest().encode() for part in range(200))
                member = tarfile.TarInfo(f"{number}.yml")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert errors(path) == ["Unreadable"]


def test_sizes_and_numbers_are_bounded(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.yml").write_bytes(b"a: 1\n---\n" * (50 if number == 2 else 1))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.yml", b" " * 50_000_000)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("large.bin")
        member.size = 50_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    small = Limits(file_bytes=100, files=3, total_bytes=1_000_000, documents=10)
    assert errors(tmp_path, limits=small) == ["TooMuch", "TooMuch"]
    assert errors(tmp_path, limits=small._replace(files=9)) == ["TooMuch"]
    assert errors(tmp_path, limits=Limits(documents=10)) == ["TooMuch"]
    assert errors(tmp_path, limits=Limits(total_bytes=20)) == ["TooMuch"]
    assert errors(tmp_path / "bomb.zip", limits=small) == ["TooMuch"]
    assert errors(tmp_path / "bomb.tar.gz", limits=small) == ["TooMuch"]
