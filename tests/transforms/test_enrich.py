"""Enrichment: the bounded core against a naive one, both against the two steps of a stream in any order."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.clock import DAY, MINUTE, instant
from huntbeam.schemas.sysmon import (
    ZERO_GUID,
    EventHead,
    ProcessContext,
    ProcessCreate,
    ProcessTerminate,
    SysmonEnriched,
)
from huntbeam.transforms.enrich import (
    GRANDPARENT,
    Ancestor,
    Context,
    Found,
    Pending,
    enrich_all,
    enriched,
    process_of,
    rule_fields,
)
from huntbeam.transforms.enrich_keyed import for_events, for_parents, keyed_events, keyed_parents, tick
from huntbeam.transforms.keyed_match import KeyedMatch, Waits
from tests.conftest import examples
from tests.transforms.test_join import Cell

WAITS = Waits(join=10 * MINUTE, process_ttl=2 * DAY, terminate_grace=10 * MINUTE)
TICK = tick(WAITS)
NOON = 1_800_000_000_000
END = NOON + 400 * DAY
GUIDS = [ZERO_GUID, *(f"00000000-0000-0000-0000-00000000000{n}" for n in range(1, 6))]
HOST = "WS-1"

Row = ProcessContext | Pending | ProcessTerminate


def process(guid: str | None, parent: str | None = None, *, time: int | None = NOON, **others: Any) -> ProcessContext:
    name = f"{guid}-{parent}"
    values = dict.fromkeys(ProcessContext.__struct_fields__)
    values |= {"process_guid": guid, "host": HOST, "event_id": 1, "event_uid": uid.digest("create", name, time)}
    values |= {"process_command_line": f"run {guid}", "event_date_creation": None if time is None else instant(time)}
    values |= {"process_path": f"{guid}.exe", "parent_process_guid": parent}
    values |= {"parent_process_path": f"{parent}.exe", "parent_process_command_line": f"run {parent}"} if parent else {}
    return ProcessContext(**{**values, **others})  # type: ignore[arg-type]


def head(guid: str | None, name: str, event_id: int = 7, host: str = "ws-1") -> EventHead:
    values = dict.fromkeys(EventHead.__struct_fields__)
    values |= {"process_guid": guid, "host": host, "event_id": event_id, "event_uid": uid.digest("event", guid, name)}
    return EventHead(**values)  # type: ignore[arg-type]


def event(guid: str | None, name: str = "e", event_id: int = 7, host: str = "ws-1") -> Pending:
    return Pending(head(guid, name, event_id, host), {"Name": name})


def created(of: ProcessContext) -> Pending:
    """Event 1 that is to be enriched itself."""
    return Pending(head(of.process_guid, of.event_uid, 1), {}, create=of)


class Arrival(NamedTuple):
    """A row, when it came, and the partition that it is read from."""

    a: int
    row: Row
    partition: int = 0


class Step:
    """The cells of one step, and what it put out, with the time that this has on Beam."""

    def __init__(self, core: KeyedMatch[Any, Any]) -> None:
        self.core = core
        self.cells: dict[str, Cell] = {}

    def bring(self, at: int, brought: Iterable[Any]) -> list[tuple[int, Any]]:
        out: list[tuple[int, Any]] = []
        for one in brought:
            if isinstance(one, tuple):
                place, element = one
                out += ((at, row) for row in self.core.on_elements(self.cells.setdefault(place, Cell()), [element]))
            else:
                out.append((at, one))
        return out

    def due(self) -> int | None:
        return min((at for cell in self.cells.values() for at in cell.timers.values()), default=None)

    def fire(self) -> list[tuple[int, Any]]:
        """The earliest timer."""
        at, place, name = min((at, place, n) for place, cell in self.cells.items() for n, at in cell.timers.items())
        cell = self.cells[place]
        del cell.timers[name]
        fired = self.core.on_due(cell, at) if name == "due" else self.core.on_expire(cell, at)
        out = [(at, row) for row in fired]
        if cell.empty():
            del self.cells[place]
        return out


class Driver:
    """A runner in miniature: two steps, of which the second sees nothing before the first has put it out."""

    def __init__(self, others: bool = True, waits: Waits = WAITS) -> None:
        self.others = others
        self.parents = Step(keyed_parents(others, waits))
        self.events = Step(keyed_events(waits))
        self.out: list[Found] = []

    def row(self, a: int, row: Row) -> None:
        self._pass_on(self.parents.bring(a, for_parents(a, row, self.others)))
        if self.others:
            self._second(a, row)

    def advance(self, watermark: int) -> None:
        """Fires every timer up to the watermark in time order; of equal ones the first step's come first."""
        while True:
            first, second = self.parents.due(), self.events.due()
            if min(first or END + 1, second or END + 1) > watermark:
                return
            if first is not None and (second is None or first <= second):
                self._pass_on(self.parents.fire())
            else:
                self.out += [row for _, row in self.events.fire()]

    def empty(self) -> bool:
        return all(cell.empty() for step in (self.parents, self.events) for cell in step.cells.values())

    def _pass_on(self, rows: list[tuple[int, Any]]) -> None:
        for at, row in rows:
            if isinstance(row, Found):
                self.out.append(row)
            else:
                self._second(at, row)

    def _second(self, at: int, row: Any) -> None:
        self.out += [one for _, one in self.events.bring(at, for_events(at, row))]


