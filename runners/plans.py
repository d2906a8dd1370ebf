"""What the digest is asked for, of the options that replay and stream share. Loads no Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from huntbeam.pipelines.options import AnomalyOptions, RuleOptions, StepOptions
from huntbeam.runners.rule_sets import load_rules, watch_of
from huntbeam.schemas.anomaly import AnomalyRule, Rare
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.schemas.window import Counter
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.files import absolute
from huntbeam.transforms.sigma.records import Records

if TYPE_CHECKING:
    from huntbeam.transforms.anomaly.rarity import BaselineFile
    from huntbeam.transforms.enrich_rows import Enrichment
    from huntbeam.transforms.sigma.in_force import CorrelationsInForce
    from huntbeam.transforms.sigma.plan import RuleSet
    from huntbeam.transforms.sigma.watch import Watch


class Judged(NamedTuple):
    """The anomaly rules that run, and what those that are `rare` are judged by."""

    rules: tuple[AnomalyRule, ...]
    baseline: BaselineFile | None


class Planned(NamedTuple):
    """The digest's plan, the anomaly rules that run, and the correlations of its rules; None without rules."""

    plan: AnyPlan
    anomalies: Judged
    correlations: FixedCorrelations | CorrelationsInForce | None
    deferred: bytes = b""  # packed, the rules that are decided with the context of processes


class Ruled(NamedTuple):
    """The rules as a digest's plan has them, and their correlations; None without rules."""

    packed: bytes
    watch: Watch | None
    correlations: FixedCorrelations | CorrelationsInForce | None
    enrich: frozenset[int]  # events that are enriched, for their rows' sake or for rules'
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
    rules = ruled(options, say, watch_every, enrich=options.enrich)
    plan = Plan(
        event_time=options.event_time,
        since=since,
        until=until,
        hosts=options.hosts,
        events=bool(options.streams),
        counted=counted_ids(options.counters),
        dedupe=options.dedupe,
        rules=rules.packed,
        watch=rules.watch,
        terminates=terminates,
        enrich=rules.enrich,
        enriched=options.enrich,
    )
    return Planned(plan, anomalies, rules.correlations, rules.deferred)


def ruled(
    options: RuleOptions,
    say: Callable[[str], object],
    watch_every: float | None = None,
    records: Records = Records.WINDOWS,
    enrich: frozenset[int] = frozenset(),
) -> Ruled:
    """The Sigma rules of a run, with `watch_every` looked for again. Raises UnusableError, see load_rules().

    `enrich` are events that are enriched whatever the rules say.
    """
    if not options.rules:
        return Ruled(b"", None, None, enrich)
    from huntbeam.transforms.sigma.enrichment import wanted as wanted_by

    watch = watch_of(options, watch_every, records) if watch_every is not None else None
    rules = load_rules(options, say, records, enrich)
    wanted = enrich | wanted_by(rules)
    correlations = FixedCorrelations((one.settings for one in rules.correlations), rules.digest)
    if watch is None:
        return Ruled(rules.pack(), None, correlations, wanted, _deferred(rules, wanted))
    from huntbeam.transforms.sigma.in_force import CorrelationsInForce

    watch = replace(watch, enrich=wanted, depths=max(1, correlations.depths))  # rules may come to have some
    return Ruled(rules.pack(), watch, CorrelationsInForce(rules, watch), wanted, _deferred(rules, wanted))


def _deferred(rules: RuleSet, enrich: frozenset[int]) -> bytes:
    from huntbeam.transforms.sigma.enrichment import deferred

    return deferred(rules, enrich).pack() if enrich else b""


def enrichment_of(planned: Planned, ancestry: int = 0) -> Enrichment | None:
    """What the graph does with what the digest gives it to enrich."""
    from huntbeam.transforms.enrich_rows import Enrichment

    plan = planned.plan
    if not isinstance(plan, Plan) or not plan.enrich:
        return None
    return Enrichment(plan.enrich, bool(plan.enriched), plan.event_time, planned.deferred, plan.watch, ancestry)


def counted_ids(counters: Iterable[Counter]) -> frozenset[int]:
    """Event ids that counters look at, beside those that become rows anyhow."""
    ids = {event_id for counter in counters for event_id in counter.event_ids}
    return frozenset(ids - {PROCESS_CREATE, NETWORK_CONNECT})


def judged(options: AnomalyOptions, say: Callable[[str], object]) -> Judged:
    """`say` is told which anomaly rules do not run. Raises UnusableError for a baseline that cannot be read."""
    if not any(isinstance(rule, Rare) for rule in options.anomaly_rules):
        if options.baseline:
            say(f"--baseline {options.baseline} is for rules of the kind rare, and there are none")
        return Judged(options.anomaly_rules, None)
    from huntbeam.transforms.anomaly.rarity import BaselineFile, runnable

    path = options.baseline
    file = BaselineFile(absolute(path)) if path else None
    baseline = file.read_again() if file else None
    run, messages = runnable(options.anomaly_rules, baseline, options.counters, options.window_ms)
    for message in messages:
        say(message)
    return Judged(tuple(run), file)
