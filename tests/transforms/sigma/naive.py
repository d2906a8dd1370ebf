"""The oracle: closures over pySigma's own condition tree, one field at a time, nothing shared with the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.rule import SigmaRule
from sigma.types import (
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

from huntbeam.transforms.sigma import pipelines
from huntbeam.transforms.sigma.load import Loaded, Parsed, apply_filters, parse

Fields = Mapping[str, Any]
Evaluator = Callable[[Fields], bool]
ANY = SpecialChars.WILDCARD_MULTI


def evaluators(loaded: Loaded) -> Iterator[tuple[Parsed, Evaluator]]:
    """Each rule for Windows, on each of its sources."""
    mapped = (pipelines.sysmon(), pipelines.windows())
    for parsed in loaded.rules:
        if parsed.data["logsource"].get("product") != "windows":
            continue
        category = parsed.data["logsource"].get("category")
        for pipeline in mapped if category else mapped[1:]:
            rule = parse(parsed.data)
            assert isinstance(rule, SigmaRule)
            list(apply_filters(rule, loaded.filters))
            pipeline.apply(rule)
            if not category or rule.logsource.service:
                yield parsed, evaluator(rule)


def evaluator(rule: SigmaRule) -> Evaluator:
    trees = [tree(condition.parsed) for condition in rule.detection.parsed_condition]
    return lambda fields: any(one(fields) for one in trees)


def tree(node: Any) -> Evaluator:
    if isinstance(node, ConditionAND):
        return every([tree(child) for child in node.args])
    if isinstance(node, ConditionOR):
        children = [tree(child) for child in node.args]
        return lambda fields: any(child(fields) for child in children)
    if isinstance(node, ConditionNOT):
        inner = tree(node.args[0])
        return lambda fields: not inner(fields)
    field = node.field if isinstance(node, ConditionFieldEqualsValueExpression) else None
    return leaf(field, node.value)


def every(children: Sequence[Evaluator]) -> Evaluator:
    def found(fields: Fields) -> bool:
        for child in children:  # noqa: SIM110  # the oracle is slow enough
            if not child(fields):
                return False
        return True

    return found


def leaf(field: str | None, value: Any) -> Evaluator:
    if isinstance(value, SigmaExpansion):
        children = [leaf(field, one) for one in value.values]
        return lambda fields: any(child(fields) for child in children)
    if isinstance(value, SigmaExists):
        return lambda fields: (field in fields) == value.exists
    if isinstance(value, SigmaNull):
        return lambda fields: not read(fields, field)
    if isinstance(value, SigmaFieldReference):
        return lambda fields: any(
            referred(plain(mine), plain(other), value)
            for mine in read(fields, field)
            for other in read(fields, value.field)
        )
    test = text_test(value, keyword=field is None)

    def found(fields: Fields) -> bool:
        one = fields.get(field) if field else None
        return test(one) if type(one) is str else any(map(test, read(fields, field)))

    return found


def referred(mine: str, other: str, value: SigmaFieldReference) -> bool:
    if value.starts_with and value.ends_with:
        return other in mine
    if value.starts_with:
        return mine.startswith(other)
    return mine.endswith(other) if value.ends_with else mine == other


def text_test(value: Any, keyword: bool) -> Callable[[str], bool]:
    if isinstance(value, SigmaString):
        cased = isinstance(value, SigmaCasedString)
        parts = [part if cased or not isinstance(part, str) else plain(part) for part in value.s]
        test = string_test([ANY, *parts, ANY] if keyword else parts)
        return test if cased else lambda text: test(plain(text))
    if isinstance(value, SigmaRegularExpression):
        return regex_test(value)
    if isinstance(value, SigmaCompareExpression):
        return lambda text: compared(text, value)
    if isinstance(value, SigmaTimestampPart):
        return lambda text: part(text, value.timestamp_part.name) == value.number
    if isinstance(value, SigmaNumber):
        return (lambda text: str(value) in text) if keyword else (lambda text: numeric(text) == value.number)
    if isinstance(value, SigmaBool):
        wanted_text = "true" if value.boolean else "false"
        return lambda text: wanted_text in plain(text) if keyword else wanted_text == plain(text)
    assert isinstance(value, SigmaCIDRExpression), value
    return lambda text: (found := address(text)) is not None and found in value.network


def string_test(parts: Sequence[Any]) -> Callable[[str], bool]:
    """The three plain cases by hand, for speed; the rest letter by letter."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return lambda text: text == parts[0]
    if len(parts) == 2 and parts[0] == ANY and isinstance(parts[1], str):
        return lambda text: text.endswith(parts[1])
    if len(parts) == 3 and parts[0] == parts[2] == ANY and isinstance(parts[1], str):
        return lambda text: parts[1] in text
    wanted = [char for part in parts for char in (part if isinstance(part, str) else [part])]
    return lambda text: like(wanted, text)


