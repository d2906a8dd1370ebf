"""pySigma's condition tree as an expression over atoms: what every modifier comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.modifiers import SigmaEndswithModifier, SigmaRegularExpressionModifier, SigmaStartswithModifier
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import (
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from huntbeam.transforms.sigma.expression import every, negated, some
from huntbeam.transforms.sigma.patterns import regex
from huntbeam.transforms.sigma.plan import (
    ANYWHERE,
    END,
    ONE,
    RUN,
    START,
    WHOLE,
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
)
from huntbeam.transforms.sigma.readings import fold

Intern = Callable[[Atom], int]

_INT64 = range(-(2**63), 2**63)
_WILDCARDS = {SpecialChars.WILDCARD_MULTI: RUN, SpecialChars.WILDCARD_SINGLE: ONE}


class UnsupportedError(Exception):
    """A rule asks for what cannot be matched. The message is one sentence."""

    def __init__(self, error_class: str, reason: str, source: str = "") -> None:
        super().__init__(reason)
        self.error_class = error_class
        self.reason = reason
        self.source = source


def lower(rule: SigmaRule, intern: Intern) -> Expression:
    """The condition of a rule; several conditions are alternatives. Raises UnsupportedError, and pySigma's errors."""
    conditions = [condition.parsed for condition in rule.detection.parsed_condition]
    if any(condition is None for condition in conditions):
        raise UnsupportedError("EmptyCondition", "nothing is left of the condition")
    lowering = _Lowering(intern, _anchored(rule))
    return some(lowering.tree(condition) for condition in conditions)


def field_names(rule: SigmaRule) -> frozenset[str]:
    """The fields that a rule names."""
    items = list(_items(rule))
    referred = {value.field for item in items for value in item.value if isinstance(value, SigmaFieldReference)}
    return frozenset({item.field for item in items if item.field is not None} | referred)


def selected_names(rule: SigmaRule, detection: str) -> tuple[str, ...]:
    """The fields that one detection of a rule names."""
    found = rule.detection.detections.get(detection)
    names = (item.field for item in _items_of([found] if found is not None else []))
    return tuple(dict.fromkeys(sorted(name for name in names if name is not None)))


def _items(rule: SigmaRule) -> Iterator[SigmaDetectionItem]:
    return _items_of(rule.detection.detections.values())


def _items_of(detections: Iterable[SigmaDetection]) -> Iterator[SigmaDetectionItem]:
    waiting: list[SigmaDetection | SigmaDetectionItem] = list(detections)
    while waiting:
        item = waiting.pop()
        if isinstance(item, SigmaDetection):
            waiting += item.detection_items
        else:
            yield item


def _anchored(rule: SigmaRule) -> dict[int, tuple[bool, bool]]:
    """Which regular expressions `startswith` or `endswith` binds to an end; pySigma leaves it to the backend."""
    found: dict[int, tuple[bool, bool]] = {}
    for item in _items(rule):
        ends = SigmaStartswithModifier in item.modifiers, SigmaEndswithModifier in item.modifiers
        if SigmaRegularExpressionModifier in item.modifiers and any(ends):
            found.update((id(value), ends) for value in item.value)
    return found


