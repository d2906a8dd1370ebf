"""What a condition needs of an event: the values that it looks up, and witnesses: one is true whenever it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial

import msgspec

from huntbeam.transforms.sigma.expression import atoms_of, given, witnesses
from huntbeam.transforms.sigma.plan import (
    ANYWHERE,
    END,
    START,
    WHOLE,
    Atom,
    Expression,
    Literal,
    Needs,
    Number,
    Variant,
)

_LETTERS = 12  # characters of a literal that make it rarer
_PLACES = {WHOLE: 0.25, START: 1.0, END: 1.0, ANYWHERE: 2.0}
# These do not: they stand in most events of some kind.
_COMMON = re.compile(
    r"windows|system32|program files|microsoft|software|currentversion|currentcontrolset|svchost|ntdll|kernelbase"
    r"|true|false|valid|0x[0-9a-f]+|dword|binary data|createkey|deletekey|setvalue|powershell|hidden"
    r"|[a-z]:|\.(?:exe|dll)"
)
_NUMBER_COST = 0.05


def known(atom: Atom, channel: str | None, event_id: int | None) -> bool | None:
    """The truth of an atom that asks for the kind of event; None: it asks for something else.

    A channel, folded, or an id of None is one that no rule names.
    """
    if isinstance(atom, Literal):
        asked = channel_asked(atom)
        return None if asked is None else asked == channel
    id_ = id_asked(atom)
    return None if id_ is None else id_ == event_id


def channel_asked(atom: Atom) -> str | None:
    """The channel, folded, that an atom asks for; None: it asks for something else."""
    is_channel = isinstance(atom, Literal) and atom.field == "Channel" and atom.at == WHOLE and not atom.cased
    return atom.text if isinstance(atom, Literal) and is_channel and atom.text else None


def id_asked(atom: Atom) -> int | None:
    """The event id that an atom asks for; None: it asks for something else."""
    is_id = isinstance(atom, Number) and atom.field == "EventID" and isinstance(atom.value, int)
    return int(atom.value) if isinstance(atom, Number) and is_id else None


class Judge:
    """Finds the needs of conditions over the atoms of one rule set."""

    def __init__(self, atoms: Sequence[Atom], requires: Mapping[int, int]) -> None:
        self._atoms = atoms
        self._requires = requires
        self._cost = cache(self._rarity)

    def with_needs(self, variant: Variant) -> Variant:
        """The variant with its needs, where it is for one kind of events."""
        if variant.channels is None or variant.event_ids is None:
            return variant
        if len(variant.channels) > 1 or len(variant.event_ids) > 1:
            return variant
        kind = variant.channels[0], variant.event_ids[0]
        return msgspec.structs.replace(variant, needs=self.needs(self.given(variant.condition, *kind)))

    def given(self, condition: Expression, channel: str | None, event_id: int | None) -> Expression:
        """What is left of a condition for one kind of events."""
        return given(condition, partial(self._known, channel, event_id))

    def _known(self, channel: str | None, event_id: int | None, atom: int) -> bool | None:
        return known(self._atoms[atom], channel, event_id)

    def needs(self, condition: Expression) -> Needs:
        """What of the values that are looked up decides a condition."""
        looked_up = dict.fromkeys(self._requires.get(atom, atom) for atom in atoms_of(condition))
        found = witnesses(condition, self._cost)
        return Needs(
            atoms=tuple(atom for atom in looked_up if isinstance(self._atoms[atom], Literal | Number)),
            witnesses=None if found is None else tuple({self._requires.get(atom, atom) for atom in found[1]}),
        )

    def _rarity(self, atom: int) -> float | None:
        """About how often an atom is true: the longer a literal, the rarer. None: it is not looked up."""
        found = self._atoms[self._requires.get(atom, atom)]
        if not isinstance(found, Literal | Number):
            return None
        if isinstance(found, Number):
            return _NUMBER_COST
        rarity: float = 2.0 ** -min(len(_COMMON.sub("", found.text)), _LETTERS)
        return rarity * (4 if found.field is None else 1) * _PLACES[found.at]
