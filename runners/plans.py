"""What the digest is asked for, of the options that replay and stream share. Loads no Beam."""

from __future__ import annotations

from collections.abc import Callable

from huntbeam.pipelines.options import StepOptions
from huntbeam.runners.rule_sets import load_rules
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.transforms.digest import Plan


def plan_of(
    options: StepOptions,
    say: Callable[[str], object],
    since: str | None = None,
    until: str | None = None,
    *,
    terminates: bool = False,
) -> Plan:
    """The plan, with the rules compiled; `say` is told about them. Raises UnusableError, see load_rules()."""
    if options.anomaly_rules:
        from huntbeam.transforms.anomaly.rarity import runnable

        for message in runnable(options.anomaly_rules, None)[1]:
            say(message)
    counted = {counter.event_id for counter in options.counters} - {PROCESS_CREATE, NETWORK_CONNECT}
    return Plan(
        event_time=options.event_time,
        since=since,
        until=until,
        hosts=options.hosts,
        events=bool(options.streams),
        counted=frozenset(counted),
        dedupe=options.dedupe,
        rules=load_rules(options, say).pack() if options.rules else b"",
        terminates=terminates,
    )
