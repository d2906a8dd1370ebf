"""Digest: the fast path and the slow one agree, and whatever the bytes, each line is accounted for exactly once."""

from __future__ import annotations

import gzip
import json
import random
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.dead_letter import Original, RecordError
from huntbeam.schemas.sysmon import NetworkConnect, ProcessCreate
from huntbeam.transforms.digest import Digest, Digested, Plan
from huntbeam.transforms.read import Block, Records, Torn
from huntbeam.transforms.report import PAIRS
from tests.conftest import examples
from tests.events import (
    CONNECT,
    CONNECT_DATA,
    CREATE,
    CREATE_DATA,
    OTHER_GUID,
    SECURITY,
    SHAPES,
    SYSMON,
    Fact,
    Shape,
    facts,
    line,
    nxlog,
    wlb6,
    wlb7,
    wlb8,
)


def as_block(lines: Sequence[bytes], plan: Plan = Plan(), *, cut: int = 1, last_newline: bool = True) -> Digested:  # noqa: B008 (frozen)
    """The lines as blocks of `cut` lines, as the reader gives them."""
    digest = Digest(plan)
    offset = 0
    for start in range(0, len(lines), cut):
        piece = b"\n".join(lines[start : start + cut])
        if last_newline or start + cut < len(lines):
            piece += b"\n"
        buffer = bytearray(piece + b'{"left": "over of the block before"}\n')  # beyond stop nothing may be read
        digest.feed(Block(buffer, len(piece), offset, consumed=len(piece)), "a.json", 4)
        offset += len(piece)
    return digest.take()


def as_records(lines: Sequence[bytes], plan: Plan = Plan()) -> Digested:  # noqa: B008 (frozen)
    """The lines as records, each for itself."""
    digest = Digest(plan)
    offset = 0
    for one in lines:
        digest.feed(Records([(offset, one)], consumed=len(one) + 1), "a.json", 4)
        offset += len(one) + 1
    return digest.take()


def plain(digested: Digested) -> dict[str, Any]:
    """What is comparable: everything, the pairs added up."""
    content: dict[str, Any] = msgspec.to_builtins(digested)
    pairs: Counter[Any] = Counter()
    for provider, event_id, events in digested.pairs:
        assert events > 0
        pairs[provider, event_id] += events
    return content | {"pairs": pairs}


def rows_of(digested: Digested) -> list[ProcessCreate | NetworkConnect]:
    return [*digested.creates, *digested.connects]


def accounted(digested: Digested) -> int:
    return sum(n for *_, n in digested.pairs) + len(digested.dead_letters) + digested.tallies.get("blank_lines", 0)


# The two paths ----------------------------------------------------------------------------------------------------

PLANS = st.builds(
    Plan,
    event_time=st.sampled_from(list(EventTime)),
    since=st.sampled_from([None, "2026-03-04T05:07:00.000Z"]),
    until=st.sampled_from([None, "2026-03-04T05:11:00.000Z"]),
    hosts=st.sampled_from([(), ("ws-7*",), ("none",)]),
    events=st.booleans(),
    counted=st.sampled_from([frozenset(), frozenset({7, 10})]),
    dedupe=st.booleans(),
)
EVENTS = st.tuples(facts(), st.sampled_from(list(SHAPES.values())), st.booleans())


@given(st.lists(EVENTS, max_size=12), PLANS, st.integers(1, 13), st.booleans())
def test_lines_of_a_block_become_what_they_become_one_by_one(
    events: list[tuple[Fact, Shape, bool]], plan: Plan, cut: int, last_newline: bool
) -> None:
    lines = [line(fact, shape, ascii_only=ascii_only) for fact, shape, ascii_only in events]
    fast = as_block(lines, plan, cut=cut, last_newline=last_newline)
    slow = as_records(lines, plan)
    assert accounted(fast) == len(lines)
    assert fast.consumed == sum(len(one) + 1 for one in lines) - (not last_newline and bool(lines))
    fast.consumed = slow.consumed = 0
    assert plain(fast) == plain(slow)


