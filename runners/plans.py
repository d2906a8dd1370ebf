"""What the digest is asked for, of the options that replay and stream share. Loads no Beam."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from huntbeam.pipelines.options import StepOptions
from huntbeam.runners.rule_sets import load_rules
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.digest import Plan


class Planned(NamedTuple):
    """The digest's plan, and the correlations of its rules; None without rules."""

    plan: Plan
    correlations: FixedCorrelations | None


def plan_of(
    options: StepOptions,
    say: Callable[[str], object],
    since: str | None = None,
    until: str | None = None,
    *,
    terminates: bool = False,
) -> Planned:
    """The plan, with the rules compiled; `say` is told about them. Raises UnusableError, see load_rules()."""
    if options.anomaly_rules:
        from huntbeam.transforms.anomaly.rarity import runnable

        for message in runnable(options.anomaly_rules, None)[1]:
            say(message)
    counted = {counter.event_id for counter in options.counters} - {PROCESS_CREATE, NETWORK_CONNECT}
    rules = load_rules(options, say) if options.rules else None
    plan = Plan(
        event_time=options.event_time,
        since=since,
        until=until,
        hosts=options.hosts,
        events=bool(options.streams),
        counted=frozenset(counted),
        dedupe=options.dedupe,
        rules=rules.pack() if rules is not None else b"",
        terminates=terminates,
    )
    if rules is None:
        return Planned(plan, None)
    return Planned(plan, FixedCorrelations((one.settings for one in rules.correlations), rules.digest))
