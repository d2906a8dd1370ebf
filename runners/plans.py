"""What the digest is asked for, of the options that replay and stream share. Loads no Beam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from huntbeam.pipelines.options import StepOptions
from huntbeam.runners.rule_sets import load_rules, watch_of
from huntbeam.schemas.anomaly import AnomalyRule, Rare
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.digest import Plan

if TYPE_CHECKING:
    from huntbeam.transforms.anomaly.rarity import BaselineFile
    from huntbeam.transforms.enrich_rows import Enrichment
    from huntbeam.transforms.sigma.in_force import CorrelationsInForce
    from huntbeam.transforms.sigma.plan import RuleSet


class Judged(NamedTuple):
    """The anomaly rules that run, and what those that are `rare` are judged by."""

    rules: tuple[AnomalyRule, ...]
    baseline: BaselineFile | None


class Planned(NamedTuple):
    """The digest's plan, the anomaly rules that run, and the correlations of its rules; None without rules."""

    plan: Plan
    anomalies: Judged
    correlations: FixedCorrelations | CorrelationsInForce | None
    deferred: bytes = b""  # packed, the rules that are decided with the context of processes


def plan_of(
    options: StepOptions,
    say: Callable[[str], object],
    since: str | None = None,
    until: str | None = None,
    *,
    terminates: bool = False,
    watch_every: float | None = None,
) -> Planned:
    """The plan, with the rules compiled; `say` is told about them. Raises UnusableError, see load_rules().

    With `watch_every`, seconds, the rules are looked for again while the run goes on.
    """
    anomalies = judged(options, say)
    watch = watch_of(options, watch_every) if options.rules and watch_every is not None else None
    counted = {counter.event_id for counter in options.counters} - {PROCESS_CREATE, NETWORK_CONNECT}
    rules = load_rules(options, say) if options.rules else None
    enrich = _enriched(options, rules)
    watch = replace(watch, enrich=enrich) if watch is not None else None
    plan = Plan(
        event_time=options.event_time,
        since=since,
        until=until,
        hosts=options.hosts,
        events=bool(options.streams),
        counted=frozenset(counted),
        dedupe=options.dedupe,
        rules=rules.pack() if rules is not None else b"",
        watch=watch,
        terminates=terminates,
        enrich=enrich,
        enriched=options.enrich,
    )
    if rules is None:
        return Planned(plan, anomalies, None)
    correlations = FixedCorrelations((one.settings for one in rules.correlations), rules.digest)
    if watch is None:
        return Planned(plan, anomalies, correlations, _deferred(rules, enrich))
    from huntbeam.transforms.sigma.in_force import CorrelationsInForce

    watch = replace(watch, depths=max(1, correlations.depths))  # rules may come to have some
    plan = replace(plan, watch=watch)
    return Planned(plan, anomalies, CorrelationsInForce(rules, watch), _deferred(rules, enrich))


def _enriched(options: StepOptions, rules: RuleSet | None) -> frozenset[int]:
    """The events that are enriched, for their rows' sake or for rules'."""
    if rules is None:
        return options.enrich
    from huntbeam.transforms.sigma.enrichment import wanted

    return options.enrich | wanted(rules)


def _deferred(rules: RuleSet, enrich: frozenset[int]) -> bytes:
    from huntbeam.transforms.sigma.enrichment import deferred

    return deferred(rules, enrich).pack() if enrich else b""


def enrichment_of(planned: Planned, ancestry: int = 0) -> Enrichment | None:
    """What the graph does with what the digest gives it to enrich."""
    from huntbeam.transforms.enrich_rows import Enrichment

    plan = planned.plan
    if not plan.enrich:
        return None
    return Enrichment(plan.enrich, bool(plan.enriched), plan.event_time, planned.deferred, plan.watch, ancestry)


def judged(options: StepOptions, say: Callable[[str], object]) -> Judged:
    """`say` is told which anomaly rules do not run. Raises UnusableError for a baseline that cannot be read."""
    if not any(isinstance(rule, Rare) for rule in options.anomaly_rules):
        if options.baseline:
            say(f"--baseline {options.baseline} is for rules of the kind rare, and there are none")
        return Judged(options.anomaly_rules, None)
    from huntbeam.transforms.anomaly.rarity import BaselineFile, runnable

    path = options.baseline
    file = BaselineFile(path if "://" in path else str(Path(path).absolute())) if path else None
    baseline = file.read_again() if file else None
    run, messages = runnable(options.anomaly_rules, baseline, options.counters, options.window_ms)
    for message in messages:
        say(message)
    return Judged(tuple(run), file)