def regex_test(value: SigmaRegularExpression) -> Callable[[str], bool]:
    pattern = "".join(part if isinstance(part, str) else "*" if part == ANY else "?" for part in value.regexp.s)
    flags = sum((value.sigma_to_python_flags[flag] for flag in value.flags), re.RegexFlag(0))
    found = re.compile(pattern, flags)
    return lambda text: found.search(text) is not None


def read(fields: Fields, field: str | None) -> list[str]:
    values: Iterable[Any] = fields.values() if field is None else [fields.get(field)]
    return [text for value in values for text in spelled(value)]


def spelled(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for element in value if element is not None for text in spelled_one(element)]
    return spelled_one(value)


def spelled_one(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, float) and value == int(value):
        return [str(int(value))]
    return [json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)]


def folded(char: Any) -> Any:
    """Unicode's simple folding of one character, then the small letter: Cherokee folds the other way round."""
    if not isinstance(char, str):
        return char
    for candidate in (char.casefold(), char.lower()):
        if len(candidate) == 1:
            return candidate.lower() if len(candidate.lower()) == 1 else candidate
    return char


@lru_cache(maxsize=4_096)
def plain(text: str) -> str:
    return "".join(map(folded, text))


def like(wanted: Sequence[Any], text: str) -> bool:
    """Wildcards the textbook way: on a mismatch the last `*` takes one character more."""
    at = position = 0
    star: int | None = None
    mark = 0
    while position < len(text):
        if at < len(wanted) and wanted[at] == ANY:
            star, mark, at = at, position, at + 1
        elif at < len(wanted) and (wanted[at] == SpecialChars.WILDCARD_SINGLE or wanted[at] == text[position]):
            at, position = at + 1, position + 1
        elif star is not None:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(one == ANY for one in wanted[at:])


def numeric(text: str) -> float | None:
    stripped = text.strip()
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", stripped):
        found = int(stripped, 16)
        return found if found < 2**63 else None
    if re.fullmatch(r"[+-]?[0-9]{1,19}", stripped) and -(2**63) <= int(stripped) < 2**63:
        return int(stripped)
    return float(stripped) if re.fullmatch(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?", stripped) and len(text) < 96 else None


def compared(text: str, value: SigmaCompareExpression) -> bool:
    number = value.number
    found = part(text, number.timestamp_part.name) if isinstance(number, SigmaTimestampPart) else numeric(text)
    if found is None:
        return False
    limit = number.number
    return {"LT": found < limit, "LTE": found <= limit, "GT": found > limit, "GTE": found >= limit}[value.op.name]


def part(text: str, name: str) -> int | None:
    try:
        when = datetime.strptime(text.strip()[:16].replace("T", " "), "%Y-%m-%d %H:%M")  # as written
    except ValueError:
        return None
    return when.isocalendar()[1] if name == "WEEK" else int(getattr(when, name.lower()))


def address(text: str) -> Any:
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
