"""Compiled rule sets kept in a folder: compiling thousands of rules takes seconds, reading them back a tenth of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from huntbeam.schemas import uid
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.compile import compile_documents, versions
from huntbeam.transforms.sigma.documents import Document, documents
from huntbeam.transforms.sigma.pipelines import UserPipeline, read_pipelines
from huntbeam.transforms.sigma.plan import RuleError, RuleSet

SUFFIX = ".sigma"


def compiled(
    paths: Sequence[str | os.PathLike[str]],
    pipelines: Sequence[str | os.PathLike[str]] = (),
    cache_dir: str | os.PathLike[str] | None = None,
) -> RuleSet:
    """The rules below some paths, from the folder when names, texts, pipelines and versions are those that it was
    compiled from. Raises UnusableError for a path or pipeline that cannot be used; a folder that cannot is passed over.
    """
    user = read_pipelines(pipelines)
    found = list(documents(paths))
    if cache_dir is None:
        return compile_documents(found, user)
    file = Path(cache_dir, _key(found, user) + SUFFIX)
    kept = _read(file)
    if kept is None:
        kept = compile_documents(found, user)
        _write(file, kept.pack())
    return kept


def _key(found: Sequence[Document | RuleError], user: Sequence[UserPipeline]) -> str:
    return uid.digest("s2", found, user, versions())


def _read(file: Path) -> RuleSet | None:
    try:
        return RuleSet.unpack(file.read_bytes())
    except (OSError, UnusableError):
        return None  # not there, or damaged: it is written anew


def _write(file: Path, packed: bytes) -> None:
    """Aside, then renamed: who reads at the same time sees a whole file or none."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=file.parent, prefix=".", suffix=SUFFIX, delete=False) as aside:
            aside.write(packed)
        Path(aside.name).replace(file)
    except OSError:
        return  # the next start compiles again
