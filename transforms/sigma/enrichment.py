"""Which rules of a set can run when the context of some events' processes is there, and which want it. No pySigma."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import msgspec

from huntbeam.schemas.sysmon import PROCESS_CREATE
from huntbeam.transforms.sigma.expression import atoms_of, renumbered
from huntbeam.transforms.sigma.plan import Rule, RuleError, RuleSet, Variant

ALWAYS = frozenset((PROCESS_CREATE,))  # a rule that names the grandparent is reason enough to look for it


def at_work(rules: RuleSet, enrich: AbstractSet[int]) -> RuleSet:
    """The set without what cannot run since `enrich` lacks the events that it looks at; that is said of each.

    Rules keep their places, since correlations refer to them; one that cannot run has no variants.
    """
    return within(rules, enrich | ALWAYS)


def within(rules: RuleSet, there: AbstractSet[int]) -> RuleSet:
    """The same for a job that has begun: it enriches what it does."""
    kept: list[Rule] = []
    errors: list[RuleError] = []
    notes: list[RuleError] = []
    for rule in rules.rules:
        if not any(variant.context or variant.needs_context for variant in rule.variants):
            kept.append(rule)  # most of them
            continue
        variants = tuple(one for one in rule.variants if not one.needs_context or there & one.context.keys())
        told = list(dict.fromkeys(_told(rule, there)))
        (notes if variants else errors).extend(told)
        kept.append(rule if len(variants) == len(rule.variants) else msgspec.structs.replace(rule, variants=variants))
    return msgspec.structs.replace(
        rules, rules=tuple(kept), errors=_ordered(rules.errors, errors), notes=_ordered(rules.notes, notes)
    )


def deferred(rules: RuleSet, enrich: AbstractSet[int]) -> RuleSet:
    """The set with those rules alone that some events defer, and their atoms: what is left is small."""
    kept = [rule for rule in rules.rules if any(enrich & variant.context.keys() for variant in rule.variants)]
    found = dict.fromkeys(atom for rule in kept for variant in rule.variants for atom in atoms_of(variant.condition))
    places = {atom: place for place, atom in enumerate(found)}
    replace = msgspec.structs.replace
    moved = []
    for rule in kept:
        variants = (replace(one, condition=renumbered(one.condition, places), needs=None) for one in rule.variants)
        moved.append(replace(rule, variants=tuple(variants)))
    return replace(rules, rules=tuple(moved), atoms=tuple(rules.atoms[atom] for atom in found), notes=(), requires={})


def wanted(rules: RuleSet) -> frozenset[int]:
    """What has to be enriched for the rules' sake, whatever the options say."""
    return ALWAYS & asked(rules)


def asked(rules: RuleSet) -> frozenset[int]:
    """All events of whose context a rule would make something."""
    return frozenset(one for rule in rules.rules for variant in rule.variants for one in variant.context)


def _told(rule: Rule, there: AbstractSet[int]) -> Iterator[RuleError]:
    for variant in rule.variants:
        without = sorted(variant.context.keys() - there)
        if without and variant.event_ids is not None:  # one that looks at all events has them where they are
            fields = ", ".join(sorted({name for one in without for name in variant.context[one]}))
            runs = not variant.needs_context or bool(there & variant.context.keys())
            reason = _reason(variant, without, fields, runs=runs)
            yield RuleError(rule.file, rule.line, rule.id, *reason, variant.source)


def _reason(variant: Variant, without: list[int], fields: str, *, runs: bool) -> tuple[str, str]:
    option = f"--enrich {','.join(map(str, without))}"
    if runs and variant.needs_context:
        return "WithoutFields", f"runs on those events of {variant.source} that are enriched: {option} adds others"
    if not runs:
        return "NeedsEnrich", f"needs {option}: {fields} is in the creates of the processes, not in {variant.source}"
    return "WithoutFields", f"runs on {variant.source} without {fields}, which {option} gives"


def _ordered(*errors: Iterable[RuleError]) -> tuple[RuleError, ...]:
    found = {error for some in errors for error in some}
    return tuple(sorted(found, key=lambda one: (one.file, one.line, one.error_class, one.reason)))
