"""What a graph does with rows, of the options of a command. Loads Beam."""

from __future__ import annotations

from huntbeam.pipelines.graph import Clock, Steps
from huntbeam.pipelines.monster import MonsterSteps
from huntbeam.pipelines.monster_options import MonsterSettings
from huntbeam.pipelines.options import StepOptions
from huntbeam.runners.plans import Planned, enrichment_of
from huntbeam.schemas.streams import EVENTS


def steps_of(options: StepOptions, planned: Planned, clock: Clock | None = None, ancestry: int = 0) -> Steps:
    """Of replay, which alone has ancestry, and with a clock of stream."""
    return Steps(
        options.join,
        options.dedupe,
        EVENTS in options.streams,
        options.counters,
        options.window_ms,
        clock,
        options.without,
        bool(options.rules),
        *planned.anomalies,
        planned.correlations,
        _depths(planned),
        options.suppress_ms,
        enrichment_of(planned, ancestry),
        options.geoip,
    )


def monster_steps(options: MonsterSettings, planned: Planned, clock: Clock | None = None) -> MonsterSteps:
    """Of `huntbeam monster`, on files or with a clock on topics."""
    return MonsterSteps(
        options.counters,
        options.window_ms,
        clock,
        bool(options.rules),
        *planned.anomalies,
        planned.correlations,
        _depths(planned),
        options.suppress_ms,
        options.geoip,
    )


def _depths(planned: Planned) -> int:
    return planned.correlations.depths if planned.correlations is not None else 0
