"""Samples of rules: files of events that a rule must find something in, or must not.

A sample is called `KEY.fires.ndjson` or `KEY.silent.ndjson`; `KEY.baseline.ndjson` has the usual events, by which a
rule of the kind `rare` judges. KEY is the id of the rule, or the name of its file without the suffix: then it is of all
rules of that file that have none by id. A note may stand before the suffix (`KEY.fires.4688.ndjson`): a rule may have
several. Suffixes are those of what a replay reads. Samples lie beside the rule, or anywhere below --samples.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from huntbeam.runners.rule_facts import Fact
from huntbeam.schemas.errors import UnusableError

FIRES, SILENT, BASELINE = "fires", "silent", "baseline"
_NAME = re.compile(
    rf"(?P<key>.+)\.(?P<verdict>{FIRES}|{SILENT}|{BASELINE})(?:\.[^.]+)?\.(?:ndjson|jsonl|json|evtx)(?:\.gz)?"
)


class Samples(NamedTuple):
    """The samples of a rule."""

    fires: tuple[Path, ...] = ()
    silent: tuple[Path, ...] = ()
    baseline: tuple[Path, ...] = ()


class Found(NamedTuple):
    """A file that is a sample."""

    key: str
    verdict: str
    path: Path


class SampleFiles:
    """The samples beside rules and below some folders. Raises UnusableError for a folder that is not there."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._below: list[Found] = []
        self._beside: dict[Path, list[Found]] = {}
        for folder in folders:
            if not Path(folder).is_dir():
                raise UnusableError(f"--samples {folder}: there is no such folder; name one with samples")
            self._below += _named(Path(at, name) for at, _, names in os.walk(folder) for name in names)

    def of(self, fact: Fact) -> Samples:
        """A rule's samples: those by its id, else those by its file."""
        file = Path(fact.file)
        near = [*self._near(file.parent), *self._below]
        for key in (fact.id, file.stem):
            mine = sorted({one for one in near if one.key == key})
            if mine:
                by = {verdict: tuple(one.path for one in mine if one.verdict == verdict) for verdict in Samples._fields}
                return Samples(**by)
        return Samples()

    def _near(self, folder: Path) -> list[Found]:
        if folder not in self._beside:
            self._beside[folder] = _named(folder.iterdir()) if folder.is_dir() else []
        return self._beside[folder]


def _named(paths: Iterable[Path]) -> list[Found]:
    found = ((path, _NAME.fullmatch(path.name)) for path in paths)
    return [Found(name["key"], name["verdict"], path) for path, name in found if name is not None]
