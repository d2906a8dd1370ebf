"""The digest of each kind of record, by its plan."""

from __future__ import annotations

from huntbeam.transforms.digest import Digest, Plan
from huntbeam.transforms.monster.digest import MonsterDigest, MonsterPlan

AnyPlan = Plan | MonsterPlan


def digest_of(plan: AnyPlan) -> Digest | MonsterDigest:
    """A digest that does what a plan asks for."""
    return MonsterDigest(plan) if isinstance(plan, MonsterPlan) else Digest(plan)


def lines_only(plan: AnyPlan) -> bool:
    """Whether files are lines whatever they begin with: a record of Monster Agent is no JSON."""
    return isinstance(plan, MonsterPlan)