class _Lowering:
    def __init__(self, intern: Intern, anchored: Mapping[int, tuple[bool, bool]]) -> None:
        self._intern = intern
        self._anchored = anchored

    def tree(self, node: Any) -> Expression:
        """pySigma's node, of whatever type: its annotations are wider than what a parsed tree holds."""
        if isinstance(node, ConditionAND):
            return every(self.tree(child) for child in node.args)
        if isinstance(node, ConditionOR):
            return some(self.tree(child) for child in node.args)
        if isinstance(node, ConditionNOT):
            return negated(self.tree(node.args[0]))
        if isinstance(node, ConditionFieldEqualsValueExpression):
            return self._value(node.field, node.value)
        if isinstance(node, ConditionValueExpression):
            return self._value(None, node.value)
        raise UnsupportedError("Unsupported", f"a condition of type {type(node).__name__} is not known")

    def _value(self, field: str | None, value: Any) -> Expression:
        if isinstance(value, SigmaExpansion):
            return some(self._value(field, one) for one in value.values)
        if isinstance(value, SigmaExists):
            exists = self._intern(Exists(_named(field, "exists")))
            return exists if value.exists else Not(exists)
        return self._intern(self._atom(field, value))

    def _atom(self, field: str | None, value: Any) -> Atom:
        if isinstance(value, SigmaString):
            return _text(field, value)
        if isinstance(value, SigmaRegularExpression):
            return self._regex(field, value)
        if isinstance(value, SigmaCompareExpression):
            return _compare(field, value.number, value.op.name.lower())
        if isinstance(value, SigmaTimestampPart):  # before SigmaNumber, which it is too
            return _compare(field, value, "eq")
        if isinstance(value, SigmaNumber):
            return Literal(None, str(value), ANYWHERE, False) if field is None else Number(field, _number(value.number))
        if isinstance(value, SigmaBool):
            return Literal(field, str(value).lower(), WHOLE if field else ANYWHERE, False)
        if isinstance(value, SigmaCIDRExpression):
            return Cidr(field, str(value.network))
        if isinstance(value, SigmaNull):
            return Null(_named(field, "null"))
        if isinstance(value, SigmaFieldReference):
            return Reference(_named(field, "fieldref"), value.field, value.starts_with, value.ends_with)
        raise UnsupportedError("Unsupported", f"a value of type {type(value).__name__} cannot be matched")

    def _regex(self, field: str | None, value: SigmaRegularExpression) -> Regex:
        pattern = "".join(_spelled(part) for part in value.regexp.s)
        start, end = self._anchored.get(id(value), (False, False))
        if start or end:
            pattern = (r"\A" if start else "") + f"(?:{pattern})" + ("$" if end else "")
        flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
        try:
            regex(pattern, flags)
        except ValueError as error:
            raise UnsupportedError("RegularExpression", str(error)) from error
        return Regex(field, pattern, flags)


def _spelled(part: str | SpecialChars | Placeholder) -> str:
    """pySigma splits regular expressions at `*` and `?` too."""
    if isinstance(part, Placeholder):
        raise _unfilled(part)
    if isinstance(part, SpecialChars):
        return "*" if part == SpecialChars.WILDCARD_MULTI else "?"
    return part


def _unfilled(part: Placeholder) -> UnsupportedError:
    reason = f"the placeholder %{part.name}% has no value: give one below `vars` in a pipeline"
    return UnsupportedError("Placeholder", reason)


def _named(field: str | None, what: str) -> str:
    if field is None:
        raise UnsupportedError("Unsupported", f"`{what}` needs a field")
    return field


def _number(number: float) -> int | float:
    return float(number) if isinstance(number, int) and number not in _INT64 else number


def _compare(field: str | None, number: SigmaNumber, op: str) -> Compare:
    part = number.timestamp_part.name.lower() if isinstance(number, SigmaTimestampPart) else None
    return Compare(field, part, op, _number(number.number))


def _text(field: str | None, value: SigmaString) -> Literal | Glob:
    cased = isinstance(value, SigmaCasedString)
    parts = _parts(value, cased)
    if field is None:  # a keyword is looked for in the whole of a value
        parts = [*([] if parts[:1] == [RUN] else [RUN]), *parts, *([] if parts[-1:] == [RUN] else [RUN])]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) > 1 or ONE in parts:
        return Glob(field, tuple(parts), cased)
    text = texts[0] if texts else ""
    if not parts or parts == texts:
        return Literal(field, text, WHOLE, cased)
    start, end = parts[-1] == RUN, parts[0] == RUN
    return Literal(field, text, ANYWHERE if start and end else START if start else END, cased)


def _parts(value: SigmaString, cased: bool) -> list[str | int]:
    parts: list[str | int] = []
    for part in value.s:
        if isinstance(part, Placeholder):
            raise _unfilled(part)
        if isinstance(part, SpecialChars):
            if not (part == SpecialChars.WILDCARD_MULTI and parts[-1:] == [RUN]):
                parts.append(_WILDCARDS[part])
            continue
        text = part if cased else fold(part)
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)
    return parts
