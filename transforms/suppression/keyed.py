"""Suppression on the stream: the alerts of one slot as they come. The pure core (keyed_log.py).

The first alert of a slot is shown at once. One that comes later and is earlier by event time takes its place: the other
is taken back, and becomes a row of `suppressed`. So the final rows are replay's when the alerts of a slot come within
the window's size and the allowed lateness of one another. What one event gave is never taken back, so of those alerts
the slot remembers no more than the ids. The alert of a correlation is, and is remembered whole: it may be shown yet.

That only the count of the others has risen is said once a minute, or a rule that never rests would never stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from huntbeam.schemas.alert import RULE, Alert
from huntbeam.schemas.clock import HOUR, MINUTE
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog
from huntbeam.transforms.revisions import Shown, mark, revised
from huntbeam.transforms.state import Versioned
from huntbeam.transforms.suppression.evaluate import Placed, Slot, order, slot

ALERTS = 10_000  # of a slot
COUNT_EVERY = MINUTE
PUT_OUT = Shown(b"")  # as a row of `suppressed`, before its slot saw it


class Coming(msgspec.Struct, frozen=True, array_like=True):
    """An alert on its way to its slot. Without a row it is a row of `suppressed` already, and is counted."""

    slot: Slot
    time: str
    event_uid: str
    revision: int = 0
    retracted: bool = False
    span: int = 0  # how long after its arrival it may be taken back, beside the allowed lateness
    row: Alert | None = None


class Came(msgspec.Struct, frozen=True, array_like=True):
    """The same, and when it came."""

    a: int
    alert: Coming


class Sorted(msgspec.Struct):
    """Alerts that came together: those without a time, those that are suppressed for sure, and the rest."""

    timeless: list[Alert]
    suppressed: list[Alert]
    coming: list[Coming]


class Held(msgspec.Struct, array_like=True):
    """What is known of an alert of a slot."""

    time: str
    event_uid: str
    row: Alert | None = None
    retracted: bool = False
    in_alerts: Shown | None = None
    in_suppressed: Shown | None = None


class SlotState(msgspec.Struct, array_like=True):
    """What is known of a slot."""

    held: list[Held] = []
    end: int = 0  # when it is forgotten
    told: int = 0  # the count that was put out with the alert that is shown
    told_at: int = 0
    more: int = 0  # alerts that were given up for want of room


ENTRY: Versioned[Entry[SlotState, Came]] = Versioned(1, Entry[SlotState, Came])


def sort(alerts: Iterable[Alert], size_ms: int, span_of: Callable[[str], int]) -> Sorted:
    """Of alerts that one event each gave and that come together, only the earliest of a slot can be shown.

    `span_of` gives the timespan of a correlation by its rule id: so long after an event its alert may change.
    """
    found = Sorted([], [], [])
    earliest: dict[Slot, Alert] = {}
    for alert in alerts:
        of = slot(alert, size_ms)
        if of is None:
            found.timeless.append(alert)
        elif alert.rule_type != RULE:
            found.coming.append(_coming(of, alert, span_of(alert.rule_id)))
        elif of not in earliest:
            earliest[of] = alert
        elif earliest[of].event_uid != alert.event_uid:
            earliest[of], other = sorted((earliest[of], alert), key=order)
            found.suppressed.append(other)
            found.coming.append(msgspec.structs.replace(_coming(of, other), row=None))
    found.coming += [_coming(of, alert) for of, alert in earliest.items()]
    return found


def _coming(of: Slot, alert: Alert, span: int = 0) -> Coming:
    return Coming(of, alert.time or "", alert.event_uid, alert.revision, alert.retracted, span, alert)


class SuppressionCore(msgspec.Struct, frozen=True):
    """keyed_log.Core of a slot's alerts. Times are in milliseconds of the stream's clock."""

    size: int
    allowed_lateness: int = HOUR
    wait: int = 0
    most: int = ALERTS

    def log(self) -> KeyedLog[Slot, SlotState, Came, Placed]:
        """What a slot does."""
        return KeyedLog(self, ENTRY)

    def evaluate(
        self, _key: Slot, state: SlotState | None, brought: list[Came], now: int
    ) -> Evaluation[Placed, SlotState]:
        """The rows that changed."""
        look = _Look(state or SlotState(), brought)
        rows = look.put_out(now)
        end = look.expire(brought, self.size + self.allowed_lateness)
        if end <= now:
            return Evaluation(rows + look.count(now, at_last=True), None)
        rows += look.count(now, at_last=False)
        look.give_up(self.most)
        return Evaluation(rows, look.state, len(look.state.held), min(end, look.count_due()))

    def shrink(
        self, _key: Slot, state: SlotState | None, brought: list[Came]
    ) -> tuple[Evaluation[Placed, SlotState], list[Came]]:
        """First those that are rows of `suppressed` already are given up for a number, the earliest to come first.

        Only when that is not enough rows are, unread: they are counted, and the alert that is shown says `truncated`.
        """
        waiting = sorted(brought, key=lambda one: (one.alert.row is not None, _recency(one)))
        over = waiting[: max(0, len(waiting) - self.most)]
        look = _Look(state or SlotState(), [])
        look.state.more += len({one.alert.event_uid for one in over}.difference(look.known))
        look.expire(over, self.size + self.allowed_lateness)
        look.give_up(max(1, self.most - len(waiting) + len(over)))
        return Evaluation([], look.state, len(look.state.held)), waiting[len(over) :]


def _recency(one: Came) -> tuple[int, int, str]:
    return one.a, one.alert.revision, one.alert.event_uid


class _Look:
    """A slot while it is evaluated once."""

    def __init__(self, state: SlotState, brought: Sequence[Came]) -> None:
        self.state = state
        self.known = {one.event_uid: one for one in state.held}
        self._rows: list[Placed] = []
        for one in sorted(brought, key=_recency):
            self._take_up(one.alert)
        state.held = sorted(self.known.values(), key=lambda held: (held.time, held.event_uid))

    def _take_up(self, alert: Coming) -> None:
        held = self.known.get(alert.event_uid)
        if held is None:
            if alert.retracted:  # of an alert that is forgotten, shown or not: whoever has it must hear of it
                self._rows += [Placed(False, alert.row)] if alert.row is not None else []
                return
            held = self.known[alert.event_uid] = Held(alert.time, alert.event_uid)
        if alert.row is None:
            held.in_suppressed = held.in_suppressed or PUT_OUT
        held.row, held.retracted = alert.row or held.row, alert.retracted

    def put_out(self, now: int) -> list[Placed]:
        """What was said of alerts is taken back first; then the one that is shown, and those that are not."""
        state, rows = self.state, list(self._rows)
        first = self._first()
        for held in state.held:
            if held is not first and held.in_alerts is not None:
                rows += _row(held, False, held.in_alerts, None)
                held.in_alerts = revised(held.in_alerts, None) or held.in_alerts
            if held.in_suppressed is not None and (held is first or held.retracted):
                rows += _row(held, True, held.in_suppressed, None)
                held.in_suppressed = revised(held.in_suppressed, None) or held.in_suppressed
        for held in state.held:
            if held is first:
                rows += self._shown(held, now)
            elif held.row is not None and not held.retracted:
                if held.in_suppressed is None or held.in_suppressed != PUT_OUT:
                    rows += _row(held, True, held.in_suppressed, held.row)
                held.in_suppressed = revised(held.in_suppressed, _mark(held.row)) or held.in_suppressed
                if held.row.rule_type == RULE:
                    held.row = None  # it will never be shown
        return rows

    def _first(self) -> Held | None:
        return next((held for held in self.state.held if not held.retracted and held.row is not None), None)

    def _shown(self, held: Held, now: int) -> list[Placed]:
        if held.row is None:
            return []
        shown = revised(held.in_alerts, _mark(held.row))
        if shown is None:
            return []
        held.in_alerts = shown
        return self._told(held, now)

    def _told(self, held: Held, now: int) -> list[Placed]:
        state = self.state
        state.told, state.told_at = self._others(), now
        if held.row is None or held.in_alerts is None:
            return []
        row = msgspec.structs.replace(
            held.row,
            revision=held.in_alerts.revision,
            suppressed_count=state.told,
            truncated=held.row.truncated or state.more > 0,
        )
        return [Placed(False, row)]

    def _others(self) -> int:
        return max(0, sum(not held.retracted for held in self.state.held) - 1) + self.state.more

    def count(self, now: int, *, at_last: bool) -> list[Placed]:
        """The alert that is shown once more, when only the count has changed since and it is time to say so."""
        first = self._first()
        if first is None or first.in_alerts is None or self.state.told == self._others():
            return []
        if not at_last and now < self.state.told_at + COUNT_EVERY:
            return []
        first.in_alerts = Shown(first.in_alerts.mark, first.in_alerts.revision + 1)
        return self._told(first, now)

    def count_due(self) -> int:
        """When count() has something to say; behind the end of everything where it has not."""
        waits = self._first() is not None and self.state.told != self._others()
        return self.state.told_at + COUNT_EVERY if waits else 1 << 62

    def expire(self, brought: Iterable[Came], keep: int) -> int:
        """When the slot is forgotten."""
        self.state.end = max([self.state.end, *(one.a + one.alert.span + keep + 1 for one in brought)])
        return self.state.end

    def give_up(self, most: int) -> None:
        """The latest alerts beyond the room, by event time; those that are taken back go first."""
        held = self.state.held
        if len(held) > most:
            held.sort(key=lambda one: (one.retracted, one.time, one.event_uid))
            self.state.more += sum(not one.retracted for one in held[most:])
            del held[most:]


def _mark(row: Alert) -> bytes:
    return mark(msgspec.structs.replace(row, revision=0))


def _row(held: Held, suppressed: bool, before: Shown | None, row: Alert | None) -> list[Placed]:
    """The row as it has to be put out now; without `row` it is taken back."""
    shown = revised(before, None if row is None else _mark(row))
    known = row or held.row
    if shown is None or known is None:
        return []
    return [Placed(suppressed, msgspec.structs.replace(known, revision=shown.revision, retracted=shown.retracted))]
