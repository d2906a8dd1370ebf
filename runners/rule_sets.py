"""The Sigma rules that a run was given: compiled, and what cannot run said. Loads no Beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huntbeam.pipelines.options import OptionError, StepOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from huntbeam.transforms.sigma.plan import RuleError, RuleSet

SHOWN = 5  # rules that are named; `huntbeam rules check` names all


def load_rules(options: StepOptions, say: Callable[[str], object]) -> RuleSet:
    """The rule set; `say` is told what became of it. Raises UnusableError, with --strict for a rule that cannot run."""
    from huntbeam.transforms.sigma.cache import compiled  # pySigma takes a second to load

    rules = compiled(options.rules, options.rule_pipelines, options.rule_cache)
    if options.strict and rules.errors:
        more = f"; and {len(rules.errors) - 1:,} more" if len(rules.errors) > 1 else ""
        raise OptionError(f"--strict: {told(rules.errors[0])}{more}; `huntbeam rules check` shows all")
    if not rules.rules and not rules.correlations:
        raise OptionError(f"--rules {' '.join(options.rules)}: there is no rule that can run")
    for line in loaded(rules):
        say(line)
    return rules


def loaded(rules: RuleSet) -> Iterator[str]:
    """What became of the rules, in a few lines."""
    correlations = f", {len(rules.correlations):,} correlations" if rules.correlations else ""
    yield f"{len(rules.rules):,} rules{correlations} ({rules.digest[:8]})"
    if rules.errors:
        yield f"{len(rules.errors):,} rules cannot run; `huntbeam rules check` shows all:"
        yield from ("  " + told(error) for error in rules.errors[:SHOWN])


def told(error: RuleError) -> str:
    """A rule that cannot run, its place and why."""
    name = f" {error.rule}:" if error.rule else ""
    return f"{error.file}:{error.line}:{name} {error.reason}"


def lines(errors: Iterable[RuleError]) -> Iterator[str]:
    """All of them, a line each."""
    return map(told, errors)
