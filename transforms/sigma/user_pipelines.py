"""The user's own pySigma pipelines: read as text, by which compiled rules are known; parsed only to compile."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.plan import RuleError
from huntbeam.transforms.sigma.rule_files import Limits, rule_file

if TYPE_CHECKING:
    from sigma.processing.pipeline import ProcessingPipeline


class UserPipeline(NamedTuple):
    """A pipeline file of the user, pySigma's YAML."""

    name: str
    text: str

    def parsed(self) -> ProcessingPipeline:
        """A new pipeline. Raises UnusableError for what is none."""
        import yaml  # pySigma takes a second to load, which a run with cached rules saves
        from sigma.exceptions import SigmaError
        from sigma.processing.pipeline import ProcessingPipeline

        try:
            return ProcessingPipeline.from_yaml(self.text)
        except (SigmaError, yaml.YAMLError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise UnusableError(f"{self.name} is no pySigma pipeline: {told}") from error


def read_pipelines(files: Iterable[str | os.PathLike[str]]) -> list[UserPipeline]:
    """The user's pipelines, not yet parsed. Raises UnusableError for a file that cannot be read."""
    return [UserPipeline(os.fspath(file), _text(os.fspath(file))) for file in files]


def _text(file: str) -> str:
    content = rule_file(file, Limits()).content
    if isinstance(content, RuleError):
        raise UnusableError(f"the pipeline {file}: {content.reason}; name a text file that can be read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableError(f"the pipeline {file} is no UTF-8 ({error.reason}): name a text file") from error
