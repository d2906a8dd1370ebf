"""Documents parsed by pySigma: rules, filters, correlations. Every error is collected and stops no other rule."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import yaml
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.policy.profiles import TrustedPolicy
from sigma.rule import SigmaRule

from huntbeam.transforms.sigma.documents import Document, documents, is_sigma
from huntbeam.transforms.sigma.plan import RuleError

Data = dict[str, Any]

ANOMALY = "AnomalyRule"  # error class of the note that a document is one
DEPTH = 500  # lists and maps in each other
NODES = 200_000  # of a document once its aliases are written out
# What pySigma raises for documents that it did not expect, beside its own errors.
LIBRARY_ERRORS = (SigmaError, TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError)


class Parsed(NamedTuple):
    """One document that pySigma has accepted; `data` is what stands in it."""

    document: Document
    data: Data
    rule: SigmaRule | SigmaCorrelationRule | SigmaFilter


class Loaded(NamedTuple):
    """All documents below some paths."""

    texts: list[Document]
    rules: list[Parsed]
    correlations: list[Parsed]
    filters: list[Parsed]
    errors: list[RuleError]
    notes: list[RuleError]


def load(paths: Iterable[str | os.PathLike[str]]) -> Loaded:
    """Reads and parses what is below some paths. Raises UnusableError for a path that does not exist."""
    return parse_all(documents(paths))


def parse_all(found: Iterable[Document | RuleError]) -> Loaded:
    """Parses documents; the order stays."""
    loaded = Loaded([], [], [], [], [], [])
    file, templates = "", _Templates()
    for document in found:
        if isinstance(document, RuleError):
            loaded.errors.append(document)
            continue
        if document.file != file:
            file, templates = document.file, _Templates()
        _add(loaded, document, templates)
    return loaded


def _add(loaded: Loaded, document: Document, templates: _Templates) -> None:
    try:
        data = _data(document.text)
        if data is not None and "kind" in data and not is_sigma(data):
            reason = "it is an anomaly rule, which --anomaly_rules takes"
            loaded.notes.append(RuleError(document.file, document.line, named(data), ANOMALY, reason))
            return
        data = templates.complete(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        loaded.errors.append(_yaml_error(document, error))
        data = None
    loaded.texts.append(document)
    if data is None:
        return
    try:
        parsed = Parsed(document, data, parse(data))
    except LIBRARY_ERRORS as error:
        loaded.errors.append(told(document, data, error))
        return
    if parsed.rule.errors:
        loaded.errors.extend(told(document, data, error) for error in parsed.rule.errors)
    elif isinstance(parsed.rule, SigmaCorrelationRule):
        loaded.correlations.append(parsed)
    elif isinstance(parsed.rule, SigmaFilter):
        loaded.filters.append(parsed)
    else:
        loaded.rules.append(parsed)


def parse(data: Data) -> SigmaRule | SigmaCorrelationRule | SigmaFilter:
    """A new rule of a document, with its errors in it. Regular expressions are judged by patterns.py instead."""
    if "correlation" in data:
        return SigmaCorrelationRule.from_dict(data, collect_errors=True, policy=TrustedPolicy)
    if "filter" in data:
        return SigmaFilter.from_dict(data, collect_errors=True, policy=TrustedPolicy)
    return SigmaRule.from_dict(data, collect_errors=True, policy=TrustedPolicy)


def told(document: Document, data: Data, error: BaseException) -> RuleError:
    """An error of pySigma, or one that it did not expect."""
    return RuleError(document.file, document.line, named(data), *reason_of(error))


def reason_of(error: BaseException) -> tuple[str, str]:
    """The class and the reason of an error."""
    reason = " ".join(str(error.args[0] if error.args else "").split()) or "pySigma cannot read it"
    return type(error).__name__.removeprefix("Sigma"), reason


def named(data: Data) -> str:
    """How messages name a rule."""
    return str(data.get("id") or data.get("title") or "")


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key != "<<":
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key} stands twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)


def _data(text: str) -> Data | None:
    """What a document holds. Raises YAMLError, or ValueError for what is no rule."""
    if _too_deep(text):
        raise ValueError(f"the document is nested more than {DEPTH} deep")
    loader = _Loader(text)
    try:
        data = loader.get_single_data()
    finally:
        loader.dispose()
    if data is None:
        return None
    if not isinstance(data, dict):
        raise ValueError("the document is no map of keys and values")  # noqa: TRY004  # of a file, not of a caller
    if _size(data, {}) > NODES:
        raise ValueError("the document's aliases make it too large")
    for section in ("detection", "filter"):
        if isinstance(data.get(section), dict):
            data[section] = _spelled(data[section])
    return data


def _too_deep(text: str) -> bool:
    """Whether the loader, which is C and recursive, would end the process. Most documents cannot be, by their text."""
    if max(map(len, text.split("\n"))) + text.count("[") + text.count("{") <= DEPTH:
        return False
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def _size(node: Any, sizes: dict[int, int]) -> int:
    """How many nodes it has as a tree; a list or map that stands in several places is looked into once."""
    if not isinstance(node, dict | list):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = NODES  # of one that contains itself
        children = node.values() if isinstance(node, dict) else node
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]


def _spelled(node: Any) -> Any:
    """`utf16le` and `wide` are one modifier; pySigma knows the second name."""
    if isinstance(node, list):
        return [_spelled(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key.replace("|utf16le", "|wide") if isinstance(key, str) else key: _spelled(child)
        for key, child in node.items()
    }


class _Templates:
    """The old way to write several rules in a file: `action: global`, `reset` and `repeat`."""

    def __init__(self) -> None:
        self._global: Data = {}
        self._previous: Data = {}

    def complete(self, data: Data | None) -> Data | None:
        """The whole rule, or None for a document that is none by itself."""
        action = data.get("action") if data else None
        if data is None or action is None:
            if data is not None and self._global and "correlation" not in data and "filter" not in data:
                data = _merged(data, self._global)
            self._previous = data or self._previous
            return data
        rest = {key: value for key, value in data.items() if key != "action"}
        if action == "repeat":
            self._previous = _merged(self._previous, rest)
            return self._previous
        if action not in ("global", "reset"):
            raise ValueError(f"the action {action} is not known: global, reset and repeat are")
        self._global = rest if action == "global" else {}
        self._previous = self._global or self._previous
        return None


def _merged(below: Data, above: Data) -> Data:
    merged = copy.deepcopy(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _merged(inner if isinstance(inner, dict) else {}, value) if isinstance(value, dict) else value
    return merged


def _yaml_error(document: Document, error: Exception) -> RuleError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f" in line {document.line + mark.line}" if mark is not None else ""
    reason = f"the YAML cannot be read{where}: {' '.join(str(problem).split())}"
    return RuleError(document.file, document.line, "", "Yaml", reason)


def as_json(data: Data) -> str:
    """A document as JSON; dates as text, as pySigma takes them too."""
    return msgspec.json.encode(data).decode()


def apply_filters(rule: SigmaRule, filters: Iterable[Parsed]) -> Iterator[int]:
    """Adds the filters that are for a rule to its condition; gives their numbers."""
    for number, one in enumerate(filters):
        conditions = list(rule.detection.condition)
        if isinstance(one.rule, SigmaFilter):
            one.rule.apply_on_rule(rule)
        if rule.detection.condition != conditions:
            yield number
