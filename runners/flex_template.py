"""The main program of a Dataflow flex template: its parameters become a command line of `huntbeam ... --on dataflow`.

The launcher calls it with --NAME=VALUE alone: the template's parameters and Beam's own options. A switch is turned on
by `true`; an option that may be repeated takes values with commas between them; what `huntbeam` does not know is for
Beam.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from huntbeam.pipelines.dataflow_options import DATAFLOW
from huntbeam.runners.cli import command_parser, main
from huntbeam.schemas.errors import UnusableError

COMMAND = "command"
_ON = ("true", "1", "yes")


def command_line(argv: Sequence[str]) -> list[str]:
    """The words behind `huntbeam`. Raises UnusableError.

    >>> command_line(["--command=replay", "--input=gs://b/a,gs://b/c", "--output=gs://b/out", "--dedupe=true",
    ...               "--runner=DataflowRunner"])
    ['replay', '--on=dataflow', '--input=gs://b/a', '--input=gs://b/c', '--output=gs://b/out', '--dedupe', '--', \
'--runner=DataflowRunner']
    """
    given = [_split(word) for word in argv]
    command = next((value for name, value in given if name == COMMAND), "")
    known = {option: action for action in command_parser(command)._actions for option in action.option_strings}
    ours, beams = [f"--on={DATAFLOW}"], []
    for name, value in given:
        action = known.get(f"--{name}")
        if name == COMMAND or not value:
            continue
        if action is None:
            beams.append(f"--{name}={value}")
        elif isinstance(action, argparse._StoreTrueAction):
            ours += [f"--{name}"] if value.lower() in _ON else []
        elif isinstance(action, argparse._AppendAction):
            ours += [f"--{name}={one}" for one in value.split(",")]
        else:
            ours.append(f"--{name}={value}")
    return [command, *ours, *(["--", *beams] if beams else [])]


def _split(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name.startswith("--"):
        raise UnusableError(f"{word}: a flex template's parameters come as --NAME=VALUE")
    return name.removeprefix("--"), value


if __name__ == "__main__":
    try:
        sys.exit(main(command_line(sys.argv[1:])))
    except UnusableError as unusable:
        sys.exit(f"huntbeam: {unusable}")
