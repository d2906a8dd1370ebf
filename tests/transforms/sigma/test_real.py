"""All of SigmaHQ's Windows rules on recorded events: what loads, what fires, and three evaluators that agree."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.sigma.alerts import Detector
from huntbeam.transforms.sigma.compile import compile_loaded, compile_rules
from huntbeam.transforms.sigma.enrichment import at_work
from huntbeam.transforms.sigma.events import SigmaEvent, sigma_event
from huntbeam.transforms.sigma.load import Loaded, load
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import Reference, RuleSet
from tests.conftest import ROOT
from tests.test_synthesize import load as benchmark
from tests.transforms.sigma.naive import evaluators

rival = benchmark("rival_sqlite")
Table, queries = rival.Table, rival.queries

OWN_RULES = sorted((ROOT / "rules" / "windows").glob("*_security_product_enum*.yml"))  # seed 003's, twice
FOLDERS = ("wlb6", "wlb7", "wlb8", "flat_nxlog", "flat_timecreated", "array_xml")


@pytest.fixture(scope="module")
def archive(shared: Path) -> Loaded:
    return load([shared / "sigma" / "sigmahq-windows-rules.tar.gz"])


@pytest.fixture(scope="module")
def rules(archive: Loaded) -> RuleSet:
    return RuleSet.unpack(compile_loaded(archive).pack())


@pytest.fixture(scope="module")
def distinct(shared: Path, rules: RuleSet) -> list[SigmaEvent]:
    """Every recorded event, with the fields that rules ask for alone; equal ones once."""
    asked = {atom.field for atom in rules.atoms}
    asked |= {atom.other for atom in rules.atoms if isinstance(atom, Reference)}
    found: dict[bytes, SigmaEvent] = {}
    for event in (sigma_event(parse_record(line)) for line in recorded(shared)):
        fields = {name: value for name, value in event.fields.items() if name in asked}
        key = msgspec.json.encode((event.channel, event.event_id, fields), order="deterministic")
        found.setdefault(key, SigmaEvent(event.provider, event.channel, event.event_id, fields))
    return list(found.values())


def recorded(shared: Path) -> Iterator[bytes]:
    for path in sorted(path for folder in FOLDERS for path in (shared / "data" / folder).iterdir()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        array = content.lstrip().startswith(b"[")
        lines = [json.dumps(one).encode() for one in json.loads(content)] if array else content.splitlines()
        yield from (line for line in lines if line.strip())
    yield from (shared / "sigma" / "regression.wlb8.ndjson").read_bytes().splitlines()


def cases(path: Path) -> list[SigmaEvent]:
    return [sigma_event(parse_record(line)) for line in path.read_bytes().splitlines()]


def ids(rules: RuleSet, matcher: Matcher, event: SigmaEvent) -> set[str]:
    return {rules.rules[index].id for index in matcher.match(event)}


def test_every_windows_rule_loads_or_is_told_with_a_reason(archive: Loaded, rules: RuleSet) -> None:
    assert archive.errors == []
    assert len(archive.rules) == 3_008
    told = Counter(error.error_class for error in rules.errors)
    assert len(rules.rules) == 3_008 - sum(told.values()) >= 2_841
    assert told == {"NotWindows": 150, "NoSource": 15, "Placeholder": 2}
    assert all(error.rule and error.reason and error.line == 1 for error in rules.errors)
    at_all = Counter(error.error_class for error in at_work(rules, frozenset()).errors)
    assert at_all - told == {"NeedsEnrich": 7}
    assert not [one for one in at_work(rules, {3, 11}).errors if one.error_class == "NeedsEnrich"]
    assert all(one.author for one in rules.rules)


def test_every_recorded_case_fires_its_rule(shared: Path, rules: RuleSet) -> None:
    events, matcher = cases(shared / "sigma" / "regression.wlb8.ndjson"), Matcher(rules)
    fired: dict[tuple[str, str], list[bool]] = defaultdict(list)
    index = {rule.id: number for number, rule in enumerate(rules.rules)}
    for line in (shared / "sigma" / "regression.expected.jsonl").read_bytes().splitlines():
        case = json.loads(line)
        event = events[case["line"] - 1]
        for rule in case["rule_ids"]:
            hit = rule in ids(rules, matcher, event)
            fired[case["file"], rule].append(hit)
            assert bool(matcher.matched(index[rule], event)) is hit
    assert len(fired) == 69
    assert [case for case, hits in fired.items() if not any(hits)] == []


def test_no_record_with_a_hit_is_ruled_out(shared: Path, rules: RuleSet) -> None:
    detector, ruled_out = Detector(rules), 0
    for line in recorded(shared):
        event = parse_record(line)
        sieve = detector.sieve(event.channel, event.event_id)
        if sieve is not None and sieve.rules_out(line):
            assert detector.find(event, EventTime.UTC_TIME) is None, line
            ruled_out += 1
    assert ruled_out > 5_000


def test_our_own_rules_give_the_verdicts_of_the_cases(shared: Path) -> None:
    rules = compile_rules(OWN_RULES)
    assert rules.errors == rules.notes == ()
    matcher = Matcher(rules)
    cased = next(number for number, rule in enumerate(rules.rules) if "Case Sensitive" in rule.title)
    events = cases(shared / "data" / "derived" / "av_rule_cases.wlb8.ndjson")
    expected = (shared / "data" / "derived" / "av_rule_cases.expected.jsonl").read_bytes().splitlines()
    verdicts = [matcher.match(event) for event in events]
    wanted = [json.loads(line) for line in expected]
    assert [(cased in hits, 1 - cased in hits) for hits in verdicts] == [
        (case["strict_ksql"], case["nocase_sigma"]) for case in wanted
    ]
    assert len(verdicts) == 30


def sample(distinct: list[SigmaEvent], most: int) -> list[SigmaEvent]:
    """So many of each kind, spread over all that there are of it."""
    kinds: dict[tuple[Any, int], list[SigmaEvent]] = defaultdict(list)
    for event in distinct:
        kinds[event.channel, event.event_id].append(event)
    return [event for events in kinds.values() for event in events[:: max(1, len(events) // most)][:most]]


def agree(archive: Loaded, rules: RuleSet, events: list[SigmaEvent]) -> int:
    oracle = [(str(parsed.rule.id), test) for parsed, test in evaluators(archive)]
    matcher, hits = Matcher(rules), 0
    for event in events:
        found = ids(rules, matcher, event)
        assert found == {rule for rule, test in oracle if test(event.fields)}, event
        hits += len(found)
    return hits


def test_the_oracle_agrees_on_some_events_of_each_kind(
    archive: Loaded, rules: RuleSet, distinct: list[SigmaEvent]
) -> None:
    assert agree(archive, rules, sample(distinct, 1)) > 0


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_the_oracle_agrees_on_every_event(archive: Loaded, rules: RuleSet, distinct: list[SigmaEvent]) -> None:
    assert agree(archive, rules, distinct) > 1_000


def second_opinion(archive: Loaded, rules: RuleSet, events: list[SigmaEvent]) -> int:
    found, refused = queries(archive)
    table = Table([event.fields for event in events], {name for query in found for name in query.fields})
    theirs: dict[str, set[int]] = defaultdict(set)
    for query in found:
        theirs[query.rule] |= table.hits(query)
    matcher = Matcher(rules)
    ours: dict[str, set[int]] = defaultdict(set)
    for number, event in enumerate(events):
        for rule in ids(rules, matcher, event):
            ours[rule].add(number)
    judged = {str(parsed.rule.id) for parsed in archive.rules} - refused.keys()
    assert {rule for rule in judged if ours[rule] != theirs[rule]} == set()
    assert set(refused.values()) <= {"SigmaPlaceholderError: " + PLACEHOLDER}
    return sum(len(ours[rule]) for rule in judged)


PLACEHOLDER = "Attempt to convert unhandled placeholder 'known_cdcs' into query."


@pytest.mark.full
def test_sqlite_agrees_on_processes(archive: Loaded, rules: RuleSet, distinct: list[SigmaEvent]) -> None:
    processes = [one for one in archive.rules if one.data["logsource"].get("category") == "process_creation"]
    events = [event for event in distinct if event.event_id in (1, 4688)]
    assert second_opinion(archive._replace(rules=processes), rules, events) > 150


@pytest.mark.full
def test_sqlite_agrees_on_every_event(archive: Loaded, rules: RuleSet, distinct: list[SigmaEvent]) -> None:
    assert second_opinion(archive, rules, distinct) > 1_000
