"""The options of `huntbeam monster`, which reads files as replay does, or topics as stream does."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Any

from huntbeam.pipelines.dataflow_options import add_dataflow_arguments
from huntbeam.pipelines.index_options import add_index_arguments
from huntbeam.pipelines.options import (
    AnomalyOptions,
    OptionError,
    RuleOptions,
    add_anomaly_arguments,
    add_geoip_argument,
    add_host_argument,
    add_rule_arguments,
    add_suppress_argument,
    add_window_argument,
    anomaly_values,
    duration,
    geoip_value,
    rule_values,
    suppress_value,
)
from huntbeam.pipelines.replay_options import (
    FileOptions,
    add_path_arguments,
    add_run_arguments,
    add_workers_argument,
    file_values,
)
from huntbeam.pipelines.stream_options import (
    TopicOptions,
    add_correlation_argument,
    add_flink_arguments,
    add_lateness_arguments,
    add_topic_arguments,
    topic_values,
)
from huntbeam.schemas.anomaly import AnomalyRule, Beacon
from huntbeam.schemas.monster_layouts import Order
from huntbeam.transforms.monster import built_in
from huntbeam.transforms.monster.signers import MICROSOFT, Trust

DETECTIONS = (built_in.EXFILTRATION, built_in.SIGNERS)


@dataclass(frozen=True, kw_only=True)
class MonsterSettings(RuleOptions, AnomalyOptions):
    """What is done with documents, whatever they come from."""

    order: Order
    trust: Trust
    hosts: tuple[str, ...]
    suppress_ms: int | None
    geoip: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MonsterFiles(MonsterSettings, FileOptions):
    """`huntbeam monster --input`."""


@dataclass(frozen=True, kw_only=True)
class MonsterTopics(MonsterSettings, TopicOptions):
    """`huntbeam monster --input_topic`."""


MONSTER_EPILOG = """\
examples:
  huntbeam monster --input 'monster/*.tsv.gz' --output out --format jsonl
  huntbeam monster --input day.tsv --output out --geoip GeoLite2-City.mmdb --rules rules/ --detect exfiltration,signers
  huntbeam monster --bootstrap_servers broker:9092 --input_topic monster --on flink --detach
  huntbeam monster --bootstrap_servers broker:9092 --input_topic monster --on direct --max_records 100000

counters (--counters FILE, TOML):
  [[counter]]
  name = "written"                      # unique; built in are monster_transfer and monster_untrusted_signer
  event_id = 2500                       # an event id, or several: [2500, 2501]
  key = ["host_key", "Image"]           # columns of docs/fields.md, monster_events
  sum = ["WriteBytes"]                  # optional: numbers to add up
  distinct = ["TargetFilePath"]         # optional: distinct values to count
  where = { layout = ["1.0"] }          # optional: only documents with one of these values

exit codes:
  0  done, or with --detach: submitted; what could not be used is in dead_letters
  1  the run failed
  2  an option, an input, a server or the output folder cannot be used
  130  interrupted
"""


def add_monster_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `huntbeam monster`, but those of Kafka's access."""
    add_path_arguments(parser, required=False)
    add_topic_arguments(parser, required=False)
    steps = parser.add_argument_group("steps")
    steps.add_argument(
        "--layout",
        choices=[o.value for o in Order],
        default=Order.CONF.value,
        help="order of 1500 and 1501 in layout 0.9: of the vendor's configuration (default) or of its event sheet",
    )
    add_host_argument(steps)
    add_geoip_argument(steps)
    add_suppress_argument(steps)
    add_correlation_argument(steps)
    _add_detection(parser)
    add_rule_arguments(parser)
    add_index_arguments(parser)
    add_flink_arguments(parser, "huntbeam-monster")
    add_dataflow_arguments(parser)
    run = add_run_arguments(parser)
    add_workers_argument(run)


def _add_detection(parser: argparse.ArgumentParser) -> None:
    detect = parser.add_argument_group("detection (streams window_counts and anomalies)")
    detect.add_argument(
        "--detect",
        default="",
        metavar="NAME,...",
        help="what is looked for: exfiltration (a host sends more than it receives), signers (a program without a "
        "trusted signer)",
    )
    detect.add_argument(
        "--exfiltration_ratio",
        type=float,
        default=built_in.RATIO,
        metavar="X",
        help=f"bytes sent by bytes received in a window, above which it is one (default: {built_in.RATIO:g})",
    )
    detect.add_argument(
        "--exfiltration_bytes",
        type=int,
        default=built_in.BYTES,
        metavar="N",
        help=f"bytes sent in a window at the least (default: {built_in.BYTES:,})",
    )
    detect.add_argument(
        "--trusted_signer",
        action="append",
        metavar="NAME",
        help=f"signer that is trusted, in place of the default; * and ? match; repeatable (default: Microsoft's, as "
        f"{MICROSOFT[1]!r})",
    )
    detect.add_argument(
        "--trusted_result",
        action="append",
        metavar="VALUE",
        help="VerifiedResult that says that a signature is good; repeatable (default: it is not looked at, since the "
        "vendor documents no value)",
    )
    add_window_argument(detect)
    add_anomaly_arguments(detect)
    add_lateness_arguments(detect)


def monster_options(args: argparse.Namespace) -> MonsterFiles | MonsterTopics:
    """The options as values. Raises OptionError."""
    if bool(args.input) == bool(args.input_topic):
        raise OptionError("name what is read: either files (--input, --output) or topics (--input_topic)")
    if args.input and not args.output:
        raise OptionError("--input needs --output: name the folder for the results")
    settings = _settings(args)
    if args.input:
        return MonsterFiles(**settings, **file_values(args))
    return MonsterTopics(**settings, **topic_values(args))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    looked_for = _detections(args.detect)
    of_files = anomaly_values(args, built_in.COUNTERS, built_in.countable)
    rules = (*_built_in_rules(args, looked_for), *of_files["anomaly_rules"])
    if beacon := next((rule for rule in rules if isinstance(rule, Beacon)), None):
        raise OptionError(f"--anomaly_rules: the rule {beacon.name!r} is a beacon and looks at Sysmon's connects alone")
    return {
        "order": Order(args.layout),
        "trust": Trust(
            tuple(args.trusted_signer) if args.trusted_signer else MICROSOFT, tuple(args.trusted_result or ())
        ),
        "hosts": tuple(host.lower() for host in args.host),
        **of_files,
        "window_ms": duration("--window", args.window),
        "counters": of_files["counters"] if rules or args.counters else (),
        "anomaly_rules": rules,
        "suppress_ms": suppress_value(args),
        "geoip": geoip_value(args),
        **rule_values(args),
    }


def _detections(written: str) -> list[str]:
    names = [name for name in re.split(r"[,\s]+", written) if name]
    for name in names:
        if name not in DETECTIONS:
            raise OptionError(f"--detect {name}: there is {', '.join(DETECTIONS)}")
    return names


def _built_in_rules(args: argparse.Namespace, looked_for: list[str]) -> list[AnomalyRule]:
    rules: list[AnomalyRule] = []
    if built_in.EXFILTRATION in looked_for:
        if not args.exfiltration_ratio > 0 or args.exfiltration_bytes < 0:
            raise OptionError("--exfiltration_ratio has to be more than 0, and --exfiltration_bytes 0 or more")
        rules.append(built_in.exfiltration(args.exfiltration_ratio, args.exfiltration_bytes))
    if built_in.SIGNERS in looked_for:
        rules.append(built_in.untrusted_signer())
    return rules
