"""What the digest is asked for, of the options that replay and stream share. Loads no Beam."""

from __future__ import annotations

from huntbeam.pipelines.options import StepOptions
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.transforms.digest import Plan


def plan_of(
    options: StepOptions, since: str | None = None, until: str | None = None, *, terminates: bool = False
) -> Plan:
    """The plan."""
    counted = {counter.event_id for counter in options.counters} - {PROCESS_CREATE, NETWORK_CONNECT}
    return Plan(
        event_time=options.event_time,
        since=since,
        until=until,
        hosts=options.hosts,
        events=bool(options.streams),
        counted=frozenset(counted),
        dedupe=options.dedupe,
        terminates=terminates,
    )
