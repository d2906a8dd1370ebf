"""`huntbeam report`: what happened, on one page that needs no network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

EPILOG = """\
examples:
  huntbeam report out -o report.html
  huntbeam report out -o report.html --rules rules/        # with the text of the rules that found something
  huntbeam report landed -o report.html                    # of a folder that `huntbeam archive` fills
  huntbeam replay --input logs/ --output out --report report.html

exit codes:
  0  done
  1  the report could not be made; a file that was there is as it was
  2  an option, the folder or the file cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "report",
        help="what happened, as one offline page",
        description="Makes one HTML file of the results of a replay: alerts with their process trees, connections,\n"
        "windows, data quality. It opens in any browser, from a USB stick, and asks no network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="the --output of a replay, or the folder of `huntbeam archive`")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="default: report.html")
    add_shared(parser)
    parser.set_defaults(run=_run, interrupted="interrupted; no report was made")


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Declares what `huntbeam serve` has as well."""
    parser.add_argument(
        "--rules",
        action="append",
        default=[],
        metavar="PATH",
        help="Sigma rules whose text is shown with their alerts: file, folder, zip or tar.gz; repeatable",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")


def _run(args: argparse.Namespace) -> None:
    from huntbeam.runners.reports import write_report

    write_report(Path(args.folder), Path(args.output), args.rules, args.quiet)
