"""`huntbeam baseline`: what an archive usually has, as a file that rules of the kind `rare` are judged by."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from huntbeam.runners.console import Progress, said
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import WINDOW_COUNTS

if TYPE_CHECKING:
    from huntbeam.schemas.window import WindowCount

_EPILOG = """\
examples:
  huntbeam replay --input 'logs/2026-10-*' --output october --anomaly_rules builtin:
  huntbeam baseline october -o october.baseline
  huntbeam replay --input logs/2026-11-01.json --output out --anomaly_rules builtin: --baseline october.baseline

exit codes:
  0  done
  2  the folder or the file cannot be used; a file that was there is as it was
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "baseline",
        help="what an archive usually has, for anomaly rules of the kind `rare`",
        description="Makes a baseline of a replay's window counts: how many events, windows and hosts had each key.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="the output of a replay, in any format")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the baseline; one that is there is replaced"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    parser.set_defaults(run=_run, interrupted="interrupted; the baseline is as it was")


def _run(args: argparse.Namespace) -> None:
    from huntbeam.transforms.anomaly.baseline import baseline_lines
    from huntbeam.transforms.row_files import result_files

    folder = Path(args.folder) / WINDOW_COUNTS
    folder = folder if folder.is_dir() else Path(args.folder)
    if not folder.is_dir():
        raise UnusableError(f"there is no folder {args.folder}: name the --output of a replay")
    progress = Progress(sum(file.stat().st_size for file in result_files(folder)), args.quiet, "rows")
    try:
        keys = _write(Path(args.output), baseline_lines(_rows(folder, progress))) - 1
    finally:
        progress.close()
    said(args.quiet)(f"{args.output}: {keys:,} keys of {progress.events:,} rows")


def _rows(folder: Path, progress: Progress) -> Iterator[WindowCount]:
    import msgspec

    from huntbeam.schemas.window import WindowCount
    from huntbeam.transforms.row_files import folder_rows

    for row in folder_rows(folder, progress.add):
        try:
            yield msgspec.convert(row, WindowCount)
        except msgspec.ValidationError as error:
            raise UnusableError(
                f"{folder} holds rows that are no {WINDOW_COUNTS} ({error}): name the output of a replay that has them"
            ) from error


def _write(path: Path, lines: Iterator[bytes]) -> int:
    """Aside, then renamed: who reads at the same time sees a whole file. Gives the number of lines."""
    written = 0
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=".", suffix=path.suffix, delete=False) as aside:
            try:
                for line in lines:
                    aside.write(line)
                    written += 1
            except BaseException:
                os.unlink(aside.name)  # noqa: PTH108
                raise
        os.chmod(aside.name, 0o644)  # noqa: PTH101  # a temporary file is its owner's alone
        Path(aside.name).replace(path)
    except OSError as error:
        raise UnusableError(
            f"{path} cannot be written ({error.strerror}): name a file in a folder that is there"
        ) from error
    return written
