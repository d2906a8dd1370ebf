"""`huntbeam rules`: what Sigma rules are there, and why one matches an event or does not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.options import OptionError, add_enrich_argument, add_rule_arguments, enrich_value
from huntbeam.rules import located
from huntbeam.runners.commands import rule_tests
from huntbeam.runners.console import columns, printable
from huntbeam.schemas.dead_letter import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huntbeam.transforms.sigma.explain import Explained

_FAILED = 1

_EPILOG = """\
examples:
  huntbeam rules check rules/
  huntbeam rules check sigma.zip --pipeline placeholders.yml --strict
  huntbeam rules check builtin: --format json | jq .coverage
  huntbeam rules test builtin:
  huntbeam rules test mine/ --strict --junit rules.xml
  huntbeam rules coverage builtin: sigma.zip -o layer.json
  huntbeam rules check rules/ --enrich 3,7
  huntbeam rules explain 07d73a52-03ac-491d-9431-44a2a4de6d4f events.ndjson --rules rules/

exit codes:
  0  done
  1  test: a rule failed on a sample or cannot run, with --strict: or lacks samples; check --strict: a rule cannot run
  2  an option or a file cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "rules",
        help="check rules, explain what they match, test them on samples, count what they cover",
        description="Checks and tests Sigma rules and anomaly rules before a run has them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="load rules; say what each kind of event has and what cannot run, and why")
    rule_tests.add_paths(check)
    add_enrich_argument(check, "the Sysmon events that will have the create of their process")
    check.add_argument("--strict", action="store_true", help="exit code 1 if a rule cannot run")
    check.add_argument("--notes", action="store_true", help="show, too, where rules that run have limits")
    check.add_argument("--monster", action="store_true", help="as `huntbeam monster` runs them")
    check.add_argument("--format", choices=("table", "json"), default="table", help="table (default), or json with all")
    check.set_defaults(run=_check)
    explain = actions.add_parser("explain", help="a rule's condition with the truth of every part of it, for events")
    explain.add_argument("rule", metavar="RULE", help="its id or title")
    explain.add_argument("events", metavar="EVENTS", help="file of JSON lines; - is standard input")
    add_rule_arguments(explain, required=True)
    explain.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    explain.set_defaults(run=_explain)
    rule_tests.add(actions)


def _check(args: argparse.Namespace) -> int:
    from huntbeam.runners.rule_check import as_json, tables
    from huntbeam.transforms.sigma.enrichment import at_work
    from huntbeam.transforms.sigma.verdicts import running, told

    rules = rule_tests.rules_of(args)
    rules = rules._replace(sigma=at_work(rules.sigma, enrich_value(args.enrich)))
    sigma = rules.sigma
    if args.format == "json":
        sys.stdout.write(f"{as_json(rules).decode()}\n")
    else:
        for table in tables(rules):
            sys.stdout.writelines(f"{line}\n" for line in (*columns(table), ""))
        anomalies = f"; {len(rules.anomalies):,} anomaly rules" if rules.anomalies else ""
        sys.stdout.write(
            f"{running(sigma):,} rules run, {len(sigma.correlations):,} correlations, "
            f"{len(sigma.errors):,} cannot run{anomalies}\n"
        )
        sys.stdout.writelines(f"{printable(told(error))}\n" for error in sigma.errors)
        sys.stdout.writelines(f"note: {printable(told(note))}\n" for note in (sigma.notes if args.notes else ()))
    return _FAILED if args.strict and sigma.errors else 0


def _explain(args: argparse.Namespace) -> None:
    from huntbeam.schemas.winlog import parse_record
    from huntbeam.transforms.sigma.cache import compiled
    from huntbeam.transforms.sigma.events import sigma_event
    from huntbeam.transforms.sigma.matcher import Matcher

    rules = compiled([located(path) for path in args.rules], args.pipeline, args.rule_cache)
    index = next((n for n, rule in enumerate(rules.rules) if args.rule in (rule.id, rule.title)), None)
    if index is None:
        raise OptionError(
            f"there is no rule {args.rule} that can run: give an id or a title; see `huntbeam rules check`"
        )
    matcher = Matcher(rules)
    for number, line in enumerate(_lines(args.events), 1):
        try:
            event = sigma_event(parse_record(line))
        except RecordError as error:
            sys.stdout.write(f"{number}: {error.message}\n")
            continue
        verdict = "matches" if index in matcher.match(event) else "does not match"
        sys.stdout.write(f"{number}: {verdict}\n")
        sys.stdout.writelines(_tree(matcher.explain(index, event), 1))


def _tree(part: Explained, depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{'+' if part.truth else '-'} {printable(part.says)}\n"
    for child in part.of:
        yield from _tree(child, depth + 1)


def _lines(path: str) -> list[bytes]:
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{path} cannot be read ({error.strerror}): check the path") from error
    return [line for line in content.splitlines() if line.strip()]
