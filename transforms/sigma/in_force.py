"""The rules that a process works with. All of its steps ask one object, whose answer changes when the files do.

A thread looks at the files' names, sizes and times, has them compiled aside (renewal.py), makes the new detector ready
and puts it in the old one's place by one assignment. A version that cannot be used leaves the old one in force.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from weakref import ReferenceType, WeakValueDictionary, ref

from msgspec.structs import replace

from huntbeam.schemas.correlation import Correlation
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.sigma.alerts import Detector
from huntbeam.transforms.sigma.enrichment import within
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.verdicts import refusal, running
from huntbeam.transforms.sigma.watch import Watch

RELOADED, REFUSED = "rules_reloaded", "rules_refused"  # what news() counts
_SETTLES = 2.0  # seconds without a further change: a folder that is copied is there by then
_TRIES = 5

_log = logging.getLogger(__name__)


class InForce:
    """A rule set at work. `generation` is how many were in force in this process before it."""

    def __init__(self, generation: int, rules: RuleSet, enrich: frozenset[int] = frozenset()) -> None:
        self.generation = generation
        self.rules = rules
        self._enrich = enrich
        self.correlations = _correlations(rules)
        self._lock = threading.Lock()
        self._detector: Detector | None = None

    @property
    def made(self) -> bool:
        """Whether anyone has asked for the detector."""
        return self._detector is not None

    @property
    def detector(self) -> Detector:
        """Shared by threads; made for the first that asks, as one of thousands of rules takes a second."""
        with self._lock:
            if self._detector is None:
                self._detector = Detector(self.rules, self._enrich)
            return self._detector


class RulesInForce:
    """The rules of a job in this process. Any thread may ask; one alone, the watcher's, calls look()."""

    def __init__(self, rules: RuleSet, watch: Watch | None = None, enrich: frozenset[int] = frozenset()) -> None:
        self._enrich = enrich
        self._now = InForce(0, rules, enrich)
        self._watch = watch
        self._seen = watch.seen if watch else ""
        self._looked = False
        self._lock = threading.Lock()
        self._news: Counter[str] = Counter()

    def current(self) -> InForce:
        """What is in force now. With another generation what was concluded from the old one is to be renewed."""
        return self._now

    def news(self) -> Counter[str]:
        """How often rules were reloaded and refused since the last time that anyone asked."""
        with self._lock:
            news, self._news = self._news, Counter()
        return news

    def look(self) -> None:
        """Takes up what has changed since the last look; returns when it is in force, or refused and said so."""
        watch = self._watch
        if watch is None:
            return
        before, first, self._looked = self._seen, not self._looked, True
        try:
            self._seen = self._settled(watch)
        except UnusableError as error:
            self._seen = f"! {error}"
            if self._seen != before:
                self._refuse(
                    str(error), counted=not first
                )  # on another machine than the job's files they never are there
            return
        if self._seen == before:
            return
        try:
            from huntbeam.transforms.sigma.renewal import renewed  # most runs end before they need it

            rules = within(renewed(watch), watch.enrich)
            reason = refusal(rules, strict=watch.strict, before=self._now.rules) or _too_deep(rules, watch)
        except UnusableError as error:
            reason = str(error)
        if reason is not None:
            self._refuse(reason)
        elif rules.digest != self._now.rules.digest:
            self._swap(rules)

    def _settled(self, watch: Watch) -> str:
        """The stamp of the files once it stays the same; the wait is short, and so is the number of waits."""
        from huntbeam.transforms.sigma.rule_files import stamp  # most runs end before they need it

        files = (*watch.paths, *watch.pipelines)
        found = stamp(files)
        for _ in range(_TRIES if found != self._seen else 0):
            time.sleep(min(_SETTLES, watch.every / 4))
            again = stamp(files)
            if again == found:
                break
            found = again
        return found

    def _swap(self, rules: RuleSet) -> None:
        old = self._now
        new = InForce(old.generation + 1, rules, self._enrich)
        if old.made:
            new.detector.prepare(old.detector)
        self._count(RELOADED)
        self._now = new
        _log.info(
            "%d rules (%s) are in force in place of %s; %d cannot run",
            *(running(rules), rules.digest[:8], old.rules.digest[:8], len(rules.errors)),
        )

    def _refuse(self, reason: str, *, counted: bool = True) -> None:
        if counted:
            self._count(REFUSED)
        _log.warning("the rules (%s) stay as they are: %s", self._now.rules.digest[:8], reason)

    def _count(self, name: str) -> None:
        with self._lock:
            self._news[name] += 1


