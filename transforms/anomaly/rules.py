"""Rules of anomalies from YAML files: one document a rule, as Sigma's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from huntbeam.schemas.anomaly import (
    COUNT,
    DISTINCT,
    SUM,
    AnomalyRule,
    Beacon,
    Deviation,
    FirstSeen,
    Rare,
    Ratio,
    Threshold,
)
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.window import Counter
from huntbeam.transforms.files import content
from huntbeam.transforms.sigma.documents import is_sigma
from huntbeam.transforms.sigma.rule_files import SUFFIXES

LARGEST = 1_048_576  # bytes of a rule file


class AnomalyRuleError(UnusableError):
    """A rule file cannot be used. The message names the file and, where it is one, the document and the field."""


class Placed(NamedTuple):
    """A rule and where it stands."""

    file: str
    number: int  # of the document, from 1
    rule: AnomalyRule

    @property
    def place(self) -> str:
        """As messages name it."""
        return f"{self.file}: rule {self.number}"


def load_rules(paths: Iterable[str | Path], counters: Sequence[Counter]) -> tuple[AnomalyRule, ...]:
    """The rules of files and folders, in their order. Raises AnomalyRuleError."""
    return tuple(placed.rule for placed in placed_rules(paths, counters))


def placed_rules(paths: Iterable[str | Path], counters: Sequence[Counter], *, mixed: bool = False) -> list[Placed]:
    """The same, with their places. Sigma's documents in a folder are passed over, if `mixed` in files, too.

    Raises AnomalyRuleError.
    """
    found: dict[str, Placed] = {}
    for path in paths:
        for file in rule_files(path):
            for placed in parse_rules(_read(file), str(file), mixed=mixed or Path(path).is_dir()):
                check_rule(placed.rule, counters, placed.place)
                first = found.setdefault(placed.rule.id, placed)
                if first is not placed:
                    raise AnomalyRuleError(
                        f"{placed.place}: id: the rule {first.rule.name!r} has it, too; give it its own"
                    )
    return list(found.values())


def rule_files(path: str | Path) -> Sequence[str | Path]:
    """A file, also one in a bucket, or the YAML files of a folder and of those in it, sorted."""
    top = Path(path)
    if not top.is_dir():
        return [path]
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(top)  # links to folders are not followed: no rule twice, no end of it
        for name in names
        if name.lower().endswith(SUFFIXES)
    )


def parse_rules(content: bytes, name: str, *, mixed: bool = False) -> Iterator[Placed]:
    """The rules of one file; where Sigma's may stand, too, those are passed over. Raises AnomalyRuleError."""
    number = 0
    try:
        for document in yaml.safe_load_all(content):
            if document is not None:
                number += 1
                if not (mixed and isinstance(document, dict) and is_sigma(document)):
                    yield Placed(name, number, _convert(document, f"{name}: rule {number}"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise AnomalyRuleError(f"{name} is no YAML after rule {number}: {_one_line(error)}; mend it") from error
    except RecursionError:
        raise AnomalyRuleError(f"{name} is nested too deeply after rule {number}; a rule is flat") from None


def check_rule(rule: AnomalyRule, counters: Sequence[Counter], place: str) -> None:
    """Whether a rule fits the counters that there are. Raises AnomalyRuleError that begins with `place`."""
    if isinstance(rule, Beacon):
        return
    known = {counter.name: counter for counter in counters}
    counter = known.get(rule.counter)
    if counter is None:
        raise AnomalyRuleError(f"{place}: counter: there is no counter {rule.counter}; there is {', '.join(known)}")
    if isinstance(rule, FirstSeen | Rare):
        return
    measures = (COUNT, *(DISTINCT + name for name in counter.distinct), *(SUM + name for name in counter.sum))
    for field, measure in (("measure", rule.measure), *([("by", rule.by)] if isinstance(rule, Ratio) else [])):
        if measure not in measures:
            raise AnomalyRuleError(f"{place}: {field}: {rule.counter} has no {measure}; it has {', '.join(measures)}")
    if isinstance(rule, Deviation) and rule.min_history > rule.windows:
        raise AnomalyRuleError(
            f"{place}: min_history: it is more than the {rule.windows} windows; choose at most these"
        )


def _convert(document: Any, place: str) -> AnomalyRule:
    try:
        rule: AnomalyRule = msgspec.convert(document, _RULE)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`")
        raise AnomalyRuleError(f"{place}: {field}: {what}" if field else f"{place}: {what}") from error
    return rule


_RULE: Any = Threshold | Deviation | Ratio | FirstSeen | Rare | Beacon


def _read(path: str | Path) -> bytes:
    try:
        found = content(str(path), LARGEST)
    except OSError as error:
        raise AnomalyRuleError(f"{path} cannot be read ({error.strerror}): check the path") from error
    if len(found) > LARGEST:
        raise AnomalyRuleError(f"{path} has more than {LARGEST:,} bytes: is it a file of rules?")
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
