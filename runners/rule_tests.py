"""Tests of rules: each rule against its samples, by the cores of a replay (transforms/trial.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from huntbeam.runners.all_rules import AllRules
from huntbeam.runners.plans import counted_ids
from huntbeam.runners.rule_facts import Fact
from huntbeam.runners.rule_samples import BASELINE, FIRES, SILENT, SampleFiles, Samples
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.read import Span, expand, spans
from huntbeam.transforms.sigma.enrichment import asked
from huntbeam.transforms.trial import Rules, Trial, tried


class Tested(NamedTuple):
    """A rule and a sample; `failure` is empty where it is as it should be."""

    fact: Fact
    verdict: str  # fires or silent
    sample: Path
    failure: str
    seconds: float


class Report(NamedTuple):
    """What became of all rules."""

    tested: list[Tested]
    without: list[tuple[Fact, str]]  # rules that lack a sample, and which

    @property
    def failed(self) -> int:
        """How many samples are not as they should be."""
        return sum(bool(one.failure) for one in self.tested)


def trial_rules(rules: AllRules, window_ms: int) -> Rules:
    """What is tried: as a replay would have it."""
    return Rules(
        Plan(counted=counted_ids(rules.counters), rules=rules.sigma.pack(), enrich=asked(rules.sigma)),
        FixedCorrelations((one.settings for one in rules.sigma.correlations), rules.sigma.digest),
        tuple(placed.rule for placed in rules.anomalies),
        rules.counters,
        window_ms,
    )


def run_tests(rules: Rules, facts: Sequence[Fact], files: SampleFiles) -> Report:
    """Tries every sample of every rule that gives alerts. A sample that several rules share is tried once."""
    tested: list[Tested] = []
    without: list[tuple[Fact, str]] = []
    trials = _Trials(rules)
    for fact in facts:
        if not fact.alerts:
            continue
        samples = files.of(fact)
        lacking = [verdict for verdict in (FIRES, SILENT) if not getattr(samples, verdict)]
        if lacking:
            without.append((fact, " and ".join(lacking)))
        tested += _of_rule(trials, fact, samples)
    return Report(tested, without)


def _of_rule(trials: _Trials, fact: Fact, samples: Samples) -> Iterator[Tested]:
    for verdict, paths in ((FIRES, samples.fires), (SILENT, samples.silent)):
        for path in paths:
            started = time.monotonic()
            failure = trials.failure(fact, verdict, path, samples.baseline)
            yield Tested(fact, verdict, path, failure, time.monotonic() - started)


class _Trials:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[Path, tuple[Path, ...]], Trial | str] = {}

    def failure(self, fact: Fact, verdict: str, sample: Path, baseline: tuple[Path, ...]) -> str:
        """Why a sample is not as it should be; empty when it is."""
        if fact.kind == "rare" and not baseline:
            return (
                f"there is no baseline to judge by: add {sample.name.split('.')[0]}.{BASELINE}.ndjson with usual events"
            )
        trial = self._trial(sample, baseline)
        if isinstance(trial, str):
            return trial
        if trial.unusable:
            return (
                f"{trial.unusable[0]}; and {len(trial.unusable) - 1} more" if trial.unusable[1:] else trial.unusable[0]
            )
        if not trial.events:
            return "the sample has no events"
        if verdict == FIRES and fact.id not in trial.found:
            remedy = f"; `huntbeam rules explain {fact.id} {sample}` says why" if fact.kind == "rule" else ""
            return f"it finds nothing in {trial.events:,} events{remedy}"
        if verdict == SILENT and fact.id in trial.found:
            return f"it finds something in {trial.events:,} events"
        return ""

    def _trial(self, sample: Path, baseline: tuple[Path, ...]) -> Trial | str:
        place = sample, baseline
        if place not in self._known:
            try:
                self._known[place] = tried(self._rules, _spans([sample]), _spans(baseline))
            except (UnusableError, RecordError) as error:
                self._known[place] = str(error)
        return self._known[place]


def _spans(paths: Sequence[Path]) -> list[Span]:
    return spans(expand([str(path) for path in paths])) if paths else []
