"""Suppression: of the alerts of a rule and a group in a window the earliest is shown, with a count of the others. Pure.

Windows tumble in event time, as those of counters (docs/semantics.md, "Suppression"). An alert that came several times
counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from huntbeam.schemas.alert import RULE, Alert
from huntbeam.schemas.clock import millis


class Slot(NamedTuple):
    """What one alert is shown for."""

    rule_id: str
    group: tuple[str | int | None, ...]
    window: int  # its start, in ms


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """An alert and the stream that it is a row of."""

    suppressed: bool
    alert: Alert


def slot(alert: Alert, size_ms: int) -> Slot | None:
    """An alert's slot; an alert without a time has none, and is always shown."""
    if alert.time is None:
        return None
    at = millis(alert.time)
    group = (_lower(alert.host),) if alert.rule_type == RULE else tuple(alert.matched.values())
    return Slot(alert.rule_id, group, at - at % size_ms)


def _lower(host: str | None) -> str | None:
    return None if host is None else host.lower()


def order(alert: Alert) -> tuple[str, str]:
    """The first by this is shown. Times are texts that sort as they stand."""
    return alert.time or "", alert.event_uid


def suppress(alerts: Iterable[Alert]) -> list[Placed]:
    """Replay: all alerts of one slot, in any order."""
    of = {alert.event_uid: alert for alert in alerts}
    first, *others = sorted(of.values(), key=order)
    shown = msgspec.structs.replace(first, suppressed_count=len(others))
    return [Placed(False, shown), *(Placed(True, alert) for alert in others)]


def apart(placed: Iterable[Placed]) -> tuple[list[Alert], list[Alert]]:
    """Those that are shown, and the others."""
    found: tuple[list[Alert], list[Alert]] = ([], [])
    for one in placed:
        found[one.suppressed].append(one.alert)
    return found
