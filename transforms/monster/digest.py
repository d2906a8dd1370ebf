"""What a batch of Monster Agent's records becomes: documents, alerts, dead letters. Pure and Beam-free."""

from __future__ import annotations

import re
from fnmatch import translate

import msgspec

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.schemas.monster_layouts import Order
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.feeding import Feeding, internal, whole_lines
from huntbeam.transforms.monster.detect import MonsterDetector
from huntbeam.transforms.monster.parse import parse
from huntbeam.transforms.monster.signers import Signers, Trust
from huntbeam.transforms.read import Block
from huntbeam.transforms.sigma.watch import Watch

PROVIDER = "Monster Agent"  # in the summary, where others have a provider's name


class MonsterPlan(msgspec.Struct, frozen=True, tag="monster"):
    """What is wanted of a record of Monster Agent."""

    order: Order = Order.CONF
    trust: Trust = Trust()
    since: str | None = None  # event time as rows hold it, inclusive
    until: str | None = None  # exclusive
    hosts: tuple[str, ...] = ()  # lower case, * and ? match; none: all
    rules: bytes = b""  # packed Sigma rules; none: no alerts
    watch: Watch | None = None  # where the rules are looked for again; none: they stay as they are


class MonsterDigest(Feeding):
    """Feeds on blocks and records, gives up what they became by take()."""

    def __init__(self, plan: MonsterPlan) -> None:
        self._plan = plan
        self._signers = Signers(plan.trust)
        self._hosts = [re.compile(translate(h)) for h in plan.hosts]
        self._detector = MonsterDetector(plan.rules, plan.watch) if plan.rules else None
        self._counts: dict[int, int] = {}
        self._tallies: dict[str, int] = {}
        self._out = Digested()
        self.renew()

    def renew(self) -> None:
        """Takes up the rules that are in force now. Of use between batches, where rules can change while it runs."""
        if self._detector is not None:
            for name, count in self._detector.renew().items():
                self._tallies[name] = self._tallies.get(name, 0) + count

    def record(
        self,
        raw: bytes,
        source: str,
        index: int,  # noqa: ARG002 - of the file: copies are not told apart
        position: int | None,
        partition: int | None = None,
    ) -> None:
        """One record as it came."""
        self._record(raw, raw, source, position, partition)

    def size(self) -> int:
        """How many rows take() would give."""
        out = self._out
        return len(out.monster) + len(out.alerts) + len(out.hits) + len(out.dead_letters)

    def take(self) -> Digested:
        """What came of everything fed since the last time."""
        out = self.take_rows()
        out.tallies, self._tallies = self._tallies, {}
        out.pairs = [(PROVIDER, event_id, count) for event_id, count in self._counts.items()]
        self._counts = {}
        return out

    def take_rows(self) -> Digested:
        """As take(), but what is only counted stays."""
        out, self._out = self._out, Digested()
        return out

    def _block(self, block: Block, source: str, index: int) -> None:  # noqa: ARG002
        for position, line, original in whole_lines(block):
            self._record(line, original, source, position, None)

    def _record(self, raw: bytes, original: bytes, source: str, position: int | None, partition: int | None) -> None:
        if not raw or raw.isspace():
            self._tally("blank_lines")
            return
        try:
            event = parse(raw, self._plan.order, self._signers)
            if self._wanted(event):
                self._out.monster.append(event)
                if self._detector is not None:
                    self._detect(self._detector, event)
            self._counts[event.EventID] = self._counts.get(event.EventID, 0) + 1
        except RecordError as error:
            self._refuse(error, original, source, position, partition)
        except Exception as error:  # one record must never stop a run; the tests allow none of these
            self._refuse(internal(error), original, source, position, partition)

    def _detect(self, detector: MonsterDetector, event: MonsterEvent) -> None:
        found = detector.find(event)
        if found is not None:
            self._out.alerts += found.alerts
            self._out.hits += found.hits
            if found.timeless:
                self._tallies["no_time_to_correlate"] = self._tallies.get("no_time_to_correlate", 0) + found.timeless

    def _wanted(self, event: MonsterEvent) -> bool:
        if self._hosts and not any(h.match((event.host_key or "").lower()) for h in self._hosts):
            self._tally("outside_host")
            return False
        if event.time is None:
            self._tally("no_event_time")
        since, until, time = self._plan.since, self._plan.until, event.time
        if since is None and until is None:
            return True
        if time is None or (since is not None and time < since) or (until is not None and time >= until):
            self._tally("outside_time")
            return False
        return True
