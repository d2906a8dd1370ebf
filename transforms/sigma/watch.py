"""Where the rules of a running job come from, and when to look there again."""

from __future__ import annotations

import msgspec

from huntbeam.transforms.correlation.known import DEEPEST
from huntbeam.transforms.sigma.records import Records


class Watch(msgspec.Struct, frozen=True):
    """The files and how they are compiled. Local paths are absolute: workers have folders of their own."""

    paths: tuple[str, ...]
    pipelines: tuple[str, ...] = ()
    cache: str | None = None
    strict: bool = False
    every: float = 30.0  # seconds between two looks
    seen: str = ""  # the files' stamp when the job's own rules were compiled
    depths: int = DEEPEST + 1  # of correlations, for which the job has steps
    enrich: frozenset[int] = frozenset()  # Sysmon event ids, for which it has steps, too
    records: Records = Records.WINDOWS
