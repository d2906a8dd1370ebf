"""The options of the command line, read once into frozen values; what is wrong with one is said with its remedy."""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from huntbeam.schemas import streams
from huntbeam.schemas.clock import EventTime, instant, parse_duration, parse_time
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.window import BUILT_IN, Counter
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.windows import countable

OPTIONAL_STREAMS = (streams.EVENTS,)
FORMATS = ("jsonl", "parquet", "avro")


class OptionError(UnusableError):
    """An option cannot be used."""


@dataclass(frozen=True)
class ReplayOptions:
    """What `huntbeam replay` was asked to do."""

    input: tuple[str, ...]
    output: str
    format: str
    overwrite: bool
    event_time: EventTime
    join: JoinKind
    dedupe: bool
    window_ms: int
    counters: tuple[Counter, ...]
    streams: tuple[str, ...]
    since: str | None
    until: str | None
    hosts: tuple[str, ...]
    workers: int | None
    quiet: bool
    verbose: bool
    beam: tuple[str, ...]


REPLAY_EPILOG = """\
examples:
  huntbeam replay --input logs/ --output out
  huntbeam replay --input 'logs/**/*.json.gz' --input dc01.evtx --output out --format parquet
  huntbeam replay --input gs://bucket/winlogbeat/2026-11-* --output gs://bucket/out --event_time auto
  zcat day.json.gz | huntbeam replay --input - --output out --since 2026-11-20T08:00:00Z --host 'ws-*'

counters (--counters FILE, TOML):
  [[counter]]
  name = "admin_ports_by_user"          # unique; the built-in ones are network_destination and process_image
  event_id = 3                          # Sysmon event id
  key = ["host", "user_account"]        # columns of docs/fields.md
  distinct = ["dst_ip_addr"]            # optional: distinct values to count
  where = { dst_port = [445, 3389] }    # optional: only rows with one of these values

exit codes:
  0  done; what could not be used is in dead_letters
  1  the run failed; the output folder is as it was
  2  an option, an input or the output folder cannot be used
  130  interrupted; the output folder is as it was
"""


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `huntbeam replay`."""
    paths = parser.add_argument_group("input and output")
    paths.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="PATTERN",
        help="file, folder, glob or gs:// pattern; - is standard input; repeatable",
    )
    paths.add_argument(
        "--output", required=True, metavar="DIR", help="folder for the results, one folder a stream; gs:// too"
    )
    paths.add_argument("--format", choices=FORMATS, default="jsonl", help="format of the results (default: jsonl)")
    paths.add_argument("--overwrite", action="store_true", help="replace the results that the folder holds")
    paths.add_argument(
        "--streams", default="", metavar="NAME,...", help=f"further streams to write: {', '.join(OPTIONAL_STREAMS)}"
    )
    narrow = parser.add_argument_group("narrow the replay")
    narrow.add_argument(
        "--since", metavar="TIME", help="only rows from this event time on (RFC 3339; UTC without a zone)"
    )
    narrow.add_argument("--until", metavar="TIME", help="only rows before this event time; earlier creates still join")
    narrow.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="only this host; * and ? match; repeatable"
    )
    steps = parser.add_argument_group("steps")
    steps.add_argument(
        "--event_time",
        choices=[e.value for e in EventTime],
        default=EventTime.UTC_TIME.value,
        help="the clock of the event time: Sysmon's UtcTime (default), the record's own, or the one to trust of both",
    )
    steps.add_argument(
        "--join",
        choices=[k.value for k in JoinKind],
        default=JoinKind.INNER.value,
        help="kind of sysmon_join (default: inner)",
    )
    steps.add_argument("--dedupe", action="store_true", help="put further copies of an event out as `duplicates`")
    steps.add_argument("--window", default="5m", metavar="SIZE", help="size of the tumbling windows (default: 5m)")
    steps.add_argument("--counters", metavar="FILE", help="own counters, see below")
    run = parser.add_argument_group("running")
    run.add_argument("--workers", type=int, metavar="N", help="reading processes (default: one a core; 0: none)")
    run.add_argument("--quiet", action="store_true", help="no progress and no summary")
    run.add_argument("--verbose", action="store_true", help="show the log of Beam and of this program")
    run.add_argument("beam", nargs="*", metavar="-- BEAM_OPTION", help="options of Apache Beam, behind --")


def replay_options(args: argparse.Namespace) -> ReplayOptions:
    """The options as values. Raises OptionError."""
    if args.workers is not None and args.workers < 0:
        raise OptionError(f"--workers {args.workers}: write 0 or a number of processes")
    since, until = _time("--since", args.since), _time("--until", args.until)
    if since and until and since >= until:
        raise OptionError(f"--since {args.since} is not before --until {args.until}: nothing would be left")
    return ReplayOptions(
        input=tuple(args.input),
        output=args.output,
        format=args.format,
        overwrite=args.overwrite,
        event_time=EventTime(args.event_time),
        join=JoinKind(args.join),
        dedupe=args.dedupe,
        window_ms=_duration("--window", args.window),
        counters=(*BUILT_IN, *(load_counters(args.counters) if args.counters else ())),
        streams=_streams(args.streams),
        since=since,
        until=until,
        hosts=tuple(host.lower() for host in args.host),
        workers=args.workers,
        quiet=args.quiet,
        verbose=args.verbose,
        beam=tuple(args.beam),
    )


def _time(option: str, written: str | None) -> str | None:
    if written is None:
        return None
    millis = parse_time(f"{written}T00:00:00Z" if len(written) == 10 else written)
    if millis is None:
        raise OptionError(f"{option} {written}: write a time such as 2026-11-20T08:00:00Z or a day such as 2026-11-20")
    return instant(millis)


def _duration(option: str, written: str) -> int:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from error


def _streams(written: str) -> tuple[str, ...]:
    names = [name.strip() for name in written.split(",") if name.strip()]
    for name in names:
        if name == streams.DUPLICATES:
            raise OptionError(f"--streams {name}: duplicates are told apart with --dedupe, which writes this stream")
        if name not in streams.STREAMS:
            raise OptionError(f"--streams {name}: there is no such stream; there is {', '.join(OPTIONAL_STREAMS)}")
    return tuple(name for name in OPTIONAL_STREAMS if name in names)  # the others are written anyhow


class _CountersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    counter: list[Counter]


def load_counters(path: str) -> tuple[Counter, ...]:
    """The counters of a TOML file. Raises OptionError that names the file, the place and the remedy."""
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"--counters {path} cannot be read ({error.strerror}): check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"--counters {path} is no TOML: {error}; the help shows a counter") from error
    try:
        counters = msgspec.convert(document, _CountersFile).counter
    except msgspec.ValidationError as error:
        raise OptionError(f"--counters {path}: {error}; the help shows a counter") from error
    names = {counter.name for counter in BUILT_IN}
    for counter in counters:
        _check_counter(path, counter, names)
        names.add(counter.name)
    return tuple(counters)


def _check_counter(path: str, counter: Counter, names: set[str]) -> None:
    if counter.name in names:
        raise OptionError(f"--counters {path}: the name {counter.name} is taken; choose another")
    if not counter.name:
        raise OptionError(f"--counters {path}: a counter has no name; give it one, its rows carry it")
    if not counter.key:
        raise OptionError(f"--counters {path}: counter {counter.name} has no key columns; name at least one")
    for what, columns in (("key", counter.key), ("distinct", counter.distinct)):
        if len(set(columns)) < len(columns):
            raise OptionError(f"--counters {path}: counter {counter.name}: {what} names a column twice; once is enough")
    known = countable(counter.event_id)
    for column in (*counter.key, *counter.distinct, *counter.where):
        if column not in known:
            raise OptionError(
                f"--counters {path}: counter {counter.name}: event {counter.event_id} has no column {column}; "
                f"it has {', '.join(known)}"
            )
