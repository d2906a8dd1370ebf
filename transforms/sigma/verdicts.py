"""Whether a rule set may be put to work, and what is said of a rule that cannot run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from huntbeam.transforms.sigma.plan import RuleError, RuleSet

SHOWN = 5  # rules that are named; `huntbeam rules check` names all
_UNREADABLE = frozenset(
    ("Unreadable", "NotText", "TooMuch", "Yaml")
)  # error classes: nobody knows which rules are lost


def told(error: RuleError) -> str:
    """A rule that cannot run, its place and why."""
    name = f" {error.rule}:" if error.rule else ""
    return f"{error.file}:{error.line}:{name} {error.reason}"


def running(rules: RuleSet) -> int:
    """How many rules can run."""
    return sum(bool(rule.variants) for rule in rules.rules)


def loaded(rules: RuleSet) -> Iterator[str]:
    """What became of the rules, in a few lines."""
    correlations = f", {len(rules.correlations):,} correlations" if rules.correlations else ""
    yield f"{running(rules):,} rules{correlations} ({rules.digest[:8]})"
    if rules.errors:
        yield f"{len(rules.errors):,} rules cannot run; `huntbeam rules check` shows all:"
        yield from ("  " + told(error) for error in rules.errors[:SHOWN])


def refusal(rules: RuleSet, *, strict: bool, before: RuleSet | None = None) -> str | None:
    """Why a set is not put to work; None: it is.

    With a set that was at work before, a file that cannot be read, and that was no trouble then, is a reason, too: the
    rules in it are being edited, or half of them are copied.
    """
    if not running(rules) and not rules.correlations:
        return "there is no rule that can run"
    if strict and rules.errors:
        return f"a rule cannot run (--strict): {_first(rules.errors)}"
    known = {_place(error) for error in before.errors} if before is not None else set()
    new = [error for error in rules.errors if error.error_class in _UNREADABLE and _place(error) not in known]
    return _first(new) if before is not None and new else None


def _place(error: RuleError) -> tuple[str, str]:
    return error.file, error.error_class


def _first(errors: Iterable[RuleError]) -> str:
    first, *others = errors
    more = f"; and {len(others):,} more" if others else ""
    return f"{told(first)}{more}; `huntbeam rules check` shows all"
