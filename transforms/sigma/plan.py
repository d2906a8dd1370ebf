"""The compiled form of rules: typed, without anything of pySigma, packed as msgpack. Nothing in it is code.

A rule's condition is an expression over atoms. An atom asks one thing of one field; rules share atoms. None of the
records can refer back to itself, so the collector of cycles need not look at them.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from huntbeam.schemas.correlation import Correlation as Settings
from huntbeam.schemas.errors import UnusableError

HEAD = b"huntbeam-sigma\x05"  # the last byte counts the versions of the records below

WHOLE, START, END, ANYWHERE = "whole", "start", "end", "anywhere"
RUN, ONE = 0, 1  # the wildcards of a Glob: any characters, exactly one


class Literal(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="literal"):
    """A text stands in the value, at a place. Without `cased` the text is folded, and so is the value."""

    field: str | None  # None, here and below: any value of the event
    text: str
    at: str
    cased: bool


class Glob(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="glob"):
    """The whole value is texts with wildcards between them."""

    field: str | None
    parts: tuple[str | int, ...]
    cased: bool


class Regex(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="regex"):
    """A regular expression is found in the value. Flags: i, m, s."""

    field: str | None
    pattern: str
    flags: str


class Number(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="number"):
    """The value, as a number or as the text of one, equals a number."""

    field: str | None
    value: int | float


class Compare(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="compare"):
    """The value as a number, or a part of it as a time, compared with a number: eq, lt, lte, gt, gte."""

    field: str | None
    part: str | None
    op: str
    value: int | float


class Cidr(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="cidr"):
    """The value is an address in a network."""

    field: str | None
    network: str


class Null(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="null"):
    """The field is missing or has no value but null; an empty text is a value."""

    field: str


class Exists(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="exists"):
    """The event has the field, whatever its value."""

    field: str


class Reference(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="reference"):
    """The value is, starts with, ends with or (both) contains the value of another field, without case."""

    field: str
    other: str
    start: bool
    end: bool


Atom: TypeAlias = Literal | Glob | Regex | Number | Compare | Cidr | Null | Exists | Reference


class All(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="all"):
    """Every one of them holds; of none: true."""

    of: tuple[Expression, ...]


class Some(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="some"):
    """At least one of them holds; of none: false."""

    of: tuple[Expression, ...]


class Not(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="not"):
    """It does not hold."""

    of: Expression


Expression: TypeAlias = int | All | Some | Not  # a number is the index of an atom

TRUE, FALSE = All(()), Some(())


class Needs(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a condition needs of an event, as far as it looks values up; see needs.py and prepare.py."""

    atoms: tuple[int, ...]  # literals and numbers
    witnesses: tuple[int, ...] | None  # of which one is true whenever the condition holds; None: it has none


class Variant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rule on one source of events."""

    source: str  # as messages name it: `Sysmon 1`, `Security 4688`, `Windows`
    channels: tuple[str, ...] | None  # folded; only events of these can match, None: of any
    event_ids: tuple[int, ...] | None
    condition: Expression
    without: tuple[str, ...]  # fields of the rule that events of the source do not have
    names: dict[str, tuple[str, ...]] = {}  # what correlations ask for and the source calls otherwise
    context: dict[int, tuple[str, ...]] = {}  # by Sysmon event id those that the context of the process gives
    needs_context: bool = False  # it cannot be true without
    needs: Needs | None = None  # None: it is for several kinds of events, or nobody has looked


class Rule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rule as alerts show it, and how it is matched. Its index in the set is what the matcher puts out."""

    id: str  # its own, else one made from its text
    name: str | None
    title: str
    description: str | None
    level: str | None
    status: str | None
    author: str | None  # who wrote it, and under which licence: both go where the rule goes
    license: str | None
    tags: tuple[str, ...]
    references: tuple[str, ...]
    falsepositives: tuple[str, ...]
    fields: tuple[str, ...]
    category: str | None
    service: str | None
    file: str
    line: int
    alerts: bool  # false: it only feeds correlations that say `generate: false`
    variants: tuple[Variant, ...]


class Correlation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A correlation rule."""

    settings: Settings
    file: str
    line: int
    description: str | None


class RuleError(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rule that is not in the set, or one that is but with a limit, and why."""

    file: str
    line: int  # where the rule's document begins, from 1
    rule: str  # its id, else its title, else nothing
    error_class: str  # one word for machines
    reason: str  # one sentence
    source: str = ""  # the events that it is about, where it is about some: Security 4688


class RuleSet(msgspec.Struct, frozen=True):
    """All that a matcher needs, and what became of every rule."""

    digest: str  # of the rules' texts, the pipelines and the versions
    rules: tuple[Rule, ...]
    atoms: tuple[Atom, ...]
    correlations: tuple[Correlation, ...] = ()
    errors: tuple[RuleError, ...] = ()
    notes: tuple[RuleError, ...] = ()
    requires: dict[int, int] = {}  # by atom the literal that is true whenever it is

    def pack(self) -> bytes:
        """The bytes that are kept in a file or sent to workers."""
        return HEAD + _encode(self)

    @classmethod
    def unpack(cls, packed: bytes) -> RuleSet:
        """The set. Raises UnusableError for what is none, or of another version."""
        if packed[: len(HEAD)] != HEAD:
            raise UnusableError("this is no compiled rule set of this version: compile the rules again")
        try:
            return _decode(memoryview(packed)[len(HEAD) :])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise UnusableError("the compiled rule set is damaged: compile the rules again") from error


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RuleSet).decode
