"""A second opinion on rules, for tests and the benchmark: pySigma's SQLite backend, over a table of events."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sigma.backends.sqlite.sqlite import sqliteBackend
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from huntbeam.transforms.sigma import pipelines
from huntbeam.transforms.sigma.load import Loaded, parse
from huntbeam.transforms.sigma.readings import texts

KEYWORDS = "all_of_the_event"
SEPARATOR = "\x1f"


class Query(NamedTuple):
    """A rule on one of its sources."""

    rule: str
    texts: list[str]
    fields: frozenset[str]


class Table:
    """Events as rows: each field a column of text without (ASCII's) case, and all values of the event as one text."""

    def __init__(self, events: Sequence[Mapping[str, Any]], fields: Iterable[str]) -> None:
        self.columns = sorted({name.lower() for event in events for name in event} | {name.lower() for name in fields})
        self.columns = [name for name in self.columns if name != KEYWORDS]
        self.connection = sqlite3.connect(":memory:")
        self.connection.create_function("REGEXP", 2, _regexp, deterministic=True)
        declared = ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in self.columns)
        self.connection.execute(f"CREATE TABLE logs (number INTEGER, {KEYWORDS} TEXT COLLATE NOCASE, {declared})")
        marks = ", ".join("?" * (len(self.columns) + 2))
        for number, event in enumerate(events):
            first = {name.lower(): text for name, value in event.items() for text in texts(value)[:1]}
            whole = SEPARATOR.join(text for value in event.values() for text in texts(value))
            row = [number, whole, *(first.get(name) for name in self.columns)]
            self.connection.execute(f"INSERT INTO logs VALUES ({marks})", row)  # noqa: S608  # question marks

    def hits(self, query: Query) -> set[int]:
        """The numbers of the events that a query selects."""
        selected = [text.replace("SELECT *", "SELECT number", 1) for text in query.texts]
        return {number for text in selected for (number,) in self.connection.execute(text)}


def queries(loaded: Loaded) -> tuple[list[Query], dict[str, str]]:
    """The rules on their sources; and those that the backend cannot express, with its reason."""
    found: list[Query] = []
    refused: dict[str, str] = {}
    for parsed in loaded.rules:
        source = parsed.data["logsource"]
        if source.get("product") != "windows":
            continue
        for pipeline in (pipelines.sysmon(), pipelines.windows()) if source.get("category") else (pipelines.windows(),):
            rule = parse(parsed.data)
            assert isinstance(rule, SigmaRule)
            made: Any = sqliteBackend  # it has no annotations
            backend = made(processing_pipeline=pipeline, fulltext_field=KEYWORDS)
            try:
                texts = backend.convert_rule(rule)
            except (SigmaError, NotImplementedError) as error:
                refused[str(rule.id)] = f"{type(error).__name__}: {error}"
                continue
            if not source.get("category") or rule.logsource.service:
                found.append(Query(str(rule.id), texts, frozenset(backend.required_fields(rule))))
    return found, refused


def _regexp(pattern: str, text: str | None) -> bool:
    return text is not None and re.search(pattern, text) is not None