def stream(arrivals: Sequence[Arrival], reading: Sequence[int] = (), crash: tuple[int, int] | None = None) -> Driver:
    """`reading` says which partition is read next, and whether timers fire; `crash`: snapshot and crash by row."""
    driver = Driver()
    order = interleaved(arrivals, reading)
    saved: tuple[int, Any] = (0, copy.deepcopy(cells(driver)))
    at = 0
    while at < len(order):
        if crash and at == crash[0]:
            saved = at, copy.deepcopy(cells(driver))
        if crash and at == crash[1]:
            at, (driver.parents.cells, driver.events.cells) = saved[0], copy.deepcopy(saved[1])
            crash = None
            continue
        driver.row(order[at].a, order[at].row)
        at += 1
        driver.advance(min((one.a for one in order[at:]), default=order[-1].a))
    driver.advance(END)
    return driver


def cells(driver: Driver) -> tuple[dict[str, Cell], dict[str, Cell]]:
    return driver.parents.cells, driver.events.cells


def interleaved(arrivals: Sequence[Arrival], reading: Sequence[int]) -> list[Arrival]:
    """An order of reading in which partitions stay less than join_wait apart."""
    left = {p: sorted((one for one in arrivals if one.partition == p), key=lambda one: one.a) for p in (0, 1)}
    order: list[Arrival] = []
    for choice in [*reading, *[0] * len(arrivals)]:
        heads = {p: queue[0].a for p, queue in left.items() if queue}
        if not heads:
            break
        allowed = [p for p, a in sorted(heads.items()) if a - min(heads.values()) < WAITS.join]
        order.append(left[allowed[choice % len(allowed)]].pop(0))
    return order


def bounded(arrivals: Iterable[Arrival], depth: int = GRANDPARENT) -> list[Found]:
    rows = [one.row for one in arrivals]
    events = [row for row in rows if isinstance(row, Pending)]
    processes = [row for row in rows if isinstance(row, ProcessContext)]
    return list(enrich_all([*processes, *(e.create for e in events if e.create is not None)], events, depth))


def as_rows(found: Iterable[Found]) -> set[bytes]:
    return {msgspec.json.encode(enriched(one)) for one in found}


def uids(found: Iterable[Found]) -> list[str]:
    return [one.event.head.event_uid for one in found]


@st.composite
def families(draw: st.DrawFn) -> list[ProcessContext]:
    """A create for some GUIDs; anyone may be anyone's parent, the own one included."""
    found = []
    for guid in GUIDS:
        if draw(st.integers(0, 3)):
            parent = draw(st.sampled_from([*GUIDS, None, "00000000-0000-0000-0000-00000000000f"]))
            time = draw(st.none() | st.integers(-30 * DAY, 30 * DAY).map(lambda drift: NOON + drift))
            found.append(process(guid, parent, time=time))
    return found


