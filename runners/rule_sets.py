"""The Sigma rules that a run was given: compiled, and what cannot run said. Loads no Beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huntbeam.pipelines.options import OptionError, RuleOptions
from huntbeam.transforms.sigma.records import Records
from huntbeam.transforms.sigma.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from huntbeam.transforms.sigma.plan import RuleSet


def load_rules(
    options: RuleOptions,
    say: Callable[[str], object],
    records: Records = Records.WINDOWS,
    enrich: frozenset[int] = frozenset(),
) -> RuleSet:
    """The rule set; `say` is told what became of it. Raises UnusableError, with --strict for a rule that cannot run."""
    from huntbeam.transforms.sigma.cache import compiled  # runs without rules do not wait for any of it
    from huntbeam.transforms.sigma.enrichment import at_work
    from huntbeam.transforms.sigma.verdicts import loaded, refusal

    rules = at_work(compiled(options.rules, options.rule_pipelines, options.rule_cache, records), enrich)
    reason = refusal(rules, strict=options.strict)
    if reason is not None:
        raise OptionError(f"--rules {' '.join(options.rules)}: {reason}")
    for line in loaded(rules):
        say(line)
    return rules


def watch_of(options: RuleOptions, every: float, records: Records = Records.WINDOWS) -> Watch:
    """What workers need to look for other rules every so many seconds. Raises UnusableError for what is not there.

    To be asked for before the rules are compiled: what changes meanwhile is another version.
    """
    from huntbeam.transforms.sigma.rule_files import stamp

    return Watch(
        paths=options.rules,
        pipelines=options.rule_pipelines,
        cache=options.rule_cache,
        strict=options.strict,
        every=every,
        seen=stamp(options.rule_files),
        records=records,
    )
