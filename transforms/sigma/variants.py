"""A rule on each source that it can run on: mapped by a pipeline, lowered, and checked for missing fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from huntbeam.schemas.sysmon import ENRICHABLE
from huntbeam.transforms.sigma import pipelines
from huntbeam.transforms.sigma.expression import atoms_of, given, possible
from huntbeam.transforms.sigma.fields import SYSMON_CHANNEL, context_fields, fields_of
from huntbeam.transforms.sigma.load import LIBRARY_ERRORS, Parsed, apply_filters, parse, reason_of
from huntbeam.transforms.sigma.lowering import UnsupportedError, field_names, lower, selected_names
from huntbeam.transforms.sigma.patterns import ENOUGH, regex
from huntbeam.transforms.sigma.plan import (
    FALSE,
    WHOLE,
    Atom,
    Expression,
    Literal,
    Null,
    Number,
    Reference,
    Regex,
    Variant,
)
from huntbeam.transforms.sigma.readings import number
from huntbeam.transforms.sigma.records import Records
from huntbeam.transforms.sigma.sources import (
    MONSTER,
    MONSTER_CATEGORIES,
    SYSMON_CATEGORIES,
    WINDOWS_CATEGORIES,
    Target,
    source_name,
)
from huntbeam.transforms.sigma.user_pipelines import UserPipeline

_PROBE = "selection"


class Remark(NamedTuple):
    """What is wrong with a rule, or limits it."""

    error_class: str
    reason: str
    source: str = ""  # of the events that it is about, where it is about some


class Outcome(NamedTuple):
    """The variants of a rule, and why it has no others."""

    variants: tuple[Variant, ...]
    remarks: tuple[Remark, ...]
    filters: frozenset[int]  # that are for it


class _Mapping(NamedTuple):
    """What makes a rule one of a source; `plain` is the same without the user's part, where there is one."""

    whole: ProcessingPipeline
    plain: ProcessingPipeline | None


_SOURCES: dict[Records, tuple[tuple[Callable[..., ProcessingPipeline], Mapping[str, Target]], ...]] = {
    Records.WINDOWS: ((pipelines.sysmon, SYSMON_CATEGORIES), (pipelines.windows, WINDOWS_CATEGORIES)),
    Records.MONSTER: ((pipelines.monster, MONSTER_CATEGORIES),),
}


