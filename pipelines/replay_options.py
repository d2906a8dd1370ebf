"""The options of `huntbeam replay`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from huntbeam.pipelines.counters import COUNTERS_HELP
from huntbeam.pipelines.dataflow_options import DATAFLOW, DataflowOptions, add_dataflow_arguments, dataflow_options
from huntbeam.pipelines.index_options import Indexing, add_index_arguments, indexing
from huntbeam.pipelines.options import OptionError, StepOptions, add_step_arguments, refuse_ecs, step_values
from huntbeam.schemas.clock import instant, parse_time

DIRECT = "direct"
FORMATS = ("jsonl", "parquet", "avro")
MOST_ANCESTORS = 64


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Files in, files out, whatever the records."""

    input: tuple[str, ...]
    output: str
    format: str
    overwrite: bool
    since: str | None
    until: str | None
    workers: int | None
    quiet: bool
    verbose: bool
    index: Indexing | None
    beam: tuple[str, ...]
    dataflow: DataflowOptions | None  # None: on this machine


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(StepOptions, FileOptions):
    """What `huntbeam replay` was asked to do."""

    ancestry: int
    report: str | None


REPLAY_EPILOG = f"""\
examples:
  huntbeam replay --input logs/ --output out
  huntbeam replay --input 'logs/**/*.json.gz' --input dc01.evtx --output out --format parquet
  huntbeam replay --input gs://bucket/winlogbeat/2026-11-* --output gs://bucket/out --event_time auto
  huntbeam replay --input logs/ --output out --enrich 1,3,7,8,10,11,12,13,22 --ancestry 8
  huntbeam replay --input logs/ --output out --rules rules/ --report report.html
  zcat day.json.gz | huntbeam replay --input - --output out --since 2026-11-20T08:00:00Z --host 'ws-*'
  huntbeam replay --input logs/ --output out --index https://search:9200 --index_auth file:login --index_ca ca.pem

{COUNTERS_HELP}
exit codes:
  0  done; what could not be used is in dead_letters
  1  the run failed; the output folder is as it was
  2  an option, an input or the output folder cannot be used
  130  interrupted; the output folder is as it was
"""


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `huntbeam replay`."""
    paths = add_path_arguments(parser, required=True)
    paths.add_argument(
        "--on",
        choices=(DIRECT, DATAFLOW),
        default=DIRECT,
        help="direct (default): on this machine; dataflow: on Google Cloud, from and to gs://",
    )
    paths.add_argument(
        "--report",
        metavar="FILE",
        help="make a page of the results as well, as `huntbeam report` does (docs/report.md)",
    )
    steps = add_step_arguments(parser)
    steps.add_argument(
        "--ancestry",
        type=int,
        default=0,
        metavar="N",
        help=f"with --enrich: list the ancestors of each process, at most N of them (up to {MOST_ANCESTORS})",
    )
    add_index_arguments(parser)
    add_dataflow_arguments(parser)
    add_workers_argument(add_run_arguments(parser))


def add_path_arguments(parser: argparse.ArgumentParser, *, required: bool) -> Any:
    """Declares what is read and written as files, and how it is narrowed; gives the group of the first."""
    paths = parser.add_argument_group("files: input and output")
    paths.add_argument(
        "--input",
        action="append",
        required=required,
        metavar="PATTERN",
        help="file, folder, glob or gs:// pattern; - is standard input; repeatable",
    )
    paths.add_argument(
        "--output", required=required, metavar="DIR", help="folder for the results, one folder a stream; gs:// too"
    )
    paths.add_argument("--format", choices=FORMATS, default="jsonl", help="format of the results (default: jsonl)")
    paths.add_argument("--overwrite", action="store_true", help="replace the results that the folder holds")
    narrow = parser.add_argument_group("files: narrow the replay")
    narrow.add_argument(
        "--since", metavar="TIME", help="only rows from this event time on (RFC 3339; UTC without a zone)"
    )
    narrow.add_argument("--until", metavar="TIME", help="only rows before this event time; earlier creates still join")
    return paths


def add_workers_argument(run: Any) -> None:
    """Declares how many processes read files."""
    run.add_argument("--workers", type=int, metavar="N", help="reading processes (default: one a core; 0: none)")


def add_run_arguments(parser: argparse.ArgumentParser) -> Any:
    """Declares how a run behaves; gives the group for further such options."""
    run = parser.add_argument_group("running")
    run.add_argument("--quiet", action="store_true", help="no progress and no summary")
    run.add_argument("--verbose", action="store_true", help="show the log of Beam and of this program")
    run.add_argument("beam", nargs="*", metavar="-- BEAM_OPTION", help="options of Apache Beam, behind --")
    return run


def replay_options(args: argparse.Namespace) -> ReplayOptions:
    """The options as values. Raises OptionError."""
    if not 0 <= args.ancestry <= MOST_ANCESTORS:
        raise OptionError(f"--ancestry {args.ancestry}: write a number up to {MOST_ANCESTORS}")
    if args.ancestry and not args.enrich.strip(" ,"):
        raise OptionError("--ancestry: say with --enrich which events get the ancestors, such as --enrich 1")
    if args.report is not None and "://" in args.output:
        raise OptionError(f"--report needs the results on this machine, and --output is {args.output}: copy them first")
    files, values = file_values(args), step_values(args)
    if args.format != FORMATS[0]:
        refuse_ecs(values["alert_format"], "--format", args.format)
    return ReplayOptions(**values, **files, ancestry=args.ancestry, report=args.report)


def file_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of FileOptions. Raises OptionError."""
    if args.workers is not None and args.workers < 0:
        raise OptionError(f"--workers {args.workers}: write 0 or a number of processes")
    since, until = _time("--since", args.since), _time("--until", args.until)
    if since and until and since >= until:
        raise OptionError(f"--since {args.since} is not before --until {args.until}: nothing would be left")
    return {
        "input": tuple(args.input),
        "output": args.output,
        "format": args.format,
        "overwrite": args.overwrite,
        "since": since,
        "until": until,
        "workers": args.workers,
        "quiet": args.quiet,
        "verbose": args.verbose,
        "index": indexing(args, "10m"),
        "beam": tuple(args.beam),
        "dataflow": dataflow_options(args),
    }


def _time(option: str, written: str | None) -> str | None:
    if written is None:
        return None
    millis = parse_time(f"{written}T00:00:00Z" if len(written) == 10 else written)
    if millis is None:
        raise OptionError(f"{option} {written}: write a time such as 2026-11-20T08:00:00Z or a day such as 2026-11-20")
    return instant(millis)
