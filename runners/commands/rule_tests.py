"""`huntbeam rules test` and `coverage`: rules against their samples, and by ATT&CK technique."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.options import duration
from huntbeam.runners.console import columns, printable
from huntbeam.schemas.errors import UnusableError

if TYPE_CHECKING:
    from huntbeam.runners.all_rules import AllRules
    from huntbeam.runners.rule_tests import Report

FAILED = 1
_SHOWN = 20  # rules without samples that are named one by one, without --strict


def add(actions: Any) -> None:
    """Declares the two."""
    test = actions.add_parser("test", help="try every rule on its samples: events that it must find, and must not")
    add_paths(test)
    test.add_argument(
        "--samples",
        action="append",
        default=[],
        metavar="DIR",
        help="samples that are not beside their rules; repeatable",
    )
    test.add_argument("--window", default="5m", metavar="SIZE", help="size of the tumbling windows (default: 5m)")
    test.add_argument("--junit", metavar="FILE", help="write the result as JUnit's XML")
    test.add_argument("--strict", action="store_true", help="exit code 1 if a rule has no samples, too")
    test.set_defaults(run=_test)
    coverage = actions.add_parser("coverage", help="rules by ATT&CK tactic, technique and level; a Navigator layer")
    add_paths(coverage)
    coverage.add_argument("-o", "--output", metavar="FILE", help="write a layer of the ATT&CK Navigator")
    coverage.set_defaults(run=_coverage)


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Declares which rules."""
    parser.add_argument(
        "path", nargs="+", metavar="PATH", help="file, folder, zip or tar.gz, gs:// too; builtin: are ours"
    )
    parser.add_argument("--counters", action="append", default=[], metavar="FILE", help="counters of anomaly rules")
    parser.add_argument("--pipeline", action="append", default=[], metavar="FILE", help="a pySigma processing pipeline")
    parser.add_argument("--rule_cache", metavar="DIR", help="keep compiled rules here")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")


def rules_of(args: argparse.Namespace) -> AllRules:
    """The rules that the options name. Raises UnusableError."""
    from huntbeam.runners.all_rules import all_rules

    monster = getattr(args, "monster", False)  # of check alone
    return all_rules(args.path, args.pipeline, args.rule_cache, args.counters, monster=monster)


def _test(args: argparse.Namespace) -> int:
    from huntbeam.runners.rule_samples import SampleFiles
    from huntbeam.runners.rule_tests import run_tests, trial_rules

    rules = rules_of(args)
    window_ms = duration("--window", args.window)
    report = run_tests(trial_rules(rules, window_ms), rules.facts, SampleFiles(args.samples))
    if args.junit:
        from huntbeam.runners.junit import write_junit

        write_junit(args.junit, report, rules.sigma.errors, strict=args.strict)
    _print(report, rules, strict=args.strict)
    return FAILED if report.failed or rules.sigma.errors or (args.strict and report.without) else 0


def _print(report: Report, rules: AllRules, *, strict: bool) -> None:
    from huntbeam.transforms.sigma.verdicts import told

    rows = [("rule", "sample", "result")]
    rows += [(one.fact.title, one.sample.name, (one.failure and "FAILED") or "ok") for one in report.tested]
    lines = list(columns(rows))
    lines += [
        f"FAILED {one.fact.file}: {one.fact.title}: {one.sample}: {one.failure}" for one in report.tested if one.failure
    ]
    lines += [f"CANNOT RUN {told(error)}" for error in rules.sigma.errors]
    named = report.without if strict else report.without[:_SHOWN]
    lines += [f"no sample ({lacking}) {fact.file}: {fact.title}" for fact, lacking in named]
    if len(named) < len(report.without):
        lines.append(f"no sample: {len(report.without) - len(named):,} more, which --strict names")
    tried = len({one.fact.id for one in report.tested})
    lines.append(
        f"{tried:,} rules tried on {len(report.tested):,} samples: {report.failed:,} failed; "
        f"{len(rules.sigma.errors):,} rules cannot run, {len(report.without):,} lack samples"
    )
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


def _coverage(args: argparse.Namespace) -> None:
    import msgspec

    from huntbeam.runners.navigator import layer, table

    facts = rules_of(args).facts
    if args.output:
        packed = msgspec.json.format(msgspec.json.encode(layer(facts, f"HuntBeam: {', '.join(args.path)}")))
        try:
            Path(args.output).write_bytes(packed + b"\n")
        except OSError as error:
            raise UnusableError(f"-o {args.output} cannot be written ({error.strerror}): name a file") from error
    sys.stdout.writelines(f"{line}\n" for line in columns(table(facts)))