def _correlations(rules: RuleSet) -> FixedCorrelations:
    return FixedCorrelations((one.settings for one in rules.correlations), rules.digest)


def _too_deep(rules: RuleSet, watch: Watch) -> str | None:
    depths = _correlations(rules).depths
    if depths <= watch.depths:
        return None
    return f"correlations name correlations, {depths} deep, and the job has steps for {watch.depths}: start it anew"


class CorrelationsInForce:
    """Known (correlation/known.py) of a job whose rules change, for steps that stand where no event is digested, too.

    It travels without the rules on events. In a process that matches events it asks what those are matched by; in
    another the files are watched for its sake.
    """

    def __init__(self, rules: RuleSet, watch: Watch) -> None:
        self._given = replace(rules, rules=(), atoms=(), notes=())
        self._watch = watch
        self._own: RulesInForce | None = None

    def __reduce__(self) -> tuple[type[CorrelationsInForce], tuple[RuleSet, Watch]]:
        return CorrelationsInForce, (self._given, self._watch)

    @property
    def ruleset(self) -> str:
        """See Known."""
        return self._now().ruleset

    @property
    def depths(self) -> int:
        """How many depths the job needs steps for."""
        return self._watch.depths

    def find(self, rule_id: str, version: str) -> Correlation | None:
        """See Known."""
        return self._now().find(rule_id, version)

    def naming(self, rule_id: str, version: str) -> Sequence[Correlation]:
        """See Known."""
        return self._now().naming(rule_id, version)

    def timespan_ms(self, rule_id: str) -> int:
        """See Known."""
        return self._now().timespan_ms(rule_id)

    def _now(self) -> FixedCorrelations:
        matching = _watched.get(self._watch)
        if matching is not None:
            self._own = None
            return matching.current().correlations
        own = self._own
        if own is None:
            own = self._own = _begun(RulesInForce(self._given, self._watch), self._watch)
        return own.current().correlations


_watched: WeakValueDictionary[Watch, RulesInForce] = WeakValueDictionary()  # with the rules on events
_made: WeakValueDictionary[tuple[bytes, Watch | None, frozenset[int]], RulesInForce] = WeakValueDictionary()
_last: list[RulesInForce] = []  # held: a worker drops its steps when it is idle, and makes them again
_making = threading.Lock()


def rules_in_force(packed: bytes, watch: Watch | None = None, enrich: frozenset[int] = frozenset()) -> RulesInForce:
    """The one object of this process for a packed rule set; with a watch a thread keeps it up to date."""
    with _making:
        found = _one(packed, watch, enrich)
        if watch is not None:
            _watched[watch] = found
        _last[:] = [found]
    return found


def rules_beside(packed: bytes, watch: Watch | None, enrich: frozenset[int]) -> RulesInForce:
    """For a step that has some of the rules and digests no event; to be held, and asked for again now and then.

    In a process that matches events it is what those are matched by; in another the files are watched for its sake.
    """
    matching = _watched.get(watch) if watch is not None else None
    if matching is not None:
        return matching
    with _making:
        return _one(packed, watch, enrich)


def _one(packed: bytes, watch: Watch | None, enrich: frozenset[int]) -> RulesInForce:
    key = packed, watch, enrich
    found = _made.get(key)
    if found is None:
        found = _made[key] = RulesInForce(RuleSet.unpack(packed), watch, enrich)
        if watch is not None:
            _begun(found, watch)
    return found


def _begun(rules: RulesInForce, watch: Watch) -> RulesInForce:
    _log.setLevel(logging.INFO)  # workers log warnings alone, and a reload is worth a line
    threading.Thread(target=_keep, args=(ref(rules), watch.every), name="rules", daemon=True).start()
    return rules


def _keep(kept: ReferenceType[RulesInForce], every: float) -> None:
    """A watcher's life: looks again and again, until nobody has use for the rules."""
    while (rules := kept()) is not None:
        try:
            rules.look()
        except Exception:  # a fault of ours must not end the looking
            _log.exception("the rules stay as they are: a fault of HuntBeam's own, please report it")
        del rules
        time.sleep(every)
