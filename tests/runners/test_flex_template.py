"""Flex templates: their parameters are options of the command, and become its command line."""

from __future__ import annotations

import json

import pytest

from huntbeam.runners.cli import command_parser
from huntbeam.runners.flex_template import command_line
from huntbeam.schemas.errors import UnusableError
from tests.conftest import ROOT


@pytest.mark.parametrize("template", ["replay", "stream", "monster", "monster-stream"])
def test_parameters_are_options(template: str) -> None:
    metadata = json.loads((ROOT / "runners" / "image" / f"metadata-{template}.json").read_text())
    command = template.partition("-")[0]
    assert metadata["parameters"][0]["enumOptions"] == [{"value": command}]
    assert metadata.get("streaming", False) is (template.endswith("stream"))
    options = {option for action in command_parser(command)._actions for option in action.option_strings}
    names = {parameter["name"] for parameter in metadata["parameters"]} - {"command"}
    assert names
    assert {f"--{name}" for name in names} <= options


def test_switches_lists_and_beams_own() -> None:
    given = [
        "--command=stream",
        "--input_topic=a,b",
        "--dedupe=false",
        "--window=",
        "--topic_prefix=x=y",
        "--labels={}",
    ]
    made = ["stream", "--on=dataflow", "--input_topic=a", "--input_topic=b", "--topic_prefix=x=y", "--", "--labels={}"]
    assert command_line(given) == made


@pytest.mark.parametrize("given", [["--input=a"], ["--command=nothing"], ["--command=replay", "input=a"]])
def test_what_no_template_can_mean_is_one_sentence(given: list[str]) -> None:
    with pytest.raises(UnusableError):
        command_line(given)
