"""Compiled sets as bytes and in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma import cache, compile  # noqa: A004  # the module
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import HEAD, RuleSet
from tests.transforms.sigma.rules import event, rule, ruleset

SET = ruleset(
    rule({"A|contains": ["x", "y*z"], "B|re|i": "a+", "C|cidr": "10.0.0.0/8", "D|gte": 1.5, "E": None}),
    rule({"A|fieldref": "B", "C|exists": True, "D": 7, "E|hour": 3}),
    rule({"A|evil": 1}),
)


def test_a_set_comes_back_as_it_was() -> None:
    assert RuleSet.unpack(SET.pack()) == SET
    assert len(SET.errors) == 1


@given(st.data())
def test_damaged_bytes_are_refused_or_another_set_but_never_a_crash(data: st.DataObject) -> None:
    packed = bytearray(SET.pack())
    kind = data.draw(st.sampled_from(["cut", "flip", "text"]))
    at = data.draw(st.integers(0, len(packed) - 1))
    if kind == "cut":
        packed = packed[:at]
    elif kind == "flip":
        packed[at] ^= data.draw(st.integers(1, 255))
    else:
        packed = bytearray(HEAD + data.draw(st.binary(max_size=50)))
    try:
        found = RuleSet.unpack(bytes(packed))
    except UnusableError as error:
        assert "compile the rules again" in str(error)
    else:
        assert isinstance(found, RuleSet)


def write(path: Path, *rules: object) -> None:
    path.write_text("\n---\n".join(yaml.safe_dump(one) for one in rules), encoding="utf-8")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often rules were compiled."""
    calls: list[int] = []
    real = compile.compile_documents

    def count(*arguments: object) -> RuleSet:
        calls.append(1)
        return real(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(compile, "compile_documents", count)
    return calls


def test_rules_are_compiled_once(tmp_path: Path, counted: list[int]) -> None:
    rules, kept = tmp_path / "rules", tmp_path / "deep" / "cache"
    rules.mkdir()
    write(rules / "a.yml", rule({"A": 1}))
    first = compiled([rules], cache_dir=kept)
    assert compiled([rules], cache_dir=kept) == first
    assert len(counted) == 1
    assert [one.suffix for one in kept.iterdir()] == [".sigma"]
    assert Matcher(first).match(event({"A": 1})) == [0]


def test_whatever_changes_is_compiled_again(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, kept = tmp_path / "rules", tmp_path / "cache"
    rules.mkdir()
    write(rules / "a.yml", rule({"A": 1}))
    (tmp_path / "p.yml").write_text("vars: {a: 1}", encoding="utf-8")
    seen = [compiled([rules], cache_dir=kept)]
    (rules / "a.yml").rename(rules / "b.yml")
    seen.append(compiled([rules], cache_dir=kept))
    write(rules / "c.yml", rule({"A": 2}))
    seen.append(compiled([rules], cache_dir=kept))
    seen.append(compiled([rules], [tmp_path / "p.yml"], cache_dir=kept))
    monkeypatch.setattr(cache, "versions", lambda: ["another"])
    seen.append(compiled([rules], [tmp_path / "p.yml"], cache_dir=kept))
    assert len(counted) == 5
    assert [Path(one.rules[0].file).name for one in seen[:2]] == ["a.yml", "b.yml"]
    assert seen[0].digest == seen[1].digest  # of the texts; the names are in the messages


def test_a_file_is_known_by_what_stands_in_it(tmp_path: Path, counted: list[int]) -> None:
    file, kept, one = tmp_path / "a.zip", tmp_path / "cache", rule({"A": 1})
    found = []
    for number in (1, 2, 1):
        with ZipFile(file, "w") as archive:
            archive.writestr(ZipInfo("a.yml"), yaml.safe_dump({**rule({"A": number}), "id": one["id"]}))
        os.utime(file, (1, 1))
        found.append(Matcher(compiled([file], cache_dir=kept)).match(event({"A": 1})))
    assert found == [[0], [], [0]]
    assert len(counted) == 2


def test_what_changes_while_it_is_compiled_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, kept = tmp_path / "a.yml", tmp_path / "cache"
    write(file, rule({"A": 1}))
    real = compile.compile_documents

    def meanwhile(*arguments: object) -> RuleSet:
        write(file, rule({"A": 2}))
        return real(*arguments)  # type: ignore[arg-type]  # passed on as they came

    with monkeypatch.context() as patched:
        patched.setattr(compile, "compile_documents", meanwhile)
        compiled([file], cache_dir=kept)
    assert not kept.exists()
    assert Matcher(compiled([file], cache_dir=kept)).match(event({"A": 2})) == [0]


def test_a_damaged_file_is_written_anew(tmp_path: Path, counted: list[int]) -> None:
    write(tmp_path / "a.yml", rule({"A": 1}))
    first = compiled([tmp_path / "a.yml"], cache_dir=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    for damaged in (b"", kept.read_bytes()[:-3], b"\0" * 100):
        kept.write_bytes(damaged)
        assert compiled([tmp_path / "a.yml"], cache_dir=tmp_path / "cache") == first
        assert RuleSet.unpack(kept.read_bytes()) == first
    assert len(counted) == 4
    assert list((tmp_path / "cache").iterdir()) == [kept]


def test_old_sets_go(tmp_path: Path) -> None:
    for number in range(cache.KEPT + 3):
        write(tmp_path / "a.yml", rule({"A": number}))
        compiled([tmp_path / "a.yml"], cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == cache.KEPT
    kept = compiled([tmp_path / "a.yml"], cache_dir=tmp_path / "cache")
    assert Matcher(kept).match(event({"A": cache.KEPT + 2})) == [0]


def test_names_and_texts_of_any_kind_can_be_kept(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.yml")
    write(tmp_path / odd, rule({"A": 1}, falsepositives=["ü", "日"], custom={"a": [1.5]}))
    first = compiled([tmp_path], cache_dir=tmp_path / "cache")
    assert first.errors == ()
    assert RuleSet.unpack(first.pack()) == first
    assert first.rules[0].file.endswith("?.yml")


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", rule({"A": 1}))
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    assert len(compiled([tmp_path / "a.yml"], cache_dir=tmp_path / "file").rules) == 1
    assert len(compiled([tmp_path / "a.yml"]).rules) == 1
