"""Correlations from Sigma rules: what pySigma parsed, as our own settings."""

from __future__ import annotations

from collections.abc import Iterator

from sigma.correlations import (
    CorrelationConditionAND,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.rule import SigmaRule, SigmaRuleBase

from huntbeam.schemas.clock import DAY, SECOND
from huntbeam.schemas.correlation import NUMERIC, Bound, Correlation, CorrelationType, Operator, Reference
from huntbeam.schemas.errors import UnusableError

_T = CorrelationType
_TEMPORAL = frozenset({_T.TEMPORAL, _T.TEMPORAL_ORDERED})
_WITH_FIELD = NUMERIC | {_T.VALUE_COUNT}
LONGEST = 366 * DAY  # timespan; hits are kept for as long


class CorrelationRuleError(UnusableError):
    """A correlation rule asks for what cannot be done."""


def identity(rule: SigmaRuleBase) -> str:
    """What a rule is known by: its id; without one its name, without that its title."""
    return str(rule.id) if rule.id is not None else rule.name or rule.title


def correlation(rule: SigmaCorrelationRule) -> Correlation:
    """The settings of a rule whose references are resolved, as SigmaCollection does.

    Raises CorrelationRuleError, which names the rule by its title, for what a rule must not say or what we cannot do.
    """
    if rule.errors:
        raise _error(rule, f"{rule.errors[0]}; mend it")
    kind = CorrelationType(rule.type.name.lower())
    references = _references(rule)
    if not references:
        raise _error(rule, "it names no rules; list them under rules")
    timespan_ms = rule.timespan.seconds * SECOND
    if timespan_ms > LONGEST:
        raise _error(rule, f"a timespan of {rule.timespan.spec} is longer than a year; choose a shorter one")
    return Correlation(
        rule_id=identity(rule),
        title=rule.title,
        type=kind,
        references=references,
        group_by=tuple(rule.group_by or ()),
        timespan_ms=timespan_ms,
        bounds=_bounds(rule, kind, len(references)),
        fields=_fields(rule, kind),
        percentile=_percentile(rule, kind),
        generate=rule.generate,
        level=rule.level.name.lower() if rule.level is not None else None,
        tags=tuple(str(tag) for tag in rule.tags),
    )


def _error(rule: SigmaCorrelationRule, what: str) -> CorrelationRuleError:
    return CorrelationRuleError(f"correlation rule {rule.title!r}: {what}")


def _references(rule: SigmaCorrelationRule) -> tuple[Reference, ...]:
    found: dict[str, Reference] = {}
    known: dict[str, str] = {}  # what a rule may be called by -> its identity
    for reference in rule.referenced_rules or rule.rules or ():
        named = _resolved(rule, reference)
        name = identity(named)
        if name in found:
            raise _error(rule, f"it names the rule {reference.reference!r} twice; once is enough")
        found[name] = Reference(name, {})
        known |= dict.fromkeys((reference.reference, name, named.name or name), name)
    for alias in rule.aliases:
        for reference, field in alias.mapping.items():
            if reference.reference not in known:
                raise _error(rule, f"it has an alias for the rule {reference.reference!r}; name that among its rules")
            found[known[reference.reference]].fields[alias.alias] = field
    return tuple(found.values())


def _resolved(rule: SigmaCorrelationRule, reference: SigmaRuleReference) -> SigmaRule | SigmaCorrelationRule:
    try:
        return reference.rule
    except AttributeError:
        raise _error(rule, f"the rule {reference.reference!r} is not there; load it, too") from None


def _bounds(rule: SigmaCorrelationRule, kind: CorrelationType, rules: int) -> tuple[Bound, ...]:
    condition = rule.condition
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        named = list(_all_of(rule, condition.parsed))
        if kind is _T.TEMPORAL_ORDERED and named != [reference.reference for reference in rule.referenced_rules]:
            raise _error(rule, f"{kind} goes by the order of its rules; name them in the condition in the same order")
        bound = Bound(Operator.GTE, rules)
    else:
        bound = Bound(Operator(condition.op.name.lower()), condition.count)
    if kind is not _T.TEMPORAL_ORDERED:
        return (bound,)
    if bound not in (Bound(Operator.GTE, rules), Bound(Operator.EQ, rules), Bound(Operator.GT, rules - 1)):
        raise _error(rule, f"{kind} needs all of its {rules} rules; leave its condition out, or use temporal")
    return ()


def _all_of(rule: SigmaCorrelationRule, item: object) -> Iterator[str]:
    """The rules of a condition that asks for each of them, in its order."""
    if isinstance(item, SigmaRuleReference):
        yield item.reference
    elif isinstance(item, CorrelationConditionAND):
        for argument in item.args:
            yield from _all_of(rule, argument)
    else:
        raise _error(rule, "its condition has `or` or `not`, which Sigma 2.1 does not know; list rules, or use a count")


def _fields(rule: SigmaCorrelationRule, kind: CorrelationType) -> tuple[str, ...]:
    condition = rule.condition
    named = condition.fieldref if isinstance(condition, SigmaCorrelationCondition) else None
    fields = (named,) if isinstance(named, str) else tuple(named or ())
    if fields and kind not in _WITH_FIELD:
        raise _error(rule, f"{kind} reads no field; remove it from the condition, or use value_count")
    if not fields and kind in _WITH_FIELD:
        raise _error(rule, f"{kind} needs a field; name it in the condition")
    if len(fields) > 1 and kind in NUMERIC:
        raise _error(rule, f"{kind} reads one field; name no more in the condition")
    return fields


def _percentile(rule: SigmaCorrelationRule, kind: CorrelationType) -> int | None:
    percentile = rule.condition.percentile if isinstance(rule.condition, SigmaCorrelationCondition) else None
    if kind is not _T.VALUE_PERCENTILE:
        if percentile is not None:
            raise _error(rule, f"{kind} has no percentile; remove it from the condition, or use value_percentile")
        return None
    if percentile is None:
        raise _error(rule, f"{kind} needs `percentile` in its condition; for what is seldom write a rule `rare`")
    if not 0 <= percentile <= 100:
        raise _error(rule, f"a percentile is from 0 to 100, not {percentile}")
    return percentile