@st.composite
def arrivals(draw: st.DrawFn, spread: int) -> list[Arrival]:
    """Creates, some of them to be enriched, events and ends of a family within `spread`; some of them twice."""
    near = st.integers(0, 8).map(lambda n: n * WAITS.join // 4)
    at = st.integers(0, spread) | near.filter(lambda a: a <= spread)
    found: list[Arrival] = []

    def deliver(row: Row, times: int) -> None:
        found.extend(Arrival(NOON + draw(at), row, draw(st.integers(0, 1))) for _ in range(times))

    for one in draw(families()):
        deliver(created(one) if draw(st.booleans()) else one, draw(st.integers(1, 2)))
    for guid in [*GUIDS, None]:
        for number in range(draw(st.integers(0, 2))):
            deliver(event(guid, f"e{number}", draw(st.sampled_from([3, 5, 10]))), draw(st.integers(1, 2)))
        if guid is not None and draw(st.booleans()):
            deliver(ProcessTerminate(host="ws-1", process_guid=guid), 1)
    return sorted(draw(st.permutations(found)), key=lambda one: one.a)


readings = st.lists(st.integers(0, 3), max_size=40)


@settings(max_examples=examples(80), deadline=None)
@given(arrivals(spread=WAITS.join), readings)
def test_stream_equals_replay_when_arrivals_spread_at_most_join_wait(found: list[Arrival], reading: list[int]) -> None:
    driver = stream(found, reading)
    assert as_rows(driver.out) == as_rows(bounded(found))
    assert sorted(uids(driver.out)) == sorted(uids(bounded(found)))


@settings(max_examples=examples(60), deadline=None)
@given(arrivals(spread=4 * DAY), readings, st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_each_event_is_put_out_at_any_spread_and_after_a_crash(
    found: list[Arrival], reading: list[int], snapshot: int, later: int, crashes: bool
) -> None:
    driver = stream(found, reading, (snapshot, snapshot + later) if crashes else None)
    expected = bounded(found)
    assert set(uids(driver.out)) == set(uids(expected))
    if not crashes:
        assert sorted(uids(driver.out)) == sorted(uids(expected))
    contexts = {one.event.head.event_uid: one.context for one in expected}
    for one in driver.out:  # what is known is what replay knows, or less
        whole = contexts[one.event.head.event_uid]
        if one.context is not None:
            assert whole is not None
            assert one.context.create == whole.create
            assert one.context.ancestors == whole.ancestors[: len(one.context.ancestors)]


@settings(max_examples=examples(80), deadline=None)
@given(arrivals(spread=4 * DAY), readings)
def test_no_state_is_left_in_the_end(found: list[Arrival], reading: list[int]) -> None:
    assert stream(found, reading).empty()


@settings(max_examples=examples(80), deadline=None)
@given(arrivals(spread=4 * DAY), st.integers(0, 8))
def test_an_event_waits_join_wait_and_no_longer(found: list[Arrival], offset: int) -> None:
    """By the clock that timers see: no row is missing a tick after the wait of its event is over."""
    at = NOON + offset * WAITS.join // 2
    driver = Driver()
    for one in found:
        if one.a <= at:
            driver.advance(one.a)
            driver.row(one.a, one.row)
    driver.advance(at + WAITS.join + TICK)
    came = [one.row.head.event_uid for one in found if isinstance(one.row, Pending) and one.a <= at]
    assert sorted(uids(driver.out)) == sorted(came)


def naive(processes: Sequence[ProcessContext], guid: str, depth: int) -> list[str | None]:
    """The GUIDs of a process's ancestors, by search."""
    chain: list[str | None] = []
    at = guid
    for _ in range(depth):
        of = [one for one in processes if one.process_guid == at]
        if not of or of[0].parent_process_guid is None:
            break
        at = of[0].parent_process_guid
        chain.append(at)
        if at in (ZERO_GUID, guid, *chain[:-1]):
            break
    return chain


@settings(max_examples=examples(100), deadline=None)
@given(families(), st.integers(0, 9), st.randoms())
def test_ancestors_are_found_in_any_order_and_no_circle_hangs(
    found: list[ProcessContext], depth: int, random: Any
) -> None:
    random.shuffle(found)
    events = [event(guid) for guid in GUIDS[1:]]
    for one in enrich_all(found, events, depth):
        guid = one.event.head.process_guid
        assert guid is not None
        if one.context is None:
            assert guid not in [of.process_guid for of in found]
        else:
            assert [of.process_guid for of in one.context.ancestors] == naive(found, guid, depth)


A, B, C, D = GUIDS[1:5]


def one_row(*rows: Row, ancestry: int = 0) -> SysmonEnriched:
    (found,) = bounded([Arrival(NOON, row) for row in rows], max(GRANDPARENT, ancestry))
    return enriched(found, ancestry)


def test_a_row_has_the_event_its_process_and_the_grandparent() -> None:
    row = one_row(process(A, B, hashes="SHA1=0", product="P"), process(B, C), event(A))
    assert (row.event_id, row.event, row.process_path, row.hashes, row.product) == (
        7,
        {"Name": "e"},
        f"{A}.exe",
        "SHA1=0",
        "P",
    )
    assert (row.parent_process_path, row.grandparent_process_path) == (f"{B}.exe", f"{C}.exe")
    assert row.grandparent_process_command_line == f"run {C}"
    assert (row.context, row.process_create_time, row.host) == ("full", instant(NOON), "ws-1")
    assert row.ancestor_process_guids == []


def test_without_the_parents_create_the_grandparent_is_null_and_without_its_own_all_is() -> None:
    row = one_row(process(A, B), event(A))
    assert (row.context, row.parent_process_path, row.grandparent_process_path) == ("no_parent", f"{B}.exe", None)
    row = one_row(process(B, C), event(A))
    assert (row.context, row.process_command_line, row.process_create_time) == ("missing", None, None)


def test_what_the_event_says_itself_stays() -> None:
    own = msgspec.structs.replace(head(A, "e"), process_path="own", user_account="me")
    said = msgspec.structs.replace(event(A), head=own)
    row = one_row(process(A, user_account="other", process_id=4), said)
    assert (row.process_path, row.user_account, row.process_id) == ("own", "me", 4)


def test_ancestors_are_listed_as_far_as_asked_and_as_known() -> None:
    rows = (process(A, B), process(B, C), process(C, None), event(A))
    assert one_row(*rows, ancestry=1).ancestor_process_guids == [B]
    whole = one_row(*rows, ancestry=9)
    assert whole.ancestor_process_guids == [B, C]
    assert whole.ancestor_process_paths == [f"{B}.exe", f"{C}.exe"]
    assert whole.ancestor_process_command_lines == [f"run {B}", f"run {C}"]


def test_a_process_that_is_its_own_parent_has_no_grandparent() -> None:
    assert one_row(process(A, A), event(A), ancestry=9).ancestor_process_guids == [A]
    assert one_row(process(A, B), process(B, A), event(A), ancestry=9).ancestor_process_guids == [B, A]


def test_hosts_are_told_apart_without_case() -> None:
    assert one_row(process(A, B), event(A, host="WS-1")).context == "no_parent"
    assert one_row(process(A, B), event(A, host="ws-2")).context == "missing"


def test_of_two_creates_the_later_counts_but_an_event_1_has_its_own() -> None:
    old, new = process(A, B, time=NOON), process(A, C, time=NOON + 1)
    assert one_row(old, new, event(A)).parent_process_guid == C
    assert one_row(new, created(old)).parent_process_guid == B


def test_rules_see_what_is_known_by_their_names() -> None:
    (found,) = bounded([Arrival(NOON, one) for one in (process(A, B, process_id=7), process(B, C), event(A))])
    fields = rule_fields(found.context)
    assert fields["GrandParentImage"] == f"{C}.exe"
    assert (fields["CommandLine"], fields["ProcessId"]) == (f"run {A}", 7)
    assert "Hashes" not in fields
    assert rule_fields(None) == {}


def test_a_row_of_sysmon_process_create_is_a_context_too() -> None:
    values = {name: getattr(process(A, B), name) for name in ProcessCreate.__struct_fields__}
    assert process_of(ProcessCreate(**values)) == process(A, B)


def found_at(driver: Driver) -> list[tuple[str, str | None]]:
    rows = [enriched(one) for one in driver.out]
    return [(row.context, row.grandparent_process_path) for row in rows]


def play(*came: tuple[float, Row], waits: Waits = WAITS) -> Driver:
    """Rows at minutes, the watermark behind them."""
    driver = Driver(waits=waits)
    for minute, row in came:
        driver.advance(NOON + int(minute * MINUTE))
        driver.row(NOON + int(minute * MINUTE), row)
    return driver


def test_the_grandparent_is_found_though_the_parent_ended_long_ago() -> None:
    end = ProcessTerminate(host=HOST, process_guid=B)
    driver = play((0, process(B, C)), (1, process(A, B)), (2, end), (24 * 60, event(A)))
    assert found_at(driver) == [("full", f"{C}.exe")]


def test_a_context_whose_parent_is_not_there_is_waited_for_until_it_is() -> None:
    driver = play((0, process(A, B)), (1, event(A)))
    assert driver.out == []
    driver.row(NOON + 2 * MINUTE, process(B, C))
    assert found_at(driver) == [("full", f"{C}.exe")]


def test_when_the_parent_is_given_up_events_go_and_later_ones_do_not_wait() -> None:
    driver = play((0, process(A, B)), (1, event(A)))
    driver.advance(NOON + WAITS.join + TICK - 1)
    assert driver.out == []
    driver.advance(NOON + WAITS.join + TICK)
    assert found_at(driver) == [("no_parent", None)]
    driver.row(NOON + 11 * MINUTE, event(A, "later"))
    assert found_at(driver) == [("no_parent", None)] * 2


def test_an_event_does_not_wait_longer_for_the_parent_of_a_late_create() -> None:
    driver = play((0, event(A)), (9, process(A, B)), (15, process(D)))
    assert found_at(driver) == [("no_parent", None)]


def test_a_short_process_of_an_unknown_parent_keeps_its_events() -> None:
    waits = Waits(join=10 * MINUTE, process_ttl=2 * DAY, terminate_grace=MINUTE)
    end = ProcessTerminate(host=HOST, process_guid=A)
    driver = play((0, process(A, B)), (0.5, event(A)), (0.6, end), (5, process(B, C)), waits=waits)
    assert found_at(driver) == [("full", f"{C}.exe")]
    driver.advance(END)
    assert driver.empty()


def test_thousands_of_events_that_wait_are_read_a_few_times_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    waiting = Cell.waiting
    monkeypatch.setattr(Cell, "waiting", lambda cell: (reads.append(1), waiting(cell))[1])
    driver = play(*((n / 40, event(A, f"e{n}")) for n in range(800)))  # for twice as long as they wait
    driver.advance(END)
    assert len(driver.out) == 800
    assert len(reads) <= 2 * 20 + 2


def test_creates_alone_need_no_second_step() -> None:
    driver = Driver(others=False)
    for a, row in ((0, created(process(A, B))), (1, process(B, C)), (2, process(D, C))):
        driver.row(NOON + a, row)
    assert found_at(driver) == [("full", f"{C}.exe")]
    assert driver.events.cells == {}


def test_an_event_without_a_process_is_put_out_at_once() -> None:
    assert found_at(play((0, event(ZERO_GUID)), (0, event(None)))) == [("missing", None)] * 2


def test_of_copies_of_a_create_that_which_says_more_counts() -> None:
    seeded, whole = process(A), process(A, original_file_name="a.exe")
    for order in ((seeded, whole), (whole, seeded)):
        driver = play(*((0, one) for one in order), (1, event(A)))
        (row,) = driver.out
        assert row.context == Context(whole, (), parent_known=False)
    assert Ancestor(None, None, None) not in [a for one in driver.out if one.context for a in one.context.ancestors]