BROKEN = [
    b"",
    b"{",
    b"[1,2,3]",
    b"null",
    b"# a comment",
    b'{"event_id": "three", "source_name": "x"}',
    b'{"event_id": 99999999999999999999, "source_name": "x"}',
    b'{"winlog": {"event_id": "", "provider_name": "x"}}',
    b'{"winlog": {"provider_name": "x"}, "event_id": 3}',
    b'{"winlog": [], "event_id": 3}',
    b'{"EventID": true}',
    b'{"EventID": 7, "SourceName": ["x"]}',
    b'{"EventID": 7, "SourceName": "", "Provider": "p"}',
    b'{"event_id": 7, "source_name": ""}',
    b'{"event_id": 7}',
    b'{"event_id": 7.0, "source_name": 5}',
    b'{"event_id": " 0x7 ", "source_name": "p"}',
    b'{"event_id": 3, "source_name": "%s"}' % SYSMON.encode(),
    b'{"event_id": 3, "source_name": "%s", "event_data": {"ProcessGuid": "-"}}' % SYSMON.encode(),
    b'{"event_id": "3", "source_name": "%s", "event_data": 5}' % SYSMON.encode(),
    b'{"event_id": 3, "source_name": "\xe9\\ud800"}',
]


@pytest.mark.parametrize("raw", [raw for raw in BROKEN if raw], ids=range(len(BROKEN) - 1))
@pytest.mark.parametrize("events", [False, True])
def test_both_paths_refuse_or_count_the_same(raw: bytes, events: bool) -> None:
    fast, slow = as_block([raw], Plan(events=events)), as_records([raw], Plan(events=events))
    fast.consumed = slow.consumed = 0
    assert plain(fast) == plain(slow)
    assert accounted(fast) == 1


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_pair_has_one_name_whatever_the_shape(shape: Shape) -> None:
    """Winlogbeat 8 writes event ids as text."""
    assert as_block([line(CONNECT, wlb6), line(CONNECT, shape)]).pairs == [(SYSMON, 3, 2)]
    logon = Fact(4624, {"a": "b"}, provider=SECURITY)
    assert as_block([line(logon, wlb6), line(logon, shape)]).pairs == [(SECURITY, 4624, 2)]


def test_blank_lines_are_counted_and_no_dead_letters() -> None:
    digested = as_block([b"", b"   ", b"\t\r", line(CONNECT) + b"\r", b""], cut=5)
    assert digested.tallies == {"blank_lines": 4}
    assert len(digested.connects) == 1
    assert digested.dead_letters == []


def test_the_provider_is_told_without_its_case_and_other_providers_are_not_sysmon() -> None:
    rows = as_block([line(CONNECT._replace(provider=p)) for p in (SYSMON.upper(), f"{SYSMON}X", "", SECURITY)])
    assert [row.source_name for row in rows.connects] == [SYSMON.upper()]


def test_what_a_reader_could_not_use_is_a_dead_letter() -> None:
    digest = Digest(Plan())
    torn = Torn(RecordError("read", "TruncatedGzip", "cut"), Original.of(b"abc"), 17, consumed=3)
    digest.feed(torn, "a.json.gz", 0)
    (letter,) = digest.take().dead_letters
    assert (letter.step, letter.error_class, letter.source, letter.position) == (
        "read",
        "TruncatedGzip",
        "a.json.gz",
        17,
    )


def test_a_dead_letter_says_where_and_what() -> None:
    lines = [line(CONNECT), b"", b"{torn", line(CONNECT)]
    (letter,) = as_block(lines, cut=2).dead_letters
    assert (letter.source, letter.position) == ("a.json", len(lines[0]) + 2)
    assert b64decode(letter.raw_b64) == b"{torn"
    assert (letter.step, letter.error_class, letter.time) == ("parse", "InvalidJson", None)


def test_a_dead_letter_of_utf16_holds_the_bytes_of_the_file() -> None:
    text = (line(CONNECT) + b"\n{torn\n").decode()
    digest = Digest(Plan())
    digest.feed(Block(bytearray(text.encode()), len(text.encode()), 2, wide="utf-16-le"), "a.json", 0)
    (letter,) = digest.take().dead_letters
    assert b64decode(letter.raw_b64) == "{torn".encode("utf-16-le")
    assert letter.position == 2 + 2 * (len(text) - len("{torn\n"))


