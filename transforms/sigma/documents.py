"""The YAML documents below paths: what stands between lines of three dashes, in each file with rules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from huntbeam.transforms.sigma.plan import RuleError
from huntbeam.transforms.sigma.rule_files import Limits, rule_files

SECTIONS = frozenset(("detection", "correlation", "filter", "action"))  # a document of Sigma has one of them


_MARK = re.compile(r"^---(?=[ \t\r\n]|\Z)[ \t]*", re.MULTILINE)
_NOTHING = re.compile(r"(?:[ \t\r]*(?:[#%][^\n]*)?(?:\n|\Z))+?(?=[ \t\r]*[^\s#%]|\Z)")


def is_sigma(data: Iterable[object]) -> bool:
    """Whether a document with these keys is one of Sigma."""
    return not SECTIONS.isdisjoint(data)


class Document(NamedTuple):
    """One YAML document: `line` is its first with anything on it, from 1."""

    file: str
    line: int
    text: str


def documents(paths: Iterable[str | os.PathLike[str]], limits: Limits = Limits()) -> Iterator[Document | RuleError]:  # noqa: B008  # immutable
    """The documents in order of the paths, and by name within a folder or archive; what cannot be read as errors.

    Raises UnusableError for a path that does not exist.
    """
    total = 0
    for number, file in enumerate(rule_files(paths, limits)):
        name = file.name.encode("utf-8", "replace").decode()  # a file may be called anything
        if isinstance(file.content, RuleError):
            yield msgspec.structs.replace(file.content, file=name)
            continue
        total += len(file.content)
        if number >= limits.files or total > limits.total_bytes:
            yield _error(name, "TooMuch", "there are more rule files than are read; later ones are left out")
            return
        yield from documents_of(name, file.content, limits)


def documents_of(name: str, content: bytes, limits: Limits) -> Iterator[Document | RuleError]:
    """The documents of one file: what stands between lines that begin with three dashes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield _error(name, "NotText", f"the file is not UTF-8: byte {error.start} is wrong")
        return
    bounds = [0, *(found.end() for found in _MARK.finditer(text))]
    ends = [*(found.start() for found in _MARK.finditer(text)), len(text)]
    if len(bounds) > limits.documents:
        yield _error(name, "TooMuch", f"the file has more than {limits.documents} documents")
        return
    line, counted = 1, 0
    for start, end in zip(bounds, ends, strict=True):
        nothing = _NOTHING.match(text, start, end)
        begin = nothing.end() if nothing else start
        line += text.count("\n", counted, begin)
        counted = begin
        if begin < end:
            yield Document(name, line, text[begin:end])


def _error(name: str, error_class: str, reason: str) -> RuleError:
    return RuleError(name, 1, "", error_class, reason)
