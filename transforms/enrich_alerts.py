"""What deferred rules find in events, once the context of their processes is known or given up. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.enrich import Found, rule_fields

if TYPE_CHECKING:
    from huntbeam.transforms.sigma.alerts import Detector

TIMELESS = "no_time_to_correlate"


def settled(detector: Detector, mode: EventTime, events: Iterable[Found]) -> Digested:
    """Alerts and hits of correlations, as the digest gives those of other rules; and hits without a time, counted."""
    out, timeless = Digested(alerts=[], hits=[]), 0
    for one in events:
        if one.event.rules:
            found = detector.settle(parse_record(one.event.raw), mode, one.event.rules, rule_fields(one.context))
            if found is not None:
                out.alerts += found.alerts
                out.hits += found.hits
                timeless += found.timeless
    if timeless:
        out.tallies = {TIMELESS: timeless}
    return out
