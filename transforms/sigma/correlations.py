"""Correlation rules: accepted by pySigma, with their references resolved. What they count is evaluated elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sigma.correlations import SigmaCorrelationRule, SigmaExtendedCorrelationCondition

from huntbeam.schemas import uid
from huntbeam.transforms.sigma.load import Parsed, as_json, named
from huntbeam.transforms.sigma.plan import Correlation, Referred, Rule, RuleError


class Resolved(NamedTuple):
    """The correlations whose references are all there, the rules with `alerts` set, and what is wrong with the rest."""

    correlations: tuple[Correlation, ...]
    rules: tuple[Rule, ...]
    errors: tuple[RuleError, ...]


def resolve(rules: Sequence[Rule], parsed: Sequence[Parsed]) -> Resolved:
    """Resolves references by id or name, in any order of the documents.

    A correlation whose reference is missing, or that refers to itself through others, is left out, and so are those
    that refer to it.
    """
    kept, errors = _usable(rules, parsed)
    rule_names = _indices((rule.id, rule.name) for rule in rules)
    names = _indices((id_of(one), one.rule.name) for one in kept)
    generates = [_correlation(one).generate for one in kept]
    found = []
    for one in kept:
        refers = tuple(Referred(name, rule_names.get(name), names.get(name)) for name in references(one))
        found.append((one, refers))
    quiet_rules = _quiet(generates, [[one.rule for one in refers] for _, refers in found])
    quiet = _quiet(generates, [[one.correlation for one in refers] for _, refers in found])
    return Resolved(
        tuple(_described(one, refers, number not in quiet) for number, (one, refers) in enumerate(found)),
        tuple(msgspec.structs.replace(rule, alerts=index not in quiet_rules) for index, rule in enumerate(rules)),
        tuple(errors),
    )


def references(parsed: Parsed) -> list[str]:
    """The ids and names that a correlation refers to."""
    rule = _correlation(parsed)
    if rule.rules is not None:
        return [str(one.reference) for one in rule.rules]
    condition = rule.condition
    return list(condition.get_referenced_rules()) if isinstance(condition, SigmaExtendedCorrelationCondition) else []


def id_of(parsed: Parsed) -> str:
    """The id of a correlation, else one made from its text."""
    return str(parsed.rule.id) if parsed.rule.id else uid.digest("r1", parsed.document.text)


def _usable(rules: Sequence[Rule], parsed: Sequence[Parsed]) -> tuple[list[Parsed], list[RuleError]]:
    """Takes what is complete, again and again: what refers to nothing that is left can never be."""
    known = {name for rule in rules for name in (rule.id, rule.name) if name}
    kept: list[Parsed] = []
    waiting, errors = list(parsed), []
    while ready := [one for one in waiting if known.issuperset(references(one))]:
        waiting = [one for one in waiting if not known.issuperset(references(one))]
        for one in ready:
            if id_of(one) in known:
                errors.append(_error(one, "Duplicate", "another rule has this id"))
                continue
            kept.append(one)
            known.update(name for name in (id_of(one), one.rule.name) if name)
    for one in waiting:
        missing = ", ".join(name for name in references(one) if name not in known)
        errors.append(_error(one, "Reference", f"it refers to {missing}, which is no rule that can be used"))
    order = {id(one): number for number, one in enumerate(parsed)}
    return sorted(kept, key=lambda one: order[id(one)]), errors


def _indices(named_: Iterator[tuple[str, str | None]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, names in enumerate(named_):
        for name in names:
            if name:
                found.setdefault(name, index)
    return found


def _quiet(generates: Sequence[bool], referred: Sequence[Sequence[int | None]]) -> set[int]:
    """What only correlations with `generate: false` refer to."""
    users: dict[int, list[bool]] = {}
    for generate, indices in zip(generates, referred, strict=True):
        for index in indices:
            if index is not None:
                users.setdefault(index, []).append(generate)
    return {index for index, found in users.items() if not any(found)}


def _described(parsed: Parsed, refers: tuple[Referred, ...], alerts: bool) -> Correlation:
    document = parsed.document
    return Correlation(
        id=id_of(parsed),
        title=parsed.rule.title,
        file=document.file,
        line=document.line,
        alerts=alerts,
        document=as_json(parsed.data),
        refers=refers,
    )


def _correlation(parsed: Parsed) -> SigmaCorrelationRule:
    if not isinstance(parsed.rule, SigmaCorrelationRule):
        raise TypeError("a correlation is expected")
    return parsed.rule


def _error(parsed: Parsed, error_class: str, reason: str) -> RuleError:
    return RuleError(parsed.document.file, parsed.document.line, named(parsed.data), error_class, reason)
