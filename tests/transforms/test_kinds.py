"""Records that nothing is wanted of are not decoded; whatever is passed over, what is found stays the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.winlog import WinlogEvent, parse_record
from huntbeam.transforms.digest import Digest, Plan
from huntbeam.transforms.kinds import LONG
from huntbeam.transforms.read import Block
from huntbeam.transforms.sigma.alerts import Detector
from tests.events import CONNECT, SECURITY, SHAPES, Fact, Shape, line, nxlog, wlb6, wlb7, wlb8
from tests.transforms.sigma.rules import rule, ruleset

WORDS = ["kiwi::dump", "\\Evil.dll", "Compress-Archive -Path", 'say "boo"']
OTHERS = ["kiwi::", "evil", "ſay", "C:\\Tools\\a.dll", "Kompress-Archive", "ü", "\n", "{", "::", "1e5"]
RULES = ruleset(rule({"keywords": WORDS, "condition": "keywords"}, {"product": "windows", "service": "security"}))
PLAN = Plan(rules=RULES.pack())

values = st.lists(st.sampled_from([*WORDS, *(word.swapcase() for word in WORDS), *OTHERS]), max_size=3).map("".join)
facts = st.builds(
    lambda event_id, data, size: Fact(event_id, {**data, "Long": "x" * size}, provider=SECURITY, channel="Security"),
    st.sampled_from([4703, 4703, 5158]),
    st.dictionaries(st.sampled_from("ABC"), values | st.lists(values | st.integers() | st.none(), max_size=2)),
    st.sampled_from([1, LONG]),
)


def fed(lines: list[bytes], plan: Plan = PLAN, *, cut: int) -> Digest:
    digest = Digest(plan)
    for start in range(0, len(lines), cut):
        piece = b"\n".join(lines[start : start + cut]) + b"\n"
        digest.feed(Block(bytearray(piece), len(piece), 0), "a.json", 0)
    return digest


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The records that were decoded whole."""
    found: list[bytes] = []

    def parse(raw: bytes) -> WinlogEvent:
        found.append(raw)
        return parse_record(raw)

    monkeypatch.setattr("huntbeam.transforms.digest.parse_record", parse)
    return found


@given(st.lists(st.tuples(facts, st.sampled_from(list(SHAPES.values())), st.booleans()), max_size=9), st.integers(1, 9))
def test_every_alert_is_found(events: list[tuple[Fact, Shape, bool]], cut: int) -> None:
    lines = [line(fact, shape, ascii_only=ascii_only) for fact, shape, ascii_only in events]
    detector = Detector(RULES)
    found = [detector.find(parse_record(one), PLAN.event_time) for one in lines]
    expected = [one.event_uid for one in found if one is not None]
    blocks, records = fed(lines, cut=cut), Digest(PLAN)
    for one in lines:
        records.record(one, "a.json", 0, None)
    for digest in (blocks, records):
        out = digest.take()
        assert [alert.contributing[0] for alert in out.alerts] == expected
        assert sum(events for *_, events in out.pairs) == len(lines)


def security(text: str = "harmless", event_id: int = 4703, channel: str = "Security") -> Fact:
    return Fact(event_id, {"Text": text}, provider=SECURITY, channel=channel)


@pytest.mark.parametrize("shape", [wlb6, wlb7, wlb8, nxlog])
def test_a_record_in_which_nothing_stands_is_counted_undecoded(shape: Shape, decoded: list[bytes]) -> None:
    lines = [line(security(text), shape) for text in ("harmless", "KIWI::DUMP", "kiwi::du", "plain")]
    out = fed(lines, cut=4).take()
    assert [alert.event["Text"] for alert in out.alerts] == ["KIWI::DUMP"]
    assert out.pairs == [(SECURITY, 4703, 4)]
    assert lines[0] not in decoded
    assert lines[1] in decoded


@pytest.mark.parametrize("shape", [wlb6, wlb7, wlb8, nxlog])
def test_where_most_is_wanted_long_ones_alone_are_looked_at(shape: Shape, decoded: list[bytes]) -> None:
    wanted = line(CONNECT)
    short, long = line(security(), shape), line(security("x" * LONG), shape)
    lines = [wanted, wanted, wanted, short, long, wanted, wanted, wanted, short, long]
    out = fed(lines, cut=5).take()
    assert out.pairs == [(CONNECT.provider, 3, 6), (SECURITY, 4703, 4)]
    assert [one for one in decoded if one != wanted] == [short]  # of the second block, in the first nobody knew


def test_nothing_is_passed_over_where_the_record_does_not_tell(decoded: list[bytes]) -> None:
    no_channel = line(security(channel=""), wlb7)  # its channel is concluded from the provider
    assert fed([no_channel] * 3, cut=1).take().pairs == [(SECURITY, 4703, 3)]
    assert len(decoded) == 3
    outside = Plan(rules=RULES.pack(), hosts=("another",))
    assert fed([line(security())] * 3, outside, cut=1).take().tallies == {"outside_host": 3}
    assert len(decoded) == 6
