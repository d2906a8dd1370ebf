"""Compiled rule sets kept in a folder: compiling thousands of rules takes seconds, reading them back a tenth of one.

pySigma is loaded only to compile.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from huntbeam.schemas import uid
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.documents import documents
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.records import Records, marks
from huntbeam.transforms.sigma.rule_files import fingerprint
from huntbeam.transforms.sigma.user_pipelines import UserPipeline, read_pipelines
from huntbeam.transforms.sigma.versions import versions

SUFFIX = ".sigma"
KEPT = 8  # files; of a few MB each


def compiled(
    paths: Sequence[str | os.PathLike[str]],
    pipelines: Sequence[str | os.PathLike[str]] = (),
    cache_dir: str | os.PathLike[str] | None = None,
    records: Records = Records.WINDOWS,
) -> RuleSet:
    """The rules below some paths, from the folder when names, texts, pipelines and versions are those that it was
    compiled from. Raises UnusableError for a path or pipeline that cannot be used; a folder that cannot is passed over.
    """
    user = read_pipelines(pipelines)
    if cache_dir is None:
        return _compiled(paths, user, records)
    key = _key(paths, user, records)
    kept = _read(Path(cache_dir, key + SUFFIX))
    if kept is None:
        kept = _compiled(paths, user, records)
        if _key(paths, user, records) == key:  # else a file was written meanwhile, and which text was read is unknown
            _write(Path(cache_dir, key + SUFFIX), kept.pack())
    return kept


def _compiled(paths: Sequence[str | os.PathLike[str]], user: Sequence[UserPipeline], records: Records) -> RuleSet:
    from huntbeam.transforms.sigma.compile import compile_documents

    return compile_documents(documents(paths), user, records)


def _key(paths: Sequence[str | os.PathLike[str]], user: Sequence[UserPipeline], records: Records) -> str:
    return uid.digest("s3", fingerprint(paths), user, versions(), *marks(records))


def _read(file: Path) -> RuleSet | None:
    try:
        found = RuleSet.unpack(file.read_bytes())
    except (OSError, UnusableError):
        return None  # not there, or damaged: it is written anew
    with suppress(OSError):
        os.utime(file)  # the sets that nobody uses are those that go
    return found


def _write(file: Path, packed: bytes) -> None:
    """Aside, then renamed: who reads at the same time sees a whole file or none. Sets not used for longest go."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{uuid4().hex}")
        try:
            aside.write_bytes(packed)
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)
        newest_first = sorted(file.parent.glob(f"*{SUFFIX}"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in newest_first[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        return  # the next start compiles again
