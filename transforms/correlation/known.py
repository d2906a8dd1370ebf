"""The correlations in force: what the steps of a running job ask, each time, since a job may be given other rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from huntbeam.schemas.correlation import Correlation

DEEPEST = 4  # of a correlation; on the stream each depth is a step of its own


class Known(Protocol):
    """Correlations by what they are known by. It is asked when something is done, never kept."""

    @property
    def ruleset(self) -> str:
        """Hash of all rules that are in force."""

    def find(self, rule_id: str, version: str) -> Correlation | None:
        """The correlation of this id and version; None: it is not in force, no longer or not yet."""

    def naming(self, rule_id: str, version: str) -> Sequence[Correlation]:
        """The correlations that name one of this id and version."""

    def timespan_ms(self, rule_id: str) -> int:
        """The timespan of the correlation that has this id now; 0 where none has it."""


class FixedCorrelations:
    """Known of a run whose rules stay as they are."""

    def __init__(self, correlations: Iterable[Correlation] = (), ruleset: str = "") -> None:
        self.correlations = tuple(correlations)
        self.ruleset = ruleset
        self._by_id = {one.rule_id: one for one in self.correlations}
        self._naming: dict[str, list[Correlation]] = {}
        for one in self.correlations:
            for reference in one.references:
                self._naming.setdefault(reference.rule, []).append(one)

    def find(self, rule_id: str, version: str) -> Correlation | None:
        """See Known."""
        found = self._by_id.get(rule_id)
        return found if found is not None and found.version == version else None

    def naming(self, rule_id: str, version: str) -> Sequence[Correlation]:
        """See Known."""
        return self._naming.get(rule_id, ()) if self.find(rule_id, version) is not None else ()

    def timespan_ms(self, rule_id: str) -> int:
        """See Known."""
        return self._by_id[rule_id].timespan_ms if rule_id in self._by_id else 0

    def naming_rule(self, rule_id: str) -> Sequence[Correlation]:
        """The correlations that name a rule on events, which has no version of its own."""
        return self._naming.get(rule_id, ())

    @property
    def depths(self) -> int:
        """How many depths there are: each needs the alerts of those before it."""
        return max((one.depth + 1 for one in self.correlations), default=0)
