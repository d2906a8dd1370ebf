"""docs/detections.md: the rules that come with HuntBeam, in one table. A test keeps it true."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from huntbeam.rules import BUILTIN
from huntbeam.runners.all_rules import all_rules
from huntbeam.runners.rule_facts import LEVELS, Fact

_HEAD = """\
# Our own detections

`huntbeam replay --rules builtin: --anomaly_rules builtin:` (and `stream`) run them; they come with the package, in its
folder `rules/`, each with samples on which it must find something and others on which it must not
(`huntbeam rules test builtin:`, [rules.md](rules.md)). Kind `rule` looks at one event; the kinds of correlations are
Sigma's; the others are those of [anomalies.md](anomalies.md). A source that is needed but not there finds nothing, and
is no error: of Security and System the audit policy has to be on, of Sysmon events 1 and 3.

| level | rule | kind | what it finds | ATT&CK | needs |
| --- | --- | --- | --- | --- | --- |
"""
_SPECIAL = re.compile(r"([\\|<*])")


def markdown() -> str:
    """The page."""
    found = [fact for fact in all_rules([BUILTIN]).facts if fact.alerts]
    return _HEAD + "".join(_lines(sorted(found, key=lambda fact: (LEVELS.index(fact.level), fact.title))))


def _lines(found: list[Fact]) -> Iterator[str]:
    for fact in found:
        cells = (
            fact.level,
            fact.title,
            fact.kind,
            fact.description,
            ", ".join(fact.techniques),
            ", ".join(fact.sources),
        )
        shown = " | ".join(_SPECIAL.sub(r"\\\1", cell) for cell in cells)
        yield f"| {shown} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
