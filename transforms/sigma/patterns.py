"""Regular expressions and wildcards as functions of a text, in linear time.

RE2 runs them. It knows no look-around and no back references; what it refuses runs in Python's `re`, only if that takes
a bounded number of steps. Event content is written by attackers, so every pattern sees as many characters of a value as
it can look at in a bounded time: nearly all of them more than Windows ever writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import re2

from huntbeam.transforms.sigma.plan import RUN
from huntbeam.transforms.sigma.regex_shape import steps

ENOUGH = 32_768  # characters: Windows' longest command line; who sees so much is not worth a word
LINEAR_STEPS = 1_000 * ENOUGH  # of RE2 without its automaton: instructions of the program times characters, some 0.2 s
BACKTRACKING = 1_024  # characters that a pattern in Python's engine sees
BACKTRACKING_STEPS = 5_000_000

Search = Callable[[str], bool]

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_LONG = re.compile(r"\.\{(\d{1,4}),?\}", re.ASCII)  # a thousand states for RE2, and one look at a length

_options = re2.Options()
_options.log_errors = False
_options.never_capture = True  # whether, not where
_options.max_mem = 4 << 20  # of its automaton; what would need more is done without


class Pattern(NamedTuple):
    """Whether a text has a match, anywhere in it, and how many characters of a longer text are looked at."""

    search: Search
    sees: int


def regex(pattern: str, flags: str) -> Pattern:
    """A regular expression. Raises ValueError for one that cannot run, with the reason."""
    long = _LONG.fullmatch(pattern)
    if long is not None:
        return _longer(int(long[1]), "s" in flags)
    try:
        return _linear(f"(?{flags}){pattern}" if flags else pattern)
    except re2.error as error:
        return _backtracking(pattern, flags, error)


def glob(parts: Sequence[str | int]) -> Pattern:
    """Texts with wildcards between them, which are to be the whole of a text, line breaks included."""
    inner = "".join(re2.escape(part) if isinstance(part, str) else ".*" if part == RUN else "." for part in parts)
    return _linear(rf"(?s)\A(?:{inner})\z")


def _longer(length: int, lines: bool) -> Pattern:
    if lines:
        return Pattern(lambda text: len(text) >= length, ENOUGH)
    return Pattern(lambda text: any(len(line) >= length for line in text.split("\n")), ENOUGH)


def _linear(pattern: str) -> Pattern:
    compiled = re2.compile(pattern.encode("utf-8"), _options)
    search = compiled.search
    sees = LINEAR_STEPS // max(compiled.programsize, compiled.reverseprogramsize, 1)
    return Pattern(lambda text: search(text[:sees].encode("utf-8", "replace")) is not None, sees)


def _backtracking(pattern: str, flags: str, refused: Exception) -> Pattern:
    try:
        search = re.compile(pattern, sum(_FLAGS[flag] for flag in flags)).search
    except (re.error, OverflowError, RecursionError):
        raise ValueError(f"the regular expression is not valid: {_sentence(refused)}") from refused
    if steps(pattern, BACKTRACKING) > BACKTRACKING_STEPS:
        raise ValueError(
            f"RE2 cannot run the regular expression ({_sentence(refused)}), and Python's engine might take too long: "
            "write it without look-around and back references"
        ) from refused
    return Pattern(lambda text: search(text[:BACKTRACKING]) is not None, BACKTRACKING)


def _sentence(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