class Compiler:
    """Makes variants; all share the atoms."""

    def __init__(
        self, user: Sequence[UserPipeline], filters: Sequence[Parsed], records: Records = Records.WINDOWS
    ) -> None:
        self._records = records
        self._sources = [
            (_Mapping(make(user), make() if user else None), categories) for make, categories in _SOURCES[records]
        ]
        self._filters = filters
        self._indices: dict[Atom, int] = {}
        self.atoms: list[Atom] = []

    def variants(self, parsed: Parsed, asked: Iterable[str] = ()) -> Outcome:
        """The rule on each of its sources; `asked` are fields that correlations read of its events."""
        mappings = self._mappings(parsed)
        found: list[Variant] = []
        remarks: list[Remark] = [] if mappings else [_no_source(parsed)]
        used: set[int] = set()
        for mapping in mappings:
            try:
                variant = self._variant(parsed, mapping, used)
                if asked:
                    variant = msgspec.structs.replace(variant, names=_names(parsed, mapping.whole, asked))
                found.append(variant)
                remarks += self._limits(variant)
            except UnsupportedError as error:
                remarks.append(Remark(error.error_class, error.reason, error.source))
            except LIBRARY_ERRORS as error:
                remarks.append(Remark(*reason_of(error)))
        return Outcome(tuple(found), tuple(dict.fromkeys(remarks)), frozenset(used))

    def _mappings(self, parsed: Parsed) -> list[_Mapping]:
        category, service = logsource(parsed)
        if category is None:
            anywhere = self._records is Records.WINDOWS or service == MONSTER
            return [self._sources[-1][0]] if anywhere else []
        return [
            mapping
            for mapping, known in self._sources
            if category in known and service in (None, known[category].service)
        ]

    def _variant(self, parsed: Parsed, mapping: _Mapping, used: set[int]) -> Variant:
        rule = self._mapped(parsed, mapping.whole, used)
        condition = lower(rule, self._intern)
        channels = possible(condition, partial(self._values, "Channel"))
        ids = possible(condition, partial(self._values, "EventID"))
        event_ids = None if ids is None else sorted(one for text in ids if isinstance(one := number(text), int))
        if channels == frozenset() or event_ids == []:
            raise UnsupportedError("NoSource", "the condition asks for events that its log source does not have")
        if rule.logsource.service is not None and channels is None:
            raise UnsupportedError(*_no_source(parsed))
        known = fields_of(channels, event_ids)
        if known is not None and mapping.plain is not None:  # names that are the user's own are there, we believe
            known |= field_names(rule) - field_names(self._mapped(parsed, mapping.plain, used))
        without = self._without(condition, known)
        context = self._context(condition, channels, event_ids)
        missing = without.difference(*context.values())  # that no context gives either
        variant = Variant(
            source=source_name(channels, event_ids),
            channels=None if channels is None else tuple(sorted(channels)),
            event_ids=None if event_ids is None else tuple(event_ids),
            condition=condition,
            without=tuple(sorted(without)),
            context=context,
            needs_context=given(condition, partial(self._absent, without)) == FALSE,
        )
        if variant.needs_context and given(condition, partial(self._absent, missing)) == FALSE:
            reason = f"cannot run on {variant.source} because its events have no {', '.join(sorted(missing))}"
            raise UnsupportedError("FieldsMissing", reason, variant.source)
        return variant

    def _mapped(self, parsed: Parsed, pipeline: ProcessingPipeline, used: set[int]) -> SigmaRule:
        rule = parse(parsed.data)  # anew: pipelines change it
        if not isinstance(rule, SigmaRule):
            raise TypeError("a rule is expected")
        used.update(apply_filters(rule, self._filters))
        pipeline.apply(rule)
        return rule

    def _intern(self, atom: Atom) -> int:
        index = self._indices.setdefault(atom, len(self.atoms))
        if index == len(self.atoms):
            self.atoms.append(atom)
        return index

    def _values(self, field: str, index: int) -> frozenset[str] | None:
        """The values of a field with which an atom can be true; None: any."""
        atom = self.atoms[index]
        if atom.field == field and isinstance(atom, Number):
            return frozenset((str(atom.value),))
        if atom.field == field and isinstance(atom, Literal) and atom.at == WHOLE and not atom.cased:
            return frozenset((atom.text,))
        return None

    def _without(self, condition: Expression, known: frozenset[str] | None) -> frozenset[str]:
        return frozenset() if known is None else self._named(condition) - known

    def _context(
        self, condition: Expression, channels: frozenset[str] | None, event_ids: list[int] | None
    ) -> dict[int, tuple[str, ...]]:
        """By Sysmon event id, the fields that the condition names and the context of a process gives."""
        if channels is not None and SYSMON_CHANNEL not in channels:
            return {}
        named = self._named(condition)
        ids = sorted(ENRICHABLE) if event_ids is None else event_ids
        return {one: tuple(sorted(found)) for one in ids if (found := named & context_fields(one))}

    def _named(self, condition: Expression) -> frozenset[str]:
        atoms = [self.atoms[index] for index in atoms_of(condition)]
        named = {atom.field for atom in atoms} | {atom.other for atom in atoms if isinstance(atom, Reference)}
        return frozenset(field for field in named if field is not None)

    def _absent(self, without: frozenset[str], index: int) -> bool | None:
        """The truth of an atom for an event without these fields; None: they do not decide it."""
        atom = self.atoms[index]
        if atom.field in without or (isinstance(atom, Reference) and atom.other in without):
            return isinstance(atom, Null)
        return None

    def _limits(self, variant: Variant) -> list[Remark]:
        limits = []
        missing = frozenset(variant.without).difference(*variant.context.values())
        if missing:
            names = ", ".join(sorted(missing))
            reason = f"runs on {variant.source} without {names}, which its events do not have"
            limits.append(Remark("WithoutFields", reason, variant.source))
        for index in set(atoms_of(variant.condition)):
            atom = self.atoms[index]
            if isinstance(atom, Regex) and (sees := regex(atom.pattern, atom.flags).sees) < ENOUGH:
                reason = (
                    f"/{atom.pattern}/ sees the first {sees} characters of a value, so that it takes a bounded time"
                )
                limits.append(Remark("BoundedRegex", reason))
        return limits


def _names(parsed: Parsed, pipeline: ProcessingPipeline, asked: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What a pipeline makes of fields that the rule need not name itself, where that is something else."""
    found = {}
    for field in sorted(asked):
        probe = parse(parsed.data | {"detection": {_PROBE: {field: "0"}, "condition": _PROBE}})
        if isinstance(probe, SigmaRule) and not probe.errors:
            pipeline.apply(probe)
            names = selected_names(probe, _PROBE)
            if names and names != (field,):
                found[field] = names
    return found


def logsource(parsed: Parsed) -> tuple[str | None, str | None]:
    """Category and service of a rule."""
    if not isinstance(parsed.rule, SigmaRule):
        raise TypeError("a rule is expected")
    return parsed.rule.logsource.category, parsed.rule.logsource.service


def _no_source(parsed: Parsed) -> Remark:
    category, service = logsource(parsed)
    what = f"category {category}" if category else ""
    what += (", " if category and service else "") + (f"service {service}" if service else "")
    return Remark("NoSource", f"it is not known which events of Windows {what} stands for")
