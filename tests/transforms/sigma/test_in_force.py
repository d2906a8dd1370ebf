"""Rules that change while they are at work: real files, compiled by a real process."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.winlog import WinlogEvent, parse_record
from huntbeam.transforms.digest import Digest, Plan
from huntbeam.transforms.sigma import in_force
from huntbeam.transforms.sigma.alerts import Detector
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.in_force import (
    REFUSED,
    RELOADED,
    CorrelationsInForce,
    RulesInForce,
    rules_in_force,
)
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.rule_files import stamp
from huntbeam.transforms.sigma.watch import Watch
from tests.events import CREATE, CREATE_DATA, Fact, line, wlb8
from tests.transforms.sigma.rules import PROCESS, rule

CLEARED = Fact(1102, {"SubjectUserName": "ada"}, provider="Microsoft-Windows-Eventlog", channel="Security")


def shell(text: str) -> dict[str, object]:
    return rule({"CommandLine|contains": text}, PROCESS, title=f"Finds {text}")


def write(path: Path, *rules: object) -> None:
    path.write_text("\n---\n".join(yaml.safe_dump(one) for one in rules), encoding="utf-8")


def event(text: str) -> WinlogEvent:
    return parse_record(line(CREATE._replace(data=CREATE_DATA | {"CommandLine": text}), wlb8))


def titles(rules: RulesInForce, text: str) -> list[str]:
    return found_by(rules.current().detector, text)


def found_by(detector: Detector, text: str) -> list[str]:
    found = detector.find(event(text), EventTime.UTC_TIME)
    return [one.rule_title for one in found.alerts] if found is not None else []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "rules").mkdir()
    write(tmp_path / "rules" / "a.yml", shell("one"))
    return tmp_path / "rules"


def watch(folder: Path, **others: object) -> Watch:
    return Watch(paths=(str(folder),), every=0.02, seen=stamp([folder]), **others)  # type: ignore[arg-type]


def begun(folder: Path, **others: object) -> RulesInForce:
    return RulesInForce(compiled([folder]), watch(folder, **others))


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger=in_force.__name__):
        yield caplog


def test_nothing_changes_while_the_files_do_not(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = begun(folder)
    before = rules.current()
    rules.look()
    assert rules.current() is before
    (folder / "a.yml").touch()  # another time, the same text
    rules.look()
    assert rules.current() is before
    assert (rules.news(), caplog.messages) == ({}, [])


def test_what_is_added_changed_and_removed_is_in_force_after_a_look(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = begun(folder)
    write(folder / "b.yml", shell("two"))
    rules.look()
    assert titles(rules, "one two three") == ["Finds one", "Finds two"]
    write(folder / "b.yml", shell("three"))
    rules.look()
    assert titles(rules, "one two three") == ["Finds one", "Finds three"]
    (folder / "a.yml").unlink()
    rules.look()
    assert titles(rules, "one two three") == ["Finds three"]
    assert rules.current().generation == 3
    assert rules.current().rules.digest == compiled([folder]).digest
    assert (rules.news(), rules.news()) == ({RELOADED: 3}, {})
    assert "1 rules" in caplog.messages[-1]


def test_a_broken_version_leaves_the_old_one_in_force_and_is_told_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = begun(folder)
    before = rules.current()
    (folder / "b.yml").write_text("title: [half a rule")
    for _ in range(3):
        rules.look()
    assert rules.current() is before
    assert rules.news() == {REFUSED: 1}
    (told,) = caplog.messages
    assert "b.yml:1" in told
    assert before.rules.digest[:8] in told
    (folder / "b.yml").write_bytes(b"\xff")  # another version, broken in another way
    rules.look()
    assert rules.news() == {REFUSED: 1}
    write(folder / "b.yml", shell("two"))
    rules.look()
    assert titles(rules, "one two") == ["Finds one", "Finds two"]


def test_what_was_broken_from_the_beginning_does_not_hold_other_changes_up(folder: Path) -> None:
    (folder / "b.yml").write_text("title: [half a rule")
    rules = begun(folder)
    write(folder / "c.yml", shell("two"))
    rules.look()
    assert titles(rules, "one two") == ["Finds one", "Finds two"]


def test_without_a_rule_that_runs_or_with_none_that_may_fail(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules, strict = begun(folder), begun(folder, strict=True)
    write(folder / "b.yml", rule({"Image|nosuch": "a"}, PROCESS))
    rules.look()
    strict.look()
    assert (rules.news(), strict.news()) == ({RELOADED: 1}, {REFUSED: 1})  # the set is another, if with the same rules
    assert "--strict" in caplog.messages[-1]
    (folder / "a.yml").unlink()
    rules.look()
    assert titles(rules, "one") == ["Finds one"]
    assert "no rule that can run" in caplog.messages[-1]


def test_files_that_a_worker_does_not_have_are_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = begun(folder)
    folder.rename(folder.with_name("elsewhere"))
    for _ in range(2):
        rules.look()
    assert titles(rules, "one") == ["Finds one"]
    assert rules.news() == {}
    (told,) = caplog.messages
    assert str(folder) in told
    folder.with_name("elsewhere").rename(folder)
    write(folder / "b.yml", shell("two"))
    rules.look()
    assert titles(rules, "two") == ["Finds two"]
    folder.rename(folder.with_name("elsewhere"))
    rules.look()
    assert rules.news() == {RELOADED: 1, REFUSED: 1}


def test_a_worker_that_starts_late_takes_up_what_changed_since_the_job_began(folder: Path) -> None:
    given, asked = compiled([folder]), watch(folder)
    write(folder / "a.yml", shell("two"))
    rules = RulesInForce(given, asked)
    rules.look()
    assert titles(rules, "one two") == ["Finds two"]


def test_values_of_placeholders_change_too(folder: Path) -> None:
    values = folder.with_name("values.yml")
    values.write_text("vars: {who: one}")
    write(folder / "a.yml", rule({"CommandLine|expand|contains": "%who%"}, PROCESS, title="Who"))
    asked = Watch((str(folder),), (str(values),), every=0.02, seen=stamp([folder, values]))
    rules = RulesInForce(compiled([folder], [values]), asked)
    assert (titles(rules, "one"), titles(rules, "two")) == (["Who"], [])
    values.write_text("vars: {who: two}")
    rules.look()
    assert (titles(rules, "one"), titles(rules, "two")) == ([], ["Who"])
    values.write_text("no pipeline")
    rules.look()
    assert titles(rules, "two") == ["Who"]
    assert rules.news() == {RELOADED: 1, REFUSED: 1}


def test_processes_of_a_machine_share_what_one_compiled(folder: Path) -> None:
    kept = folder.with_name("cache")
    rules = begun(folder, cache=str(kept))
    write(folder / "b.yml", shell("two"))
    rules.look()
    (made,) = kept.glob("*.sigma")
    written = made.stat().st_ino
    other = RulesInForce(RuleSet("", (), ()), Watch((str(folder),), cache=str(kept), every=0.02))
    other.look()
    assert titles(other, "two") == ["Finds two"]
    assert [one.stat().st_ino for one in kept.glob("*.sigma")] == [written]


def test_a_folder_of_somebody_else_is_not_trusted(folder: Path) -> None:
    """Without a cache the shared place is a folder that nobody else can write to."""
    shared = folder.parent / "temporary" / f"huntbeam-rules-{os.getuid()}"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    rules = begun(folder)
    write(folder / "b.yml", shell("two"))
    rules.look()
    assert titles(rules, "two") == ["Finds two"]
    assert list(shared.iterdir()) == []
    shared.chmod(0o700)
    write(folder / "b.yml", shell("three"))
    rules.look()
    assert len(list(shared.glob("*.sigma"))) == 1


def await_that(is_so: Callable[[], bool]) -> None:
    """Waits for a watcher; it alone may look."""
    until = time.monotonic() + 60
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    assert is_so()


def await_generation(rules: RulesInForce, generation: int) -> None:
    await_that(lambda: rules.current().generation >= generation)
    assert rules.current().generation == generation


# At work --------------------------------------------------------------------------------------------------------------


def test_one_object_serves_a_process_and_a_thread_keeps_it_up_to_date(folder: Path) -> None:
    packed, asked = compiled([folder]).pack(), watch(folder)
    rules = rules_in_force(packed, asked)
    assert rules_in_force(packed, asked) is rules
    assert rules_in_force(packed) is not rules
    write(folder / "a.yml", shell("two"))
    await_generation(rules, 1)
    assert titles(rules, "two") == ["Finds two"]


def test_the_thread_ends_when_nobody_has_use_for_the_rules(folder: Path) -> None:
    before = set(threading.enumerate())
    held = rules_in_force(compiled([folder]).pack(), watch(folder, strict=True))
    (thread,) = set(threading.enumerate()) - before
    assert held.current().generation == 0
    del held
    rules_in_force(compiled([folder]).pack())
    thread.join(60)
    assert not thread.is_alive()


def test_a_digest_renews_what_it_wants_between_batches(folder: Path) -> None:
    packed = compiled([folder]).pack()
    digest = Digest(Plan(rules=packed, watch=watch(folder)))
    rules = rules_in_force(packed, watch(folder))
    record = line(CLEARED, wlb8)

    def alerts() -> list[str]:
        digest.renew()
        digest.record(record, "a", 0, None)
        return [one.rule_title for one in digest.take().alerts]

    assert alerts() == []  # no rule looks at Security 1102: it is counted unread
    write(folder / "b.yml", rule({"EventID": 1102}, {"product": "windows", "service": "security"}, title="Cleared"))
    await_generation(rules, 1)
    assert alerts() == ["Cleared"]
    (folder / "b.yml").unlink()
    await_generation(rules, 2)
    assert alerts() == []


def test_a_reload_is_counted_once_a_process(folder: Path) -> None:
    packed, asked = compiled([folder]).pack(), watch(folder)
    digests = [Digest(Plan(rules=packed, watch=asked)) for _ in range(3)]
    write(folder / "b.yml", shell("two"))
    await_generation(rules_in_force(packed, asked), 1)
    counted = 0
    for digest in digests:
        digest.renew()
        counted += digest.take().tallies.get(RELOADED, 0)
    assert counted == 1


def test_threads_may_share_a_detector(folder: Path) -> None:
    write(folder / "b.yml", *(shell(text) for text in ("two", "three", "fo?r*")))
    detector = Detector(compiled([folder]))
    texts = [f"{text} {number}" for number in range(200) for text in ("one", "two three", "none", "for")]
    alone = Detector(compiled([folder]))
    wanted = [found_by(alone, text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(partial(found_by, detector), texts)) == wanted


def test_correlations_follow_the_rules_and_travel_without_them(folder: Path) -> None:
    chain = {
        "title": "Again And Again",
        "id": "7f0b1de4-52c1-4c3c-8f5f-6a0b1c9d0e01",
        "correlation": {
            "type": "event_count",
            "rules": ["again"],
            "group-by": ["Computer"],
            "timespan": "5m",
            "condition": {"gte": 3},
        },
    }
    write(folder / "a.yml", {**shell("one"), "name": "again"}, chain)
    rules = compiled([folder])
    (first,) = (one.settings for one in rules.correlations)
    asked = watch(folder, depths=1)
    known = pickle.loads(pickle.dumps(CorrelationsInForce(rules, asked)))  # noqa: S301  # as Beam does
    assert known.find(first.rule_id, first.version) == first
    assert known.ruleset == rules.digest
    assert known.timespan_ms(first.rule_id) == 300_000
    chain["correlation"]["condition"] = {"gte": 4}  # type: ignore[index]
    write(folder / "a.yml", {**shell("one"), "name": "again"}, chain)
    await_that(lambda: known.find(first.rule_id, first.version) is None)  # it watches by itself
    (second,) = (one.settings for one in compiled([folder]).correlations)
    assert known.find(first.rule_id, second.version) == second
    matching = rules_in_force(compiled([folder]).pack(), asked)
    assert known._now() is matching.current().correlations


def test_correlations_that_the_job_has_no_steps_for_are_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = begun(folder, depths=1)
    count = {"type": "event_count", "group-by": ["Computer"], "timespan": "5m", "condition": {"gte": 3}}
    inner = {"title": "Inner", "name": "inner", "correlation": {**count, "rules": ["again"]}}
    outer = {"title": "Outer", "correlation": {**count, "rules": ["inner"]}}
    write(folder / "a.yml", {**shell("one"), "name": "again"}, inner)
    rules.look()
    assert rules.news() == {RELOADED: 1}
    write(folder / "a.yml", {**shell("one"), "name": "again"}, inner, outer)
    rules.look()
    assert rules.news() == {REFUSED: 1}
    assert "2 deep" in caplog.messages[-1]
