"""Why a rule matches an event or does not: every leaf with its truth, and the fields that made it match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.events import SigmaEvent
from huntbeam.transforms.sigma.leaves import Leaf, View, leaf
from huntbeam.transforms.sigma.plan import (
    RUN,
    All,
    Atom,
    Cidr,
    Compare,
    Exists,
    Expression,
    Glob,
    Literal,
    Not,
    Null,
    Number,
    Reference,
    Regex,
    RuleSet,
    Variant,
)
from huntbeam.transforms.sigma.readings import fold

_AT = {"whole": "is", "start": "starts with", "end": "ends with", "anywhere": "contains"}


class Explained(msgspec.Struct, frozen=True):
    """A part of a condition and its truth. A leaf says what it asks; `and`, `or`, `not` and `source` have children."""

    says: str
    truth: bool
    field: str | None = None
    of: tuple[Explained, ...] = ()


def looks_at(variant: Variant, channel: str | None, event_id: int | None) -> bool:
    """Whether events of a kind can match a variant; `channel` is folded."""
    return (variant.channels is None or channel in variant.channels) and (
        variant.event_ids is None or event_id in variant.event_ids
    )


def explain(rules: RuleSet, rule: int, event: SigmaEvent) -> Explained:
    """The condition of each of the rule's variants, below `or` when there are several."""
    found = tuple(_variants(rules, rule, event))
    return found[0] if len(found) == 1 else Explained("or", any(one.truth for one in found), of=found)


def _variants(rules: RuleSet, rule: int, event: SigmaEvent) -> Iterator[Explained]:
    view = View(event.fields)
    channel = fold(event.channel) if event.channel else None
    for variant in rules.rules[rule].variants:
        if looks_at(variant, channel, event.event_id):
            tree = _explain(rules.atoms, variant.condition, view)
            yield Explained(f"source {variant.source}", tree.truth, of=(tree,))
        else:
            yield Explained(f"source {variant.source}", False)


def _explain(atoms: Sequence[Atom], expression: Expression, view: View) -> Explained:
    if isinstance(expression, int):
        atom = atoms[expression]
        return Explained(told(atom), _leaf(atom)(view), atom.field)
    if isinstance(expression, Not):
        inner = _explain(atoms, expression.of, view)
        return Explained("not", not inner.truth, of=(inner,))
    children = tuple(_explain(atoms, child, view) for child in expression.of)
    if isinstance(expression, All):
        return Explained("and", all(child.truth for child in children), of=children)
    return Explained("or", any(child.truth for child in children), of=children)


def matched(rules: RuleSet, rule: int, event: SigmaEvent, *, known: bool = False) -> dict[str, Json]:
    """The fields of the true leaves that are not below a `not`, with their values; empty when the rule does not match.

    A leaf without a field names every field in which it is found. A field that is missing, as asked for, is null.
    With `known` it is known to match, and what that alone answers is not asked again: most of what it filters out.
    """
    view = View(event.fields)
    channel = fold(event.channel) if event.channel else None
    conditions = [one.condition for one in rules.rules[rule].variants if looks_at(one, channel, event.event_id)]
    is_true = known and len(conditions) == 1
    fields: dict[str, Json] = {}
    for condition in conditions:
        fields |= _made_true(rules.atoms, condition, view, known=is_true) or {}
    return fields


def holds(rules: RuleSet, rule: int, event: SigmaEvent) -> bool:
    """Whether a rule matches, asked leaf by leaf."""
    view = View(event.fields)
    channel = fold(event.channel) if event.channel else None
    return any(
        looks_at(variant, channel, event.event_id) and _is_true(rules.atoms, variant.condition, view)
        for variant in rules.rules[rule].variants
    )


def _is_true(atoms: Sequence[Atom], expression: Expression, view: View) -> bool:
    if isinstance(expression, int):
        return _leaf(atoms[expression])(view)
    if isinstance(expression, Not):
        return not _is_true(atoms, expression.of, view)
    truths = (_is_true(atoms, child, view) for child in expression.of)
    return all(truths) if isinstance(expression, All) else any(truths)


def _made_true(atoms: Sequence[Atom], expression: Expression, view: View, *, known: bool) -> dict[str, Json] | None:
    """The fields that make it true; None when it is false, which is not looked at where it is known to be true."""
    if isinstance(expression, int):
        return _fields(atoms[expression], view) if known or _leaf(atoms[expression])(view) else None
    if isinstance(expression, Not):
        return {} if known or not _is_true(atoms, expression.of, view) else None
    fields: dict[str, Json] = {}
    needs_all = truth = isinstance(expression, All)
    for child in expression.of:
        if truth and not needs_all and isinstance(child, int) and fields.keys() >= _names(atoms[child]):
            continue  # most are many texts for one field
        found = _made_true(atoms, child, view, known=known and needs_all)
        if found is not None:
            fields |= found
            truth = True
        elif needs_all:
            return None
    return fields if truth else None


def _fields(atom: Atom, view: View) -> dict[str, Json]:
    """The fields that an atom asks for, which is true."""
    if atom.field is None:
        test = _leaf(atom)
        return {name: value for name, value in view.fields.items() if test(View({name: value}))}
    return {name: view.fields.get(name) for name in _names(atom) if name is not None}


def _names(atom: Atom) -> set[str | None]:
    return {atom.field, atom.other} if isinstance(atom, Reference) else {atom.field}


@lru_cache(maxsize=1_024)
def _leaf(atom: Atom) -> Leaf:
    return leaf(atom)


def told(atom: Atom) -> str:
    """What an atom asks, in words.

    >>> told(Literal("Image", "\\\\cmd.exe", "end", False))
    'Image ends with "\\\\cmd.exe"'
    """
    field = atom.field or "any value"
    if isinstance(atom, Literal):
        return f'{field} {_AT[atom.at]} "{atom.text}"' + (", case and all" if atom.cased else "")
    if isinstance(atom, Glob):
        text = "".join(part if isinstance(part, str) else "*" if part == RUN else "?" for part in atom.parts)
        return f'{field} is like "{text}"' + (", case and all" if atom.cased else "")
    if isinstance(atom, Regex):
        return f"{field} matches /{atom.pattern}/{atom.flags}"
    if isinstance(atom, Null):
        return f"{field} has no value"
    if isinstance(atom, Exists):
        return f"{field} exists"
    if isinstance(atom, Cidr):
        return f"{field} is an address in {atom.network}"
    if isinstance(atom, Number):
        return f"{field} is {atom.value}"
    if isinstance(atom, Compare):
        return f"{atom.part + ' of ' if atom.part else ''}{field} {atom.op} {atom.value}"
    place = _AT["anywhere" if atom.start and atom.end else "start" if atom.start else "end" if atom.end else "whole"]
    return f"{field} {place} the value of {atom.other}"
