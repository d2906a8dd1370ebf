"""The shape of a regular expression, as far as two questions go: which text must stand in every match, and how long a
backtracking engine may take. What is not understood gets the careful answer: no text, no bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

UNBOUNDED = None


class Char(NamedTuple):
    """One character that is known."""

    char: str


class Opaque(NamedTuple):
    """One character of a class, or a position: nothing is known of it, and there is no choice in it."""


class Group(NamedTuple):
    """Alternatives."""

    branches: tuple[tuple[Node, ...], ...]


class Look(NamedTuple):
    """A look-around: what is in it is matched once and never gone back into."""

    branches: tuple[tuple[Node, ...], ...]


class Repeat(NamedTuple):
    """A node again and again."""

    node: Node
    least: int
    most: int | None


Node: TypeAlias = Char | Opaque | Group | Look | Repeat


class _UnclearError(Exception):
    """The pattern has something that this parser does not know."""


_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*+\]", re.DOTALL)
_QUANTIFIER = re.compile(r"([*+?]|\{\d{1,5}(?:,\d{0,5})?\})(\??)", re.ASCII)
_GROUP = re.compile(r"\((?:\?(?:[ims]*:|P<\w+>|<?[=!]))?", re.ASCII)
_FLAGS = re.compile(r"\(\?[ims]+\)")
_ESCAPED_CLASS = "dDwWsSbBAZz"


def parse(pattern: str) -> tuple[tuple[Node, ...], ...] | None:
    """The alternatives of a pattern, or None if it has something that is not known here."""
    try:
        return _Parser(pattern).whole()
    except (_UnclearError, RecursionError):
        return None


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def whole(self) -> tuple[tuple[Node, ...], ...]:
        flags = _FLAGS.match(self._pattern)
        self._at = flags.end() if flags else 0
        branches = self._branches()
        if self._at != len(self._pattern):
            raise _UnclearError
        return branches

    def _branches(self) -> tuple[tuple[Node, ...], ...]:
        branches: list[tuple[Node, ...]] = []
        nodes: list[Node] = []
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            if self._pattern[self._at] == "|":
                self._at += 1
                branches.append(tuple(nodes))
                nodes = []
            else:
                nodes.append(self._quantified(self._node()))
        return (*branches, tuple(nodes))

    def _node(self) -> Node:
        char = self._pattern[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char in "*+?{":
            raise _UnclearError  # a quantifier of nothing, or a brace that is none: engines differ
        self._at += 1
        return Opaque() if char in ".^$" else Char(char)

    def _quantified(self, node: Node) -> Node:
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None:
            if self._pattern.startswith("{", self._at):
                raise _UnclearError
            return node
        self._at = found.end()
        if self._pattern[self._at : self._at + 1] in tuple("*+?{"):
            raise _UnclearError  # possessive, or a quantifier twice
        least, most = _bounds(found[1])
        return Repeat(node, least, most)

    def _group(self) -> Node:
        found = _GROUP.match(self._pattern, self._at)
        if found is None or self._pattern.startswith("?", found.end()):
            raise _UnclearError
        self._at = found.end()
        branches = self._branches()
        if not self._pattern.startswith(")", self._at):
            raise _UnclearError
        self._at += 1
        return Look(branches) if found[0].endswith(("=", "!")) else Group(branches)

    def _class(self) -> Node:
        found = _CLASS.match(self._pattern, self._at)
        if found is None or "[" in found[0][1:]:
            raise _UnclearError  # a bracket inside: RE2 and Python read [[:alpha:]] differently
        self._at = found.end()
        return Opaque()

    def _escape(self) -> Node:
        char = self._pattern[self._at + 1 : self._at + 2]
        if not char or (char.isalnum() and char not in _ESCAPED_CLASS and char not in "nrtfv"):
            raise _UnclearError
        self._at += 2
        return Opaque() if char.isalnum() else Char(char)


def _bounds(quantifier: str) -> tuple[int, int | None]:
    if quantifier in "*+?":
        return (1 if quantifier == "+" else 0), (1 if quantifier == "?" else UNBOUNDED)
    least, comma, most = quantifier[1:-1].partition(",")
    return int(least), (int(most) if most else UNBOUNDED) if comma else int(least)


def needle(pattern: str) -> str | None:
    """The longest text that stands in whatever the pattern finds, in its own case; None where none is known.

    >>> needle(r"cmd.{0,5}(?:/c|/r).+powershell.+"), needle("a|b"), needle("ab*c")
    ('powershell', None, 'a')
    """
    branches = parse(pattern)
    if branches is None or len(branches) != 1:
        return None
    return max(_texts(branches[0]), key=len, default="") or None


def _texts(nodes: Sequence[Node]) -> list[str]:
    found = [""]
    for node in nodes:
        if isinstance(node, Char):
            found[-1] += node.char
        elif isinstance(node, Group) and len(node.branches) == 1:
            found += [*_texts(node.branches[0]), ""]
        elif isinstance(node, Repeat) and node.least > 0:
            inner = _texts((node.node,))
            found[-1] += inner[0] if isinstance(node.node, Char) else ""
            found += [*inner, ""]
        else:
            found.append("")
    return found


def steps(pattern: str, length: int) -> float:
    """No less than the steps of a backtracking search in a text of so many characters; infinite where not known."""
    branches = parse(pattern)
    if branches is None:
        return float("inf")
    starts = 1 if len(branches) == 1 and pattern.startswith("^") else length
    return length + starts * _work(branches, length)


def _work(branches: Sequence[Sequence[Node]], length: int) -> float:
    return sum(_sequence(nodes, length) for nodes in branches)


def _sequence(nodes: Sequence[Node], length: int) -> float:
    """Each way through what stands before is tried with each way through what follows."""
    total, ways = 1.0, 1.0
    for node in nodes:
        if isinstance(node, Look):
            total += ways * _work(node.branches, length)
            continue
        if isinstance(node, Group):
            ways *= _work(node.branches, length)
        elif isinstance(node, Repeat):
            ways *= _repeats(node, length)
        total += ways
    return total


def _repeats(node: Repeat, length: int) -> float:
    most = length if node.most is UNBOUNDED else min(node.most, length)
    inner = 1.0 if isinstance(node.node, Char | Opaque) else _work((((node.node,)),), length)
    if inner <= 1.0:
        return max(1.0, most - node.least + 1) + (node.least if node.least < length else length)
    if most > 64 or inner**most > 1e12:
        return float("inf")
    return inner**most
