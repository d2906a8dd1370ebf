"""The spool: first in, first out, through ends and crashes at any byte, against a list."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.collect.batches import Batch, Kind, batch_of, batches_of, pack, unpack
from huntbeam.runners.collect.spool import Place, Spool
from huntbeam.schemas.errors import UnusableError

MANY = 1 << 30
FRAME = 8  # bytes around a packed batch

RECORDS = st.lists(st.binary(max_size=30), max_size=5)


@given(RECORDS, st.sampled_from([Kind.TAKEN, Kind.READY]))
def test_a_batch_is_its_records(records: list[bytes], kind: Kind) -> None:
    batch = batch_of(records, kind)
    packed = pack(batch)
    assert unpack(packed) == batch
    assert len(packed) == batch.size
    assert list(batch.each()) == [record for record in records if record]
    assert batch.records == sum(map(bool, records))


@given(RECORDS, st.data())
def test_what_is_not_a_whole_batch_is_told(records: list[bytes], data: st.DataObject) -> None:
    packed = pack(batch_of(records))
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(ValueError, match="no batch"):
        unpack(packed[:cut])


def test_many_records_are_several_batches() -> None:
    records = [b"x" * 1_000] * 700 + [b"y"] * 20_000
    batches = list(batches_of(records))
    assert [record for batch in batches for record in batch.each()] == records
    assert max(len(batch.body) for batch in batches) < 300_000
    assert max(len(batch.lengths) for batch in batches) <= 8_192


def numbered(number: int, size: int) -> Batch:
    """A batch with two records and an empty one."""
    return batch_of([b"%d" % number, b"", b"x" * (size + 1)])


def number_of(batch: Batch) -> int:
    return int(next(batch.each()))


def rest_of(spool: Spool) -> list[int]:
    found = []
    while following := spool.next():
        found.append(number_of(following[0]))
    return found


class Model:
    """A spool, and what it should hold: `acked` since the last sync, `read` and `unread`, all by number."""

    def __init__(self, folder: Path, limit: int = MANY) -> None:
        self.folder, self.limit = folder, limit
        self.spool = self._open(folder)
        self.acked: list[int] = []
        self.read: list[tuple[int, Batch, Place]] = []
        self.unread: list[int] = []
        self.last = 0

    def _open(self, folder: Path) -> Spool:
        spool = Spool(folder, self.limit)
        spool._segment_bytes = 200  # some batches
        return spool

    @property
    def held(self) -> list[int]:
        return [number for number, *_ in self.read] + self.unread

    def do(self, what: str, size: int) -> None:
        getattr(self, what)(size)
        assert self.spool.records == 2 * len(self.held)
        assert self.spool.unread == 2 * len(self.unread)
        on_disk = sum(path.stat().st_size for path in self.folder.glob("*.spool"))
        assert self.spool.size == on_disk

    def append(self, size: int) -> None:
        self.last += 1
        before = self.spool.size
        batch = numbered(self.last, size)
        if self.spool.append(batch):
            self.unread.append(self.last)
        else:
            assert before + batch.size + FRAME > self.limit

    def next(self, _size: int) -> None:
        following = self.spool.next()
        assert (following is None) == (not self.unread)
        if following:
            number = self.unread.pop(0)
            assert number_of(following[0]) == number
            self.read.append((number, *following))

    def acknowledge(self, _size: int) -> None:
        if self.read:
            number, _, place = self.read.pop(0)
            self.spool.acknowledge(place)
            self.acked.append(number)

    def sync(self, _size: int) -> None:
        self.spool.sync()
        self.acked = []

    def put_back(self, _size: int) -> None:
        self.last += 1
        direct = [(self.last, numbered(self.last, 3))]  # was never in the spool
        values = [batch for _, batch, _ in self.read] + [batch for _, batch in direct]
        self.spool.put_back(values)
        self.unread = [number for number, *_ in self.read] + [self.last] + self.unread
        self.read, self.acked = [], []

    def reopen(self, _size: int) -> None:
        self.spool.close()
        self.spool = self._open(self.folder)
        self.unread, self.read, self.acked = self.held, [], []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["append", "append", "append", "next", "next", "acknowledge", "acknowledge", "sync", "put_back", "reopen"]
        ),
        st.integers(0, 120),
    ),
    max_size=40,
)


@contextmanager
def model(limit: int = MANY) -> Iterator[Model]:
    with TemporaryDirectory() as folder:
        made = Model(Path(folder) / "topic", limit)
        try:
            yield made
        finally:
            made.spool.close()


@given(STEPS)
def test_first_in_first_out_and_at_the_end_nothing_is_on_disk(steps: list[tuple[str, int]]) -> None:
    with model() as m:
        for what, size in steps:
            m.do(what, size)
        while m.held:
            m.do("next", 0)
            m.do("acknowledge", 0)
        assert list(m.folder.glob("*.spool")) == []


@given(STEPS, st.integers(100, 1_000))
def test_the_limit_holds(steps: list[tuple[str, int]], limit: int) -> None:
    with model(limit) as m:
        for what, size in steps:
            if what != "put_back":
                m.do(what, size)
                assert m.spool.size <= limit


@given(STEPS, st.integers(0, 10_000))
def test_a_crash_at_any_byte_loses_only_the_batches_that_are_torn(steps: list[tuple[str, int]], cut: int) -> None:
    with model() as m:
        for what, size in steps:
            m.do(what, size)
        after = m.folder.with_name("after")
        shutil.copytree(m.folder, after)
        newest = max(after.glob("*.spool"), default=None)
        kept = len(m.held)
        if newest is not None:
            cut %= newest.stat().st_size + 1
            os.truncate(newest, newest.stat().st_size - cut)
        said: list[str] = []
        with closing(Spool(after, MANY, said.append)) as spool:
            found = rest_of(spool)
        whole = m.acked + m.held
        if not cut or newest is None:
            assert said == []
            assert found[-kept:] == m.held if kept else set(found) <= set(m.acked)
        # what is there is a piece of what was there, in order, and what was acknowledged before the last sync is not
        assert found == [] or any(whole[i : i + len(found)] == found for i in range(len(whole)))
        if newest is not None and cut:
            lost = [number for number in m.held if number not in found]
            assert sum(_size(m, number) for number in lost[1:]) < cut  # the first of them may be torn in the middle
            assert lost == m.held[len(m.held) - len(lost) :]


def _size(m: Model, number: int) -> int:
    sizes = {number_of(batch): batch.size + FRAME for batch in _all(m)}
    return sizes[number]


def _all(m: Model) -> list[Batch]:
    found = []
    copy = m.folder.with_name("copy")
    if not copy.exists():
        shutil.copytree(m.folder, copy)
        (copy / "position").unlink(missing_ok=True)
    with closing(Spool(copy, MANY)) as spool:
        while following := spool.next():
            found.append(following[0])
    return found


HALF_DELIVERED = [(step, 0) for step in ("append", "append", "append", "next", "next", "acknowledge", "sync")]
TWO_SEGMENTS = [("append", 120)] * 6 + [("next", 0)] * 4 + [("acknowledge", 0), ("sync", 0)]


@given(STEPS, st.integers(0, 11))
def test_a_crash_while_batches_are_put_back_repeats_and_loses_none(steps: list[tuple[str, int]], at: int) -> None:
    check_crash(steps, at)


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("steps", [HALF_DELIVERED, TWO_SEGMENTS], ids=["half delivered", "two segments"])
def test_a_crash_at_each_step_of_putting_back(steps: list[tuple[str, int]], at: int) -> None:
    check_crash(steps, at)


def check_crash(steps: list[tuple[str, int]], at: int) -> None:
    """`at`: the step on the disk that is not made any more."""
    with model() as m:
        for what, size in steps:
            m.do(what, size)
        m.spool.sync()
        held, values = m.held, [batch for _, batch, _ in m.read]
        before = m.acked
        with pytest.MonkeyPatch.context() as patch:
            left = at

            def failing(real):  # type: ignore[no-untyped-def]
                def call(*args, **kwargs):  # type: ignore[no-untyped-def]
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise KeyboardInterrupt
                    return real(*args, **kwargs)

                return call

            patch.setattr(Path, "replace", failing(Path.replace))
            patch.setattr(Path, "unlink", failing(Path.unlink))
            patch.setattr(os, "pwrite", failing(os.pwrite))
            patch.setattr(os, "fsync", failing(os.fsync))
            try:
                m.spool.put_back(values)
            except KeyboardInterrupt:
                pass
            else:
                before = []
        after = m.folder.with_name("after")
        shutil.copytree(m.folder, after)
        with closing(Spool(after, MANY)) as spool:
            found = rest_of(spool)
        assert [n for n in found if n in held][-len(held) :] == held if held else set(found) <= set(before)
        assert set(held) <= set(found)


def test_a_damaged_file_is_kept_aside_and_said(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, MANY)) as spool:
        for number in range(3):
            assert spool.append(numbered(number, 10))
    (segment,) = tmp_path.glob("*.spool")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1  # in the second batch
    segment.write_bytes(content)
    said: list[str] = []
    with closing(Spool(tmp_path, MANY, said.append)) as spool:
        assert rest_of(spool) == [0]
    assert segment.with_suffix(".damaged").read_bytes() == content
    assert "torn" in said[0]
    assert len(said) == 1


def test_one_process_uses_it_at_a_time(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, MANY)), pytest.raises(UnusableError, match="another huntbeam collect"):
        Spool(tmp_path, MANY)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableError, match="choose another folder for --spool"):
        Spool(tmp_path / "file" / "topic", MANY)


@pytest.mark.parametrize("position", [b"", b"1", b"x y\n", b"1 2", b"-1 0\n"], ids=range(5))
def test_a_position_that_is_none_repeats_everything(tmp_path: Path, position: bytes) -> None:
    with closing(Spool(tmp_path, MANY)) as spool:
        assert spool.append(numbered(1, 1))
        assert spool.append(numbered(2, 1))
        following = spool.next()
        assert following is not None
        spool.acknowledge(following[1])
    (tmp_path / "position").write_bytes(position)
    with closing(Spool(tmp_path, MANY)) as spool:
        assert rest_of(spool) == [1, 2]


def test_a_disk_that_is_full_is_a_trouble_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if at + len(data) > 100:
            if at + 5 <= 100:
                return real(file, data[:5], at)
            raise OSError(28, "No space left on device")
        return real(file, data, at)

    with closing(Spool(tmp_path, MANY)) as spool:
        monkeypatch.setattr(os, "pwrite", full)
        assert spool.append(numbered(1, 1))
        assert not spool.append(numbered(2, 60))
        assert spool.trouble == "No space left on device"
        monkeypatch.setattr(os, "pwrite", real)
        assert spool.append(numbered(3, 60))
        assert spool.trouble is None
    with closing(Spool(tmp_path, MANY)) as spool:
        assert rest_of(spool) == [1, 3]
