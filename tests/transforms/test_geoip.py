"""GeoIP files of both shapes, and rows that they are asked for."""

from __future__ import annotations

import io
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.geo import Geo
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.transforms.geoip import Locator, locator
from huntbeam.transforms.locate import located
from tests import mmdb


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("geoip")
    return mmdb.nested(folder / "nested.mmdb"), mmdb.flat(folder / "flat.mmdb")


def found(where: Locator, address: str | None) -> object:
    geo = where.locate(address)
    return None if geo is None else msgspec.to_builtins(geo)


def test_the_nested_shape(files: tuple[str, str]) -> None:
    where = Locator(files[:1])
    assert found(where, mmdb.IN_SEOUL) == mmdb.SEOUL_GEO
    assert found(where, f"::ffff:{mmdb.IN_SEOUL}") == mmdb.SEOUL_GEO
    assert found(where, mmdb.IN_SIX) == {"country_code": "IE", "country": "Ireland"}
    assert found(where, mmdb.IN_BERLIN) is None


def test_the_flat_shape(files: tuple[str, str]) -> None:
    where = Locator(files[1:])
    assert found(where, mmdb.IN_BERLIN) == mmdb.BERLIN_GEO
    assert found(where, mmdb.IN_SIX) is None  # a file of IPv4 alone


def test_what_one_file_does_not_know_the_next_may(files: tuple[str, str]) -> None:
    assert found(Locator(files), mmdb.IN_BERLIN) == mmdb.BERLIN_GEO
    assert found(Locator(files), mmdb.IN_SEOUL) == mmdb.SEOUL_GEO
    assert found(Locator(files[::-1]), mmdb.IN_SEOUL) == {
        "country_code": "KR",
        "country": "South Korea",
        "city": "Seoul-si",
        "location": {"lat": 37.0, "lon": 127.5},
    }


@pytest.mark.parametrize(
    "address",
    [
        *(None, "", "-", "nonsense", "1.11.2", "1.11.2.3.4", "1" * 100),
        *("10.0.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "224.0.0.1", "::", "::1", "fe80::1", "fd00::1"),
        mmdb.NOWHERE,
    ],
)
def test_private_and_invalid_addresses_are_left_alone(files: tuple[str, str], address: str | None) -> None:
    assert Locator(files).locate(address) is None


@given(st.text(max_size=70) | st.ip_addresses().map(str))
def test_no_address_brings_anything_but_a_place(files: tuple[str, str], address: str) -> None:
    assert isinstance(locator(files).locate(address), Geo | None)


def test_the_reader_is_opened_once_a_process(files: tuple[str, str]) -> None:
    assert locator(files) is locator(tuple(files))


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), (b"no database", "is no .mmdb file"), (b"", "is no .mmdb file")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "x.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableError, match=f"--geoip {path} {said}"):
        Locator([str(path)])


class Bucket:
    """Beam's FileSystems over one file; what is opened is counted."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.opened: list[str] = []

    def open(self, path: str, compression_type: str) -> io.BytesIO:
        if path.endswith("forbidden.mmdb"):
            raise RuntimeError("403")
        self.opened.append(path)
        return io.BytesIO(self._data)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket(Path(mmdb.nested(tmp_path / "a.mmdb")).read_bytes())
    monkeypatch.setattr("huntbeam.transforms.files._filesystems", lambda _: (made, ""))
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    return made


def test_a_file_of_a_bucket_is_fetched_once_a_process_and_leaves_nothing(bucket: Bucket, tmp_path: Path) -> None:
    paths = (f"gs://b/{tmp_path.name}/once.mmdb",)
    for _ in range(3):
        assert found(locator(paths), mmdb.IN_SEOUL) == mmdb.SEOUL_GEO
    assert bucket.opened == list(paths)
    assert list((tmp_path / "temp").iterdir()) == []


def test_threads_that_ask_together_fetch_once(bucket: Bucket, tmp_path: Path) -> None:
    paths = (f"gs://b/{tmp_path.name}/together.mmdb",)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: id(locator(paths)), range(32)))) == 1
    assert bucket.opened == list(paths)


def test_a_file_of_a_bucket_that_cannot_be_used_is_named(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnusableError, match=r"--geoip gs://b/forbidden.mmdb cannot be read \(RuntimeError\)"):
        Locator(["gs://b/forbidden.mmdb"])
    monkeypatch.setattr("huntbeam.transforms.geoip.LARGEST", 100)
    with pytest.raises(UnusableError, match=r"--geoip gs://b/a.mmdb is larger than 100 bytes"):
        Locator(["gs://b/a.mmdb"])
    assert list((tmp_path / "temp").iterdir()) == []


def test_a_row_with_nothing_to_add_is_the_row(files: tuple[str, str]) -> None:
    row = MonsterEvent(EventID=3500, event_type="x", layout="0.9", event_uid="x", remote_ip="10.0.0.1")
    where = Locator(files).locate
    assert located(row, where) is row
    seoul = msgspec.structs.replace(row, remote_ip=mmdb.IN_SEOUL)
    assert msgspec.to_builtins(located(seoul, where).DestinationGeoip) == mmdb.SEOUL_GEO
