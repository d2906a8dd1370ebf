"""Correlation rules: accepted by pySigma, with their references resolved, as settings that know their version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sigma.correlations import SigmaCorrelationRule

from huntbeam.schemas import uid
from huntbeam.schemas.correlation import Correlation as Settings
from huntbeam.transforms.correlation.rules import CorrelationRuleError, Names, correlation, fields_asked, references
from huntbeam.transforms.sigma.load import Parsed, named
from huntbeam.transforms.sigma.plan import All, Atom, Correlation, Expression, Not, Rule, RuleError


class Resolved(NamedTuple):
    """The correlations whose references are all there, the rules with `alerts` set, and what is wrong with the rest."""

    correlations: tuple[Correlation, ...]
    rules: tuple[Rule, ...]
    errors: tuple[RuleError, ...]


def resolve(rules: Sequence[Rule], atoms: Sequence[Atom], parsed: Sequence[Parsed]) -> Resolved:
    """Resolves references by id or name, in any order of the documents.

    A correlation whose reference is missing, or that refers to itself through others, is left out, and so are those
    that refer to it.
    """
    accepted = _Accepted(rules, atoms)
    errors = accepted.take(parsed)
    kept = [(one, accepted.settings[id(one)]) for one in parsed if id(one) in accepted.settings]
    quiet = _quiet([settings for _, settings in kept])
    return Resolved(
        tuple(
            Correlation(
                msgspec.structs.replace(settings, alerts=settings.rule_id not in quiet),
                one.document.file,
                one.document.line,
                None if one.rule.description is None else str(one.rule.description),
            )
            for one, settings in kept
        ),
        tuple(msgspec.structs.replace(rule, alerts=rule.id not in quiet) for rule in rules),
        tuple(errors),
    )


def asked(parsed: Iterable[Parsed]) -> dict[str, set[str]]:
    """The fields that correlations read of the events of a rule, by the id or name that they call it."""
    found: dict[str, set[str]] = {}
    for one in parsed:
        rule = _correlation(one)
        for reference in references(rule):
            found.setdefault(reference, set()).update(fields_asked(rule, reference))
    return found


def id_of(parsed: Parsed) -> str:
    """The id of a correlation, else one made from its text."""
    return str(parsed.rule.id) if parsed.rule.id else uid.digest("r1", parsed.document.text)


class _Accepted:
    """What can be referred to so far."""

    def __init__(self, rules: Sequence[Rule], atoms: Sequence[Atom]) -> None:
        self._atoms = atoms
        self._rules = {rule.id: rule for rule in rules}
        self._names: dict[str, Names] = {}
        self._versions: dict[str, str] = {}
        self.settings: dict[int, Settings] = {}
        for rule in rules:
            self._add(Names(rule.id), rule.name)

    def take(self, parsed: Sequence[Parsed]) -> list[RuleError]:
        """Takes what is complete, again and again: what refers to nothing that is left can never be."""
        waiting = list(parsed)
        errors: list[RuleError] = []
        while ready := [one for one in waiting if not self._missing(one)]:
            waiting = [one for one in waiting if self._missing(one)]
            for one in ready:
                if id_of(one) in self._names:
                    errors.append(_error(one, "Duplicate", "another rule has this id"))
                    continue
                try:
                    self._accept(one)
                except CorrelationRuleError as error:
                    errors.append(_error(one, "Correlation", str(error)))
        for one in waiting:
            missing = ", ".join(self._missing(one))
            errors.append(_error(one, "Reference", f"it refers to {missing}, which is no rule that can be used"))
        return errors

    def _missing(self, parsed: Parsed) -> list[str]:
        return [name for name in references(_correlation(parsed)) if name not in self._names]

    def _accept(self, parsed: Parsed) -> None:
        settings = correlation(_correlation(parsed), id_of(parsed), self._names)
        parts = [self._version(reference.rule) for reference in settings.references]
        settings = msgspec.structs.replace(settings, version=uid.digest("v1", settings, parts))
        self.settings[id(parsed)] = settings
        self._versions[settings.rule_id] = settings.version
        self._add(Names(settings.rule_id, settings.depth), parsed.rule.name)

    def _add(self, names: Names, name: str | None) -> None:
        for called in (names.rule_id, name):
            if called:
                self._names.setdefault(called, names)

    def _version(self, rule_id: str) -> str:
        """What changes when a rule matches other events, or a correlation is another one."""
        if rule_id not in self._versions:
            variants = [
                (one.channels, one.event_ids, one.names, _written(one.condition, self._atoms))
                for one in self._rules[rule_id].variants
            ]
            self._versions[rule_id] = uid.digest("v2", variants)
        return self._versions[rule_id]


def _written(expression: Expression, atoms: Sequence[Atom]) -> Any:
    """An expression with its atoms instead of their places, which other rules decide."""
    if isinstance(expression, int):
        return atoms[expression]
    if isinstance(expression, Not):
        return ["not", _written(expression.of, atoms)]
    return ["all" if isinstance(expression, All) else "some", *(_written(child, atoms) for child in expression.of)]


def _quiet(correlations: Sequence[Settings]) -> set[str]:
    """What only correlations with `generate: false` refer to."""
    users: dict[str, list[bool]] = {}
    for one in correlations:
        for reference in one.references:
            users.setdefault(reference.rule, []).append(one.generate)
    return {rule_id for rule_id, found in users.items() if not any(found)}


def _correlation(parsed: Parsed) -> SigmaCorrelationRule:
    if not isinstance(parsed.rule, SigmaCorrelationRule):
        raise TypeError("a correlation is expected")
    return parsed.rule


def _error(parsed: Parsed, error_class: str, reason: str) -> RuleError:
    return RuleError(parsed.document.file, parsed.document.line, named(parsed.data), error_class, reason)
