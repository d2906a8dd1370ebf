"""What can be worked out of a rule set when it is compiled, since it takes a matcher longer than all the rest."""

from __future__ import annotations

import msgspec

from huntbeam.transforms.sigma.needs import Judge
from huntbeam.transforms.sigma.plan import ANYWHERE, Atom, Glob, Literal, Regex, Rule, RuleSet
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.regex_shape import needle


def prepared(rules: RuleSet) -> RuleSet:
    """The set with the literals that other atoms require, and with the needs of each variant for one kind of events."""
    found: dict[Atom, int] = {atom: index for index, atom in enumerate(rules.atoms)}
    requires: dict[int, int] = {}
    for index, atom in enumerate(rules.atoms):
        literal = required(atom)
        if literal is not None:
            requires[index] = found.setdefault(literal, len(found))
    atoms = tuple(found)
    judge = Judge(atoms, requires)
    return msgspec.structs.replace(
        rules, rules=tuple(_with_needs(rule, judge) for rule in rules.rules), atoms=atoms, requires=requires
    )


def _with_needs(rule: Rule, judge: Judge) -> Rule:
    return msgspec.structs.replace(rule, variants=tuple(judge.with_needs(variant) for variant in rule.variants))


def required(atom: Atom) -> Literal | None:
    """A literal that is true whenever the atom is, for atoms that are not looked up themselves."""
    text: str | None = None
    if isinstance(atom, Regex):
        text = needle(atom.pattern)
    elif isinstance(atom, Glob):
        text = max((part for part in atom.parts if isinstance(part, str)), key=len, default=None)
    return Literal(atom.field, fold(text), ANYWHERE, False) if text and isinstance(atom, Regex | Glob) else None
