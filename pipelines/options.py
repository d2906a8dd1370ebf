"""The options that replay and stream share, read once into values; what is wrong is said with its remedy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from huntbeam.pipelines.counters import Kinds, counter_files, load_counters
from huntbeam.rules import BUILTIN, located
from huntbeam.schemas import streams
from huntbeam.schemas.anomaly import AnomalyRule
from huntbeam.schemas.clock import EventTime, parse_duration
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.sysmon import ENRICHABLE
from huntbeam.schemas.window import BUILT_IN, Counter
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.windows import countable

OPTIONAL_STREAMS = (streams.EVENTS,)


class OptionError(UnusableError):
    """An option cannot be used."""


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """Which Sigma rules there are."""

    rules: tuple[str, ...]
    rule_pipelines: tuple[str, ...]
    rule_cache: str | None
    strict: bool

    @property
    def rule_files(self) -> tuple[str, ...]:
        """What the rules are made of: a running job looks whether it changed."""
        return (*self.rules, *self.rule_pipelines)


@dataclass(frozen=True, kw_only=True)
class AnomalyOptions:
    """What is counted, and what stands out in it."""

    window_ms: int
    counters: tuple[Counter, ...]
    anomaly_rules: tuple[AnomalyRule, ...]
    baseline: str | None


@dataclass(frozen=True, kw_only=True)
class StepOptions(RuleOptions, AnomalyOptions):
    """What is done with events, whatever they come from."""

    event_time: EventTime
    join: JoinKind
    dedupe: bool
    streams: tuple[str, ...]
    without: tuple[str, ...]
    hosts: tuple[str, ...]
    suppress_ms: int | None  # None: all alerts are shown
    alert_format: AlertFormat
    enrich: frozenset[int]
    geoip: tuple[str, ...]


def add_step_arguments(parser: argparse.ArgumentParser) -> Any:
    """Declares the options of StepOptions; gives the group for those of one command."""
    steps = parser.add_argument_group("steps")
    add_host_argument(steps)
    steps.add_argument(
        "--streams", default="", metavar="NAME,...", help=f"further streams to write: {', '.join(OPTIONAL_STREAMS)}"
    )
    steps.add_argument(
        "--without",
        default="",
        metavar="NAME,...",
        help="streams not to write; without window_counts nothing is counted, which makes a stream cheaper",
    )
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
    add_window_argument(steps)
    add_enrich_argument(steps, "the stream `sysmon_enriched`: these Sysmon events with the create of their process")
    add_anomaly_arguments(steps)
    add_geoip_argument(steps)
    add_suppress_argument(steps)
    steps.add_argument(
        "--alert_format",
        choices=[e.value for e in AlertFormat],
        default=AlertFormat.COLUMNS.value,
        help="ecs: alerts as documents of the Elastic Common Schema, in JSON alone (default: columns)",
    )
    add_rule_arguments(parser)
    return steps


def add_suppress_argument(group: Any) -> None:
    """Declares the option that shows one alert of many."""
    group.add_argument(
        "--suppress",
        metavar="TIME",
        help="one alert of a rule and host, or of a correlation and its group, in each TIME of event time: the "
        "earliest, with a count of the others, which are the stream `suppressed` (off)",
    )


def add_host_argument(group: Any) -> None:
    """Declares the option that narrows by host."""
    group.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="only this host; * and ? match; repeatable"
    )


def add_window_argument(group: Any) -> None:
    """Declares how long windows are."""
    group.add_argument("--window", default="5m", metavar="SIZE", help="size of the tumbling windows (default: 5m)")


def add_geoip_argument(group: Any) -> None:
    """Declares the option that names GeoIP files."""
    group.add_argument(
        "--geoip",
        action="append",
        default=[],
        metavar="FILE.mmdb",
        help="say where addresses are (MaxMind's or DB-IP's files; private addresses are left alone); repeatable: what "
        "one file does not know the next may. gs:// too; on Flink the workers read a file under the same path",
    )


def geoip_value(args: argparse.Namespace) -> tuple[str, ...]:
    """The GeoIP files, which can be opened. Raises UnusableError."""
    if not args.geoip:
        return ()
    from huntbeam.transforms.files import absolute
    from huntbeam.transforms.geoip import locator

    paths = tuple(map(absolute, args.geoip))
    locator(paths)
    return paths


def add_anomaly_arguments(steps: Any) -> None:
    """Declares the options that say what is counted and which counts stand out."""
    steps.add_argument(
        "--counters", action="append", default=[], metavar="FILE", help="own counters, see below; repeatable"
    )
    steps.add_argument(
        "--anomaly_rules",
        action="append",
        default=[],
        metavar="PATH",
        help="rules for what stands out in window counts and connects: a file, or a folder with its counters.toml; "
        f"{BUILTIN} are ours; what they find is the stream `anomalies`; repeatable",
    )
    steps.add_argument(
        "--baseline", metavar="FILE", help="what rules of the kind `rare` are judged by: see `huntbeam baseline`"
    )


def add_enrich_argument(group: argparse._ActionsContainer, what: str) -> None:
    """Declares --enrich."""
    group.add_argument("--enrich", default="", metavar="ID,...", help=f"{what}, such as 3,7,8,10,11,12,13,22")


def enrich_value(written: str) -> frozenset[int]:
    """The event ids of --enrich. Raises OptionError."""
    ids = set()
    for name in (part.strip() for part in written.split(",") if part.strip()):
        if not (name.isascii() and name.isdecimal() and len(name) < 4 and int(name) in ENRICHABLE):
            known = ", ".join(map(str, sorted(ENRICHABLE)))
            raise OptionError(f"--enrich {name}: no Sysmon event of that id names a process; these do: {known}")
        ids.add(int(name))
    return frozenset(ids)


def add_rule_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Declares the options that say which Sigma rules there are."""
    rules = parser.add_argument_group("Sigma rules")
    rules.add_argument(
        "--rules",
        action="append",
        default=[],
        required=required,
        metavar="PATH",
        help=f"Sigma rules: file, folder, zip or tar.gz, gs:// too; {BUILTIN} are ours; what they find is the stream "
        "`alerts`; repeatable",
    )
    rules.add_argument(
        "--pipeline", action="append", default=[], metavar="FILE", help="a pySigma processing pipeline; repeatable"
    )
    rules.add_argument("--rule_cache", metavar="DIR", help="keep compiled rules here: the next start takes no time")
    rules.add_argument("--strict", action="store_true", help="a rule that cannot run ends the run before it begins")


