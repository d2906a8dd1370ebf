"""The command line: `huntbeam <command>`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from huntbeam.runners.commands import (
    archive,
    baseline,
    collect,
    dashboards,
    doctor,
    index,
    jobs,
    monster,
    peek,
    replay,
    report,
    rules,
    serve,
    stack,
    stream,
    topics,
    workers,
)
from huntbeam.runners.signals import Heard
from huntbeam.schemas.errors import UnusableError

_COMMANDS = (
    replay,
    stream,
    monster,
    report,
    serve,
    rules,
    index,
    dashboards,
    baseline,
    collect,
    jobs,
    stack,
    topics,
    peek,
    archive,
    doctor,
    workers,
)

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code. Never shows a stack trace without --verbose."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, format="%(levelname)s %(message)s")
    with _Stopped(getattr(args, "interrupted", "interrupted; the output folder is as it was")) as stopped:
        return _attempt(args, stopped)


def _attempt(args: argparse.Namespace, stopped: _Stopped) -> int:
    try:
        code: int | None = args.run(args)
        sys.stdout.flush()
    except UnusableError as error:
        return _say(error, UNUSABLE)
    except KeyboardInterrupt:
        return _say(stopped, INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has enough; what is still to be flushed has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if stopped.asked:  # Beam makes a failed step of it
            return _say(stopped, INTERRUPTED)
        if args.verbose:
            logging.exception("the run failed")
        return _say(_sentence(error), FAILED)
    return DONE if code is None else code


class _Stopped(Heard):
    """Interrupts the command at once, and says the command's sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence

    def _ask(self, _signal: int, _frame: object) -> None:
        self.asked = True
        raise KeyboardInterrupt


def command_parser(command: str) -> argparse.ArgumentParser:
    """The parser of one command's options. Raises UnusableError."""
    commands = argparse.ArgumentParser().add_subparsers()
    for one in _COMMANDS:
        one.add(commands)
    found = commands.choices.get(command)
    if found is None:
        raise UnusableError(f"{command or 'no command'}: there is {', '.join(commands.choices)}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="huntbeam",
        description="Windows telemetry from Winlogbeat: parsed, joined by ProcessGuid, counted in windows.",
    )
    parser.add_argument("--version", action="version", version=f"huntbeam {version('huntbeam')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser


def _sentence(error: BaseException) -> str:
    """The first cause in one line: Beam wraps a step's error and repeats it."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).strip().splitlines() or [""]
    return f"the run failed: {first[0] or type(error).__name__}; --verbose shows more"


def _say(message: object, code: int) -> int:
    print(f"huntbeam: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
