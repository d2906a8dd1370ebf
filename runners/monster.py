"""What `huntbeam monster` does before and around a run: the plan, the steps, and where it runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from huntbeam.pipelines.monster_options import MonsterFiles, MonsterSettings, MonsterTopics
from huntbeam.runners.console import said
from huntbeam.runners.plans import Planned, judged, ruled
from huntbeam.runners.replaying import Work, run_files
from huntbeam.transforms.monster.digest import MonsterPlan
from huntbeam.transforms.sigma.records import Records

if TYPE_CHECKING:
    from huntbeam.pipelines.graph import Wired
    from huntbeam.pipelines.stream import Stream


def run_monster_files(options: MonsterFiles) -> int | None:
    """Runs a replay of files to its end; gives the exit code."""

    def planned() -> Planned:
        return _planned(options, options.quiet, since=options.since, until=options.until)

    def steps(planned: Planned) -> Wired:
        from huntbeam.runners.steps import monster_steps

        return monster_steps(options, planned)

    return run_files(options, Work("monster", planned, steps))


def run_monster_topics(args: argparse.Namespace, options: MonsterTopics) -> int | None:
    """Runs the stream; gives the exit code."""
    from huntbeam.runners.streaming import for_workers, run_topics

    absolute = for_workers(options)
    return run_topics(args, absolute, lambda read_time: monster_job(absolute, read_time))


def monster_job(options: MonsterTopics, read_time: bool) -> Stream:
    """The job that options describe."""
    from huntbeam.pipelines.graph import Clock
    from huntbeam.runners.steps import monster_steps
    from huntbeam.runners.streaming import job_with, reload_every
    from huntbeam.transforms.keyed_match import Waits

    clock = Clock(
        waits=Waits(),
        window_grace_ms=options.window_grace_ms,
        allowed_lateness_ms=options.allowed_lateness_ms,
        early_firing_ms=options.early_firing_ms,
        dedupe_window_ms=0,
        correlation_wait_ms=options.correlation_wait_ms,
        read_time=read_time,
    )
    planned = _planned(options, options.quiet, reload_every(options, options.rule_files))
    return job_with(options, planned, monster_steps(options, planned, clock))


def _planned(
    options: MonsterSettings,
    quiet: bool,
    watch_every: float | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Planned:
    """The plan, with the rules compiled. Raises UnusableError."""
    say = said(quiet)
    rules = ruled(options, say, watch_every, Records.MONSTER)
    plan = MonsterPlan(
        order=options.order,
        trust=options.trust,
        since=since,
        until=until,
        hosts=options.hosts,
        rules=rules.packed,
        watch=rules.watch,
    )
    return Planned(plan, judged(options, say), rules.correlations)
