"""Whether a text holds one of a few others, told ten times as fast as which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import product

from ahocorasick_rs import BytesAhoCorasick, MatchKind

PIECE = 64 * 1_024  # bytes looked at at once: the library tells of every place where something stands
FEW = 60  # texts that SIMD instructions look for
WINDOW = 3  # letters of them that are looked for in all their cases
_ANY = re.compile(r"(?s:.*)")
_COMMON = re.compile(r"[ .\\]")  # in any case, but everywhere
# In no UTF-8. Four texts that begin and end so keep the library from looking for three letters instead, which in some
# telemetry are everywhere.
_NOWHERE = tuple(bytes([byte]) * 4 for byte in (0xF8, 0xF9, 0xFA, 0xFB))
KEPT = 512  # sieves, small ones
# What stands in JSON as it is, or escaped as below: nothing that has an escape of its own, no end of a text, no
# punctuation around nested values (where quotes precede colons), and no number, which can be written in several ways.
_AS_WRITTEN = re.compile(r"(?=.*[^-+.e\d])[^\s\"\\/,{}\[\]:][^\s\"\\/,{}\[\]]*", re.ASCII)
# How letters may be escaped: those of ASCII, and the long s and the Kelvin sign, the only others that fold to one.
_ESCAPED = (rb"\u00", rb"\u017", rb"\u212")
_TRIALS = 200  # records that it may fail to rule out beyond those that it does, before it is given up

Sieve = Callable[[bytes], object]  # whether any is found


@lru_cache(maxsize=KEPT)
def sieve_of(texts: tuple[bytes, ...]) -> Sieve:
    """Finds one of a few texts at least, where there are any, but none that begins inside another."""
    letters = [text[0] for text in texts if len(text) == 1]
    if letters:  # they stand in many places, and the library would tell of each
        others = sieve_of(tuple(text for text in texts if len(text) > 1))
        return lambda text: any(letter in text for letter in letters) or others(text)
    return BytesAhoCorasick((*texts, *_NOWHERE), matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes


class RecordSieve:
    """Rules out records of JSON in whose bytes nothing stands that rules call for: they need not be decoded.

    It looks for folded texts, of which one stands in some value of every record that is called for. Where it seldom
    rules one out it gives up.
    """

    def __init__(self, texts: Collection[str]) -> None:
        found = windows(texts, _AS_WRITTEN, FEW - len(_ESCAPED))
        self._sieve = sieve_of((*found, *_ESCAPED)) if found else None
        self._trials = _TRIALS if found else 0

    @property
    def is_of_use(self) -> bool:
        """Whether it is worth to ask it."""
        return self._trials > 0

    def rules_out(self, record: bytes) -> bool:
        """Whether no value of a record holds one of the texts, for sure."""
        if not self._trials or self._sieve is None or len(record) > PIECE:
            return False
        if not record.isascii() or self._sieve(record):
            self._trials -= 1
            return False
        self._trials = min(self._trials + 1, _TRIALS)
        return True


def windows(texts: Collection[str], usable: re.Pattern[str] = _ANY, few: int = FEW) -> tuple[bytes, ...]:
    """A few letters of each folded text in all their cases: one stands in every text of ASCII that holds one of them.

    Nothing where a text has no usable ones, or where they would be too many. Those that have few cases are taken, and
    of these those that many of the texts share.

    >>> windows({"a::b", "B::c"})
    (b'::B', b'::C', b'::b', b'::c')
    """
    if len(texts) > few:
        return ()
    rarest = [_rarest(text, usable) for text in texts]
    shared = Counter(part for parts in rarest for part in parts)
    best = {min(parts, key=lambda part: (-shared[part], part), default="") for parts in rarest}
    if "" in best or sum(map(_cases, best)) > few:
        return ()
    return tuple(sorted(found.encode() for part in best for found in map("".join, product(*map(_both, part)))))


@lru_cache(maxsize=KEPT)
def _rarest(text: str, usable: re.Pattern[str]) -> frozenset[str]:
    found = {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}
    costs = {
        part: _cases(part) + 4 * len(_COMMON.findall(part))
        for part in found
        if part.isascii() and usable.fullmatch(part)
    }
    least = min(costs.values(), default=0)
    return frozenset(part for part, cost in costs.items() if cost == least)


def _cases(part: str) -> int:
    return 1 << sum(map(str.isalpha, part))


def _both(letter: str) -> set[str]:
    return {letter.lower(), letter.upper()}