@pytest.mark.parametrize("event_id", [1, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_create_or_connect_without_a_process_is_a_dead_letter(shape: Shape, event_id: int) -> None:
    for guid, error_class in (("", "NoProcessGuid"), (None, "NoProcessGuid"), ("-", "InvalidProcessGuid")):
        data = CONNECT_DATA | {"ProcessGuid": guid}
        digested = as_block([line(Fact(event_id, data), shape)])
        (letter,) = digested.dead_letters
        assert (letter.step, letter.error_class) == ("rekey", error_class)
        assert letter.time == "2026-03-04T05:06:08.100Z"  # it could be read
        assert (digested.creates, digested.connects, digested.pairs) == ([], [], [])


def test_other_events_need_no_process() -> None:
    driver = Fact(6, {"UtcTime": "2026-03-04 05:06:07.089", "ImageLoaded": "x.sys"})
    (row,) = as_block([line(driver)], Plan(events=True)).events
    assert (row.event_id, row.process_guid) == (6, None)


def test_events_8_and_10_have_their_source_as_the_process() -> None:
    for event_id, name in ((8, "SourceProcessGuid"), (10, "SourceProcessGUID")):
        data = {name: f"{{{OTHER_GUID.upper()}}}", "SourceProcessId": "7", "SourceImage": "a.exe", "TargetImage": "b"}
        (row,) = as_block([line(Fact(event_id, data))], Plan(counted=frozenset({event_id}))).events
        assert (row.process_guid, row.process_id, row.process_path) == (OTHER_GUID, 7, "a.exe")


@pytest.mark.parametrize("depth", range(960, 1000, 3))
def test_depth_is_no_fault_of_ours(depth: int) -> None:
    """Near Python's own limit each step may be the one that meets it."""
    deep = b"[" * depth + b"]" * depth
    data = b'{"ProcessGuid": "%s", "x": %s}' % (OTHER_GUID.encode(), deep)
    digested = as_block([b'{"event_id": 3, "source_name": "%s", "event_data": %s}' % (SYSMON.encode(), data)])
    assert accounted(digested) == 1
    assert [d.error_class for d in digested.dead_letters] in ([], ["InvalidJson"], ["InvalidEventData"])


# Fuzzed -----------------------------------------------------------------------------------------------------------

REAL_LOOKING = [
    *(line(fact, shape) for shape in SHAPES.values() for fact in (CREATE, CONNECT)),
    *(line(Fact(4688, {"NewProcessId": "0x1a4"}, provider=SECURITY), shape) for shape in (wlb6, wlb8, nxlog)),
    line(Fact(10, CREATE_DATA), wlb7),
]
SPLICES = [
    *(b'"', b"\\", b"\\u", b"\\ud83d", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-", b"1e999", b"9" * 40),
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\xef\xbb\xbf", b'"event_id":"x",', b'"winlog":null,'),
]
EVERYTHING = Plan(events=True, counted=frozenset({10}))


def mutated(raw: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """A line after a few accidents: bytes gone, doubled, flipped, torn off, or another line run into it."""
    out = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(out))
        match rng.randint(0, 5):
            case 0:
                out[at:at] = rng.choice(SPLICES)
            case 1:
                del out[at : at + rng.choice((1, 1, 2, 30))]
            case 2 if at < len(out):
                out[at] ^= 1 << rng.randint(0, 7)
            case 3:
                out = out[:at] if rng.random() < 0.5 else out[at:]
            case 4:
                other = rng.choice(others)
                out[at:] = other[rng.randint(0, len(other)) :]
            case _ if at < len(out):
                out[at] = rng.randint(0, 255)
    return bytes(out).replace(b"\n", b"\r")


def check_each_line_once(lines: list[bytes], plan: Plan) -> None:
    digested = as_block(lines, plan, cut=len(lines) or 1)
    assert accounted(digested) == len(lines)
    assert "InternalError" not in {d.error_class for d in digested.dead_letters}
    assert digested.tallies.get("blank_lines", 0) == sum(not raw.strip() for raw in lines)
    offsets, at = {}, 0
    for raw in lines:
        offsets[at] = raw
        at += len(raw) + 1
    for letter in digested.dead_letters:
        assert letter.position is not None
        assert b64decode(letter.raw_b64) == offsets[letter.position]
    places = [letter.position for letter in digested.dead_letters]
    assert len(set(places)) == len(places)
    msgspec.json.encode(digested)  # whatever is in it can be written


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")), max_size=8))
@example([b"\xa0", b"\x85", b"\x1c", b"\x0b"])  # blank to some
def test_any_bytes_are_accounted_for(lines: list[bytes]) -> None:
    check_each_line_once(lines, EVERYTHING)


@settings(max_examples=examples(150))
@given(st.randoms(use_true_random=False), st.sampled_from([Plan(), EVERYTHING, Plan(dedupe=True, hosts=("ws*",))]))
def test_mutated_lines_of_every_shape_are_accounted_for(rng: random.Random, plan: Plan) -> None:
    check_each_line_once([mutated(raw, rng, REAL_LOOKING) for raw in REAL_LOOKING], plan)


@given(
    st.sampled_from(REAL_LOOKING),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
        max_leaves=3,
    ),
    st.data(),
)
def test_any_value_in_any_place_is_accounted_for(raw: bytes, value: Any, data: st.DataObject) -> None:
    """Typed nonsense: valid JSON with the wrong thing somewhere in it."""
    document = json.loads(raw)
    parent, name = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(parent[name], dict) and parent[name] and data.draw(st.booleans()):
        parent = parent[name]
        name = data.draw(st.sampled_from(sorted(parent)))
    parent[name] = value
    check_each_line_once([json.dumps(document).encode(), b"{}"], EVERYTHING)


def real_lines(shared: Path) -> list[bytes]:
    lines: list[bytes] = []
    for folder in ("wlb6", "wlb7", "wlb8", "flat_nxlog", "flat_timecreated", "array_xml"):
        path = sorted((shared / "data" / folder).glob("*.gz"))[-1]
        content = gzip.decompress(path.read_bytes())
        if folder == "array_xml":
            lines += [json.dumps(one).encode() for one in json.loads(content)[:100]]
        else:
            lines += [one for one in content.split(b"\n")[:400] if one.strip()]
    return lines


def test_mutated_recorded_lines_are_accounted_for(shared: Path) -> None:
    lines = real_lines(shared)
    rng = random.Random(20)  # noqa: S311 (no secret)
    for plan in (Plan(), EVERYTHING):
        check_each_line_once(lines, plan)
        check_each_line_once([mutated(raw, rng, lines) for raw in lines for _ in range(2)], plan)


def test_recorded_lines_take_both_paths_to_the_same_rows(shared: Path) -> None:
    lines = real_lines(shared)
    for plan in (Plan(), EVERYTHING):
        assert plain(as_block(lines, plan, cut=50)) == plain(as_records(lines, plan))


# Counting pairs ---------------------------------------------------------------------------------------------------


def test_pairs_beyond_the_bound_are_others() -> None:
    lines = [b'{"event_id":%d,"source_name":"a"}' % n for n in range(PAIRS + 5)]
    lines += [b'{"event_id":"%d","source_name":"a"}' % n for n in range(PAIRS + 5)]
    lines += [b'{"event_id":%d,"source_name":"b"}' % n for n in range(3)]
    digested = as_block(lines, cut=len(lines))
    named = [pair for pair in digested.pairs if pair[:2] != ("other", None)]
    assert PAIRS == 10_000
    assert len(named) == PAIRS
    assert {events for *_, events in named} == {2}
    assert sum(events for provider, _, events in digested.pairs if provider == "other") == 13
    assert accounted(digested) == len(lines)


def test_wanted_pairs_are_bounded_and_still_wanted() -> None:
    """Whoever writes the provider's name in 100,000 spellings gets all rows and no memory."""
    rng = random.Random(7)  # noqa: S311 (no secret)
    names = ["".join(rng.choice((c.lower(), c.upper())) for c in SYSMON) for _ in range(PAIRS + 50)]
    lines = [b'{"event_id":3,"source_name":"%s","event_data":{"ProcessGuid":"%s"}}' % (n.encode(), OTHER_GUID.encode())
             for n in names]  # fmt: skip
    digested = as_block(lines, cut=len(lines))
    assert len(digested.connects) == len(lines)
    assert len(digested.pairs) == PAIRS + 1
    assert accounted(digested) == len(lines)


def test_pairs_are_given_up_once() -> None:
    digest = Digest(Plan())
    digest.feed(Records([(0, line(CONNECT))]), "a", 0)
    assert digest.size() == 1
    assert digest.take().pairs == [(SYSMON, 3, 1)]
    assert digest.size() == 0
    assert digest.take() == Digested()
    digest.feed(Records([(0, line(CONNECT))]), "a", 0)
    assert digest.take().pairs == [(SYSMON, 3, 1)]


# Narrowing --------------------------------------------------------------------------------------------------------


def hosts_of(*hosts: str) -> list[str | None]:
    lines = [line(CONNECT._replace(host=h)) for h in ("WS-7.lab", "ws-70.lab", "SRV", "")]
    digested = as_block(lines, Plan(hosts=hosts))
    assert digested.tallies.get("outside_host", 0) == len(lines) - len(digested.connects)
    assert accounted(digested) == len(lines)
    return [row.host for row in digested.connects]


def test_only_hosts_that_are_asked_for() -> None:
    assert hosts_of() == ["WS-7.lab", "ws-70.lab", "SRV", None]
    assert hosts_of("ws-7.lab") == ["WS-7.lab"]
    assert hosts_of("ws-7*") == ["WS-7.lab", "ws-70.lab"]
    assert hosts_of("ws-7?.lab", "srv") == ["ws-70.lab", "SRV"]
    assert hosts_of("ws-7") == []
    assert hosts_of("*") == ["WS-7.lab", "ws-70.lab", "SRV", None]


SINCE, UNTIL = "2026-03-04T05:00:00.000Z", "2026-03-04T05:10:00.000Z"
AROUND = ["2026-03-04 04:59:59.999", "2026-03-04 05:00:00.000", "2026-03-04 05:09:59.999", "2026-03-04 05:10:00.000"]


@pytest.mark.parametrize(
    ("since", "until", "inside"),
    [(None, None, 4), (SINCE, None, 3), (None, UNTIL, 3), (SINCE, UNTIL, 2)],
)
def test_since_is_in_until_is_not_and_creates_outside_are_context(
    since: str | None, until: str | None, inside: int
) -> None:
    lines = [line(Fact(event_id, CREATE_DATA | {"UtcTime": t})) for t in AROUND for event_id in (1, 3, 7)]
    plan = Plan(since=since, until=until, counted=frozenset({7}))
    digested = as_block(lines, plan)
    assert (len(digested.creates), len(digested.context)) == (inside, 4 - inside)
    assert len(digested.connects) == inside
    assert [row.event_id for row in digested.events] == [7] * inside
    assert digested.tallies == ({"outside_time": 3 * (4 - inside)} if inside < 4 else {})
    assert accounted(digested) == len(lines)


def test_a_row_without_an_event_time_is_counted_and_outside_of_every_span() -> None:
    lines = [line(Fact(event_id, CREATE_DATA | {"UtcTime": "never"})) for event_id in (1, 3)]
    everything = as_block(lines)
    assert [row.event_date_creation for row in rows_of(everything)] == [None, None]
    assert [row.event_time_source for row in rows_of(everything)] == [None, None]
    assert everything.tallies == {"no_event_time": 2}
    narrowed = as_block(lines, Plan(since=SINCE))
    assert (narrowed.creates, narrowed.connects, len(narrowed.context)) == ([], [], 1)
    assert narrowed.tallies == {"no_event_time": 2, "outside_time": 2}
    other_clock = as_block(lines, Plan(event_time=EventTime.AUTO, since=SINCE))
    assert [row.event_time_source for row in rows_of(other_clock)] == ["timestamp"] * 2


# What else is wanted ----------------------------------------------------------------------------------------------


def test_events_are_rows_only_when_asked_for() -> None:
    lines = [line(Fact(event_id, CREATE_DATA)) for event_id in (1, 3, 7, 11)]
    assert as_block(lines).events == []
    assert [row.event_id for row in as_block(lines, Plan(events=True)).events] == [1, 3, 7, 11]
    counted = as_block(lines, Plan(counted=frozenset({7})))
    assert [row.event_id for row in counted.events] == [7]
    assert (len(counted.creates), len(counted.connects)) == (1, 1)


def test_with_dedupe_every_row_waits_with_its_place() -> None:
    lines = [line(CREATE), line(CONNECT), line(CONNECT), line(Fact(7, CREATE_DATA)), b"torn"]
    digested = as_block(lines, Plan(dedupe=True, counted=frozenset({7}), until="2026-03-04T05:06:08.000Z"))
    assert (digested.creates, digested.context, digested.connects, digested.events) == ([], [], [], [])
    assert len(digested.dead_letters) == 1
    assert [a.position for a in digested.arrivals] == [0, sum(len(x) + 1 for x in lines[:3])]
    create, loaded = digested.arrivals
    assert (create.create is None, create.context is None, loaded.event is None) == (False, True, False)
    assert {(a.source, a.index, a.record_id) for a in digested.arrivals} == {("a.json", 4, "77")}
    everything = as_block(lines, Plan(dedupe=True))
    assert [a.event_uid for a in everything.arrivals[1:]] == [everything.arrivals[1].event_uid] * 2


def test_a_create_outside_the_span_waits_as_context() -> None:
    (arrival,) = as_block([line(CREATE)], Plan(dedupe=True, since="2027-01-01T00:00:00.000Z")).arrivals
    assert arrival.create is None
    assert arrival.context is not None
