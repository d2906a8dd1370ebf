"""The command line: `huntbeam <command>`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version

from huntbeam.pipelines.options import REPLAY_EPILOG, OptionError, add_replay_arguments, replay_options
from huntbeam.transforms.read import InputError

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code. Never shows a stack trace without --verbose."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, format="%(levelname)s %(message)s")
    try:
        args.run(args)
    except (OptionError, InputError) as error:
        return _say(error, UNUSABLE)
    except KeyboardInterrupt:
        return _say("interrupted; nothing was written", INTERRUPTED)
    except Exception as error:
        if args.verbose:
            logging.exception("the run failed")
        return _say(_sentence(error), UNUSABLE if type(error).__name__ == "OutputError" else FAILED)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="huntbeam",
        description="Windows telemetry from Winlogbeat: parsed, joined by ProcessGuid, counted in windows.",
    )
    parser.add_argument("--version", action="version", version=f"huntbeam {version('huntbeam')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    replay = commands.add_parser(
        "replay",
        help="archived logs in, results out",
        description="Reads archived Windows logs and writes process creates, network connects, their join, the "
        "connects without a create, counts in tumbling windows, and dead letters.",
        epilog=REPLAY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_replay_arguments(replay)
    replay.set_defaults(run=_replay)
    return parser


def _replay(args: argparse.Namespace) -> None:
    from huntbeam.runners.direct import run_replay

    signal.signal(signal.SIGTERM, _terminate)
    run_replay(replay_options(args))


def _terminate(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


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