def rule_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of those options."""
    return {
        "rules": tuple(map(located, args.rules)),
        "rule_pipelines": tuple(args.pipeline),
        "rule_cache": args.rule_cache,
        "strict": args.strict,
    }


def step_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of StepOptions. Raises OptionError."""
    return {
        **anomaly_values(args),
        "event_time": EventTime(args.event_time),
        "join": JoinKind(args.join),
        "dedupe": args.dedupe,
        "window_ms": duration("--window", args.window),
        "geoip": geoip_value(args),
        "suppress_ms": suppress_value(args),
        "alert_format": AlertFormat(args.alert_format),
        "enrich": enrich_value(args.enrich),
        "streams": _streams(args.streams),
        "without": _without(args.without),
        "hosts": tuple(host.lower() for host in args.host),
        **rule_values(args),
    }


def anomaly_values(
    args: argparse.Namespace, built_in: Sequence[Counter] = BUILT_IN, kinds: Kinds = countable
) -> dict[str, Any]:
    """The values of the options that say what is counted and which counts stand out. Raises UnusableError."""
    paths = [located(path) for path in args.anomaly_rules]
    files = [file for path in map(located, args.counters) for file in counter_files(path) or [path]]
    files += [file for path in paths for file in counter_files(path)]
    counters = (*built_in, *load_counters(files, built_in, kinds))
    return {"counters": counters, "anomaly_rules": _anomaly_rules(paths, counters), "baseline": args.baseline}


def _anomaly_rules(paths: Sequence[str], counters: Sequence[Counter]) -> tuple[AnomalyRule, ...]:
    if not paths:
        return ()
    from huntbeam.transforms.anomaly.rules import load_rules  # YAML is loaded by those alone who have rules

    return load_rules(paths, counters)


def refuse_ecs(alert_format: AlertFormat, option: str, written: str) -> None:
    """Raises OptionError for alerts as documents in what has typed columns: their objects have no fixed fields."""
    if alert_format is AlertFormat.ECS:
        raise OptionError(
            f"--alert_format ecs: {option} {written} has typed columns, which such documents have not; write JSON, or "
            "leave --alert_format out"
        )


def suppress_value(args: argparse.Namespace) -> int | None:
    """For how long one alert stands for others, in ms; None: all are shown. Raises OptionError."""
    if args.suppress is None:
        return None
    if not args.rules:
        raise OptionError("--suppress: without --rules there are no alerts; name some rules, or leave it out")
    return duration("--suppress", args.suppress)


def duration(option: str, written: str) -> int:
    """Milliseconds of an option's value. Raises OptionError."""
    try:
        return parse_duration(written)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from error


def _streams(written: str) -> tuple[str, ...]:
    names = [name.strip() for name in written.split(",") if name.strip()]
    for name in names:
        if name == streams.DUPLICATES:
            raise OptionError(f"--streams {name}: duplicates are told apart with --dedupe, which writes this stream")
        if name == streams.ENRICHED:
            raise OptionError(
                f"--streams {name}: name the events that are enriched with --enrich, such as --enrich 3,7"
            )
        if name not in streams.STREAMS:
            raise OptionError(f"--streams {name}: there is no such stream; there is {', '.join(OPTIONAL_STREAMS)}")
    return tuple(name for name in OPTIONAL_STREAMS if name in names)  # the others are written anyhow


def _without(written: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in written.split(",") if name.strip())
    for name in names:
        if name not in streams.STREAMS:
            raise OptionError(f"--without {name}: there is no such stream; there is {', '.join(streams.STREAMS)}")
        if name == streams.DEAD_LETTERS:
            raise OptionError(f"--without {name}: what cannot be used never vanishes; leave this stream in")
    return names
