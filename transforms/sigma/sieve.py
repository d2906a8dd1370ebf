"""Whether a text holds one of a few others, told ten times as fast as which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import product

from ahocorasick_rs import BytesAhoCorasick, MatchKind

FEW = 60  # texts that SIMD instructions look for
WINDOW = 3  # letters of them that are looked for in all their cases
_COMMON = re.compile(r"[ .\\]")  # in any case, but everywhere
# In no UTF-8. Four texts that begin and end so keep the library from looking for three letters instead, which in some
# telemetry are everywhere.
_NOWHERE = tuple(bytes([byte]) * 4 for byte in (0xF8, 0xF9, 0xFA, 0xFB))
KEPT = 512  # sieves, small ones

Sieve = Callable[[bytes], Sequence[object]]  # what is found; empty: nothing is


@lru_cache(maxsize=KEPT)
def sieve_of(texts: tuple[bytes, ...]) -> Sieve:
    """Finds one of a few texts at least, where there are any, but none that begins inside another."""
    return BytesAhoCorasick((*texts, *_NOWHERE), matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes


def windows(texts: Collection[str]) -> tuple[bytes, ...]:
    """A few letters of each folded text in all their cases: one stands in every text of ASCII that holds one of them.

    Nothing where a text has none, or where they would be too many. Those that have few cases are taken, and of these
    those that many of the texts share.

    >>> windows({"a::b", "B::c"})
    (b'::B', b'::C', b'::b', b'::c')
    """
    rarest = [_rarest(text) for text in texts]
    shared = Counter(part for parts in rarest for part in parts)
    best = {min(parts, key=lambda part: (-shared[part], part), default="") for parts in rarest}
    if "" in best or sum(map(_cases, best)) > FEW:
        return ()
    return tuple(sorted(found.encode() for part in best for found in map("".join, product(*map(_both, part)))))


def _rarest(text: str) -> set[str]:
    found = {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}
    costs = {part: _cases(part) + 4 * len(_COMMON.findall(part)) for part in found if part.isascii()}
    least = min(costs.values(), default=0)
    return {part for part, cost in costs.items() if cost == least}


def _cases(part: str) -> int:
    return 1 << sum(map(str.isalpha, part))


def _both(letter: str) -> set[str]:
    return {letter.lower(), letter.upper()}
