"""Who signed a program, and whether that is one of those whom we trust. Pure."""

from __future__ import annotations

import re
from fnmatch import translate

import msgspec

MICROSOFT = (
    "Microsoft Corporation",
    "Microsoft Windows",
    "Microsoft Windows Early Launch Anti-malware Publisher",
    "Microsoft Windows Hardware Compatibility Publisher",
    "Microsoft Windows Publisher",
)
_KNOWN = 10_000  # pairs remembered: an attacker chooses both


class Trust(msgspec.Struct, frozen=True):
    """Signers that are trusted, and results of checking a signature; without results these are not looked at.

    Case is not told apart; * and ? match.
    """

    signers: tuple[str, ...] = MICROSOFT
    results: tuple[str, ...] = ()


class Signers:
    """A Trust at work."""

    def __init__(self, trust: Trust) -> None:
        self._signers = _pattern(trust.signers)
        self._results = _pattern(trust.results) if trust.results else None
        self._known: dict[tuple[str | None, str | None], bool] = {}

    def trusted(self, signer: str | None, result: str | None) -> bool:
        """Whether a program is; one that nobody signed is not."""
        pair = signer, result
        known = self._known.get(pair)
        if known is None:
            known = self._signers.fullmatch((signer or "").lower()) is not None and (
                self._results is None or self._results.fullmatch((result or "").lower()) is not None
            )
            if len(self._known) < _KNOWN:
                self._known[pair] = known
        return known


def _pattern(wanted: tuple[str, ...]) -> re.Pattern[str]:
    """fnmatch's expressions take linear time, whatever the text."""
    return re.compile("|".join(translate(one.strip().lower()) for one in wanted))
