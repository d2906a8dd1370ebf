"""Correlations from Sigma rules: what pySigma parsed, as our own settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sigma.correlations import (
    CorrelationConditionAND,
    SigmaCorrelationCondition,
    SigmaCorrelationFieldAlias,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from huntbeam.schemas.clock import DAY, SECOND
from huntbeam.schemas.correlation import NUMERIC, Bound, Correlation, CorrelationType, Operator, Reference
from huntbeam.transforms.correlation.known import DEEPEST

_T = CorrelationType
_TEMPORAL = frozenset({_T.TEMPORAL, _T.TEMPORAL_ORDERED})
_WITH_FIELD = NUMERIC | {_T.VALUE_COUNT}
LONGEST = 366 * DAY  # timespan; hits are kept for as long


class CorrelationRuleError(Exception):
    """A correlation rule asks for what cannot be done: the reason and the remedy, in a sentence."""


class Names(NamedTuple):
    """What a correlation may call another rule by, and how deep it stands. A rule on events has no depth."""

    rule_id: str
    depth: int = -1


def references(rule: SigmaCorrelationRule) -> list[str]:
    """The ids and names that a correlation refers to, in its order."""
    if rule.rules is not None:
        return [str(one.reference) for one in rule.rules]
    condition = rule.condition
    return list(condition.get_referenced_rules()) if isinstance(condition, SigmaExtendedCorrelationCondition) else []


def fields_asked(rule: SigmaCorrelationRule, reference: str) -> set[str]:
    """The fields that a correlation reads of the events of a rule that it refers to."""
    aliases = {alias.alias: _alias_of(alias, reference) for alias in rule.aliases}
    condition = rule.condition
    counted = condition.fieldref if isinstance(condition, SigmaCorrelationCondition) else None
    named = [*(rule.group_by or ()), *([counted] if isinstance(counted, str) else counted or ())]
    return {aliases.get(name) or name for name in named}


def _alias_of(alias: SigmaCorrelationFieldAlias, reference: str) -> str | None:
    return next((field for named, field in alias.mapping.items() if named.reference == reference), None)


def correlation(rule: SigmaCorrelationRule, rule_id: str, known: Mapping[str, Names]) -> Correlation:
    """The settings of a rule, without a version. `known` has what it refers to, by id and by name.

    Raises CorrelationRuleError for what a rule must not say or what we cannot do.
    """
    if rule.errors:
        raise CorrelationRuleError(f"{rule.errors[0]}; mend it")
    kind = CorrelationType(rule.type.name.lower())
    found = _references(rule, known)
    if not found:
        raise CorrelationRuleError("it names no rules; list them under rules")
    timespan_ms = rule.timespan.seconds * SECOND
    if timespan_ms > LONGEST:
        raise CorrelationRuleError(f"a timespan of {rule.timespan.spec} is longer than a year; choose a shorter one")
    depth = 1 + max(known[name].depth for name in references(rule))
    if depth > DEEPEST:
        raise CorrelationRuleError(f"it is the top of more than {DEEPEST + 1} correlations of correlations; flatten it")
    return Correlation(
        rule_id=rule_id,
        title=str(rule.title),
        type=kind,
        references=found,
        group_by=tuple(rule.group_by or ()),
        timespan_ms=timespan_ms,
        bounds=_bounds(rule, kind, len(found)),
        fields=_fields(rule, kind),
        percentile=_percentile(rule, kind),
        generate=rule.generate,
        level=rule.level.name.lower() if rule.level is not None else None,
        tags=tuple(str(tag) for tag in rule.tags),
        author=rule.author,
        links=tuple(map(str, rule.references)),
        depth=depth,
    )


def _references(rule: SigmaCorrelationRule, known: Mapping[str, Names]) -> tuple[Reference, ...]:
    found: dict[str, Reference] = {}
    for name in references(rule):
        rule_id = known[name].rule_id
        if rule_id in found:
            raise CorrelationRuleError(f"it names the rule {name!r} twice; once is enough")
        found[rule_id] = Reference(rule_id, {})
    for alias in rule.aliases:
        for reference, field in alias.mapping.items():
            named = known.get(reference.reference)
            if named is None or named.rule_id not in found:
                raise CorrelationRuleError(
                    f"it has an alias for the rule {reference.reference!r}; name that among its rules"
                )
            found[named.rule_id].fields[alias.alias] = field
    return tuple(found.values())


def _bounds(rule: SigmaCorrelationRule, kind: CorrelationType, rules: int) -> tuple[Bound, ...]:
    condition = rule.condition
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        named = list(_all_of(condition.parsed))
        if kind is _T.TEMPORAL_ORDERED and named != references(rule):
            raise CorrelationRuleError(
                f"{kind} goes by the order of its rules; name them in the condition in the same order"
            )
        bound = Bound(Operator.GTE, rules)
    else:
        bound = Bound(Operator(condition.op.name.lower()), condition.count)
    if kind is not _T.TEMPORAL_ORDERED:
        return (bound,)
    if bound not in (Bound(Operator.GTE, rules), Bound(Operator.EQ, rules), Bound(Operator.GT, rules - 1)):
        raise CorrelationRuleError(f"{kind} needs all of its {rules} rules; leave its condition out, or use temporal")
    return ()


def _all_of(item: object) -> Iterator[str]:
    """The rules of a condition that asks for each of them, in its order."""
    if isinstance(item, SigmaRuleReference):
        yield item.reference
    elif isinstance(item, CorrelationConditionAND):
        for argument in item.args:
            yield from _all_of(argument)
    else:
        raise CorrelationRuleError(
            "its condition has `or` or `not`, which Sigma 2.1 does not know; list rules, or use a count"
        )


def _fields(rule: SigmaCorrelationRule, kind: CorrelationType) -> tuple[str, ...]:
    condition = rule.condition
    named = condition.fieldref if isinstance(condition, SigmaCorrelationCondition) else None
    fields = (named,) if isinstance(named, str) else tuple(named or ())
    if fields and kind not in _WITH_FIELD:
        raise CorrelationRuleError(f"{kind} reads no field; remove it from the condition, or use value_count")
    if not fields and kind in _WITH_FIELD:
        raise CorrelationRuleError(f"{kind} needs a field; name it in the condition")
    if len(fields) > 1 and kind in NUMERIC:
        raise CorrelationRuleError(f"{kind} reads one field; name no more in the condition")
    return fields


def _percentile(rule: SigmaCorrelationRule, kind: CorrelationType) -> int | None:
    percentile = rule.condition.percentile if isinstance(rule.condition, SigmaCorrelationCondition) else None
    if kind is not _T.VALUE_PERCENTILE:
        if percentile is not None:
            raise CorrelationRuleError(
                f"{kind} has no percentile; remove it from the condition, or use value_percentile"
            )
        return None
    if percentile is None:
        raise CorrelationRuleError(
            f"{kind} needs `percentile` in its condition; for what is seldom write a rule `rare`"
        )
    if not 0 <= percentile <= 100:
        raise CorrelationRuleError(f"a percentile is from 0 to 100, not {percentile}")
    return percentile
