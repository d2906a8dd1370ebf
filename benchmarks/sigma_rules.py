"""Measures the rules: the matcher against pySigma's SQLite backend on equal events, and what a replay pays for rules.

    python benchmarks/sigma_rules.py                     # the matcher: all process_creation rules, events parsed before
    python benchmarks/sigma_rules.py --replay            # a replay with all rules and a warm cache against one without
    python benchmarks/sigma_rules.py --rules my/ --input my.ndjson

Without --rules it takes the archive of SigmaHQ's Windows rules where it lies beside the checkout, else our own. The
matcher gets process creations, parsed beforehand: `distinct` is each once, as no telemetry is; `repeated` is the same
again and again, which it remembers. Both must hit the same rules on the same events as the backend, which Zircolite
uses; it runs over a table that is filled before. CPU time of one core counts, not the wall.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from replay import CACHE, ROOT, BenchError, Run, archive_of, huntbeam, run, say
from rival_sqlite import Query, Table, queries

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.sigma.compile import compile_loaded
from huntbeam.transforms.sigma.events import SigmaEvent, sigma_event
from huntbeam.transforms.sigma.load import Loaded, load
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIGMAHQ = ROOT / "../shared/sigma/sigmahq-windows-rules.tar.gz"
RECORDED = ROOT / "../shared/data"
SAMPLES = ROOT / "samples/logs"
PROCESSES = {("microsoft-windows-sysmon/operational", 1), ("security", 4688)}
REPEATS = 20_000  # events of the repeated kind
CORE = 1_000_000  # microseconds of a second


class Speed(NamedTuple):
    """What a matcher did."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


# ------------------------------------------------------------------------------------------------------------- matcher


def processes(files: Sequence[Path]) -> list[SigmaEvent]:
    """The process creations of files of JSON lines, each once."""
    found: dict[str, SigmaEvent] = {}
    for line in (line for file in files for line in _lines(file)):
        try:
            event = sigma_event(parse_record(line))
        except RecordError:
            continue
        if ((event.channel or "").lower(), event.event_id) in PROCESSES:
            found.setdefault(repr(sorted(event.fields.items(), key=lambda item: item[0])), event)
    if not found:
        raise BenchError("there is no process creation in the input: name another --input")
    return list(found.values())


def _lines(file: Path) -> list[bytes]:
    content = file.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return [] if content.lstrip()[:1] == b"[" else [line for line in content.splitlines() if line.strip()]


def of_processes(paths: Sequence[str]) -> Loaded:
    """The rules for process creations below some paths."""
    found = load(paths)
    rules = [rule for rule in found.rules if rule.data["logsource"].get("category") == "process_creation"]
    return found._replace(rules=rules, correlations=[], filters=[])


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU, the least of seven: what else the machine does is no property of the work."""
    return min(_cpu(work) for _ in range(7))


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def check_equal(rules: RuleSet, table: Table, found: Sequence[Query], events: Sequence[SigmaEvent]) -> int:
    """How many hits both have. Raises BenchError where they differ on a rule that the backend can express."""
    matcher, ours, theirs = Matcher(rules), defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for number, event in enumerate(events):
        for hit in matcher.match(event):
            ours[rules.rules[hit].id].add(number)
    for query in found:
        theirs[query.rule] |= table.hits(query)
    for rule in sorted(theirs):
        if ours[rule] != theirs[rule]:
            raise BenchError(f"rule {rule}: HuntBeam hits {len(ours[rule])} events, SQLite {len(theirs[rule])}")
    return sum(len(hits) for rule, hits in ours.items() if rule in theirs)


def matching(paths: Sequence[str], files: Sequence[Path]) -> str:
    """The table of the comparison."""
    loaded, events = of_processes(paths), processes(files)
    began = time.process_time()
    rules = compile_loaded(loaded)
    compiled = time.process_time() - began
    found, refused = queries(loaded)
    say(f"{len(loaded.rules):,} rules, {len(refused)} of them not for SQLite; {len(events):,} process creations")
    table = Table([event.fields for event in events], {name for query in found for name in query.fields})
    hits = check_equal(rules, table, found, events)
    say(f"both find the same {hits:,} hits")
    made = Matcher(rules)
    preparing = _cpu(lambda: [made.match(event) for event in events])

    def distinct() -> None:
        for kind in made._sources.values():
            for scan in (*kind.scans.values(), *((kind.rest,) if kind.rest else ())):
                scan.remembered.clear()
        for event in events:
            made.match(event)

    many = [events[number % len(events)] for number in range(REPEATS)]
    speeds = {
        "distinct events": Speed(len(events), cpu(distinct)),
        "repeated events": Speed(len(many), cpu(lambda: [made.match(event) for event in many])),
    }
    rival = Speed(len(events), cpu(lambda: [table.hits(query) for query in found]))
    lines = [
        f"{len(rules.rules):,} process_creation rules, {len(events):,} events, {hits:,} equal hits; compiled in "
        f"{compiled:.1f} s, made ready with the first events in {preparing:.2f} s of CPU",
        "",
        "| one core, events parsed before | HuntBeam, events/s | pySigma-backend-sqlite, events/s | ratio |",
        "|---|---|---|---|",
    ]
    for name, speed in speeds.items():
        lines.append(f"| {name} | {speed.rate:,.0f} | {rival.rate:,.0f} | {speed.rate / rival.rate:,.1f} |")
    return "\n".join(lines)


# -------------------------------------------------------------------------------------------------------------- replay


def replaying(paths: Sequence[str], archive: Path, runs: int) -> str:
    """What rules cost a whole replay, cold start included."""
    CACHE.mkdir(exist_ok=True)
    program = huntbeam()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as scratch:
        rules = [part for path in paths for part in ("--rules", path)]
        rules += ["--rule_cache", str(Path(scratch, "rules"))]
        with archive.open("rb") as lines:
            events = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 24), b""))
        bare = program.command(archive, Path(scratch, "bare"))
        with_rules = [*program.command(archive, Path(scratch, "rules-out")), *rules]
        cold = run(with_rules, watch=True)
        say(f"cold cache: {cold.wall:.1f} s, {cold.cpu:.1f} s CPU, {cold.peak:,.0f} MB")
        alerts = sum(1 for file in Path(scratch, "rules-out", "alerts").iterdir() for _ in file.open("rb"))
        pairs = list(_pairs(bare, with_rules, runs))
    more = [(warm.cpu - without.cpu) / events * CORE for without, warm in pairs]
    return "\n".join(
        [
            f"`{archive.name}`, {events:,} events, {alerts:,} alerts, {runs} runs of each by turns, medians",
            "",
            "| replay | wall, s | CPU, s |",
            "|---|---|---|",
            *(_row(name, [pair[side] for pair in pairs]) for side, name in enumerate(("without rules", "warm cache"))),
            f"| cold cache, once | {cold.wall:.2f} | {cold.cpu:.2f} |",
            "",
            f"Rules cost {statistics.median(more):.1f} microseconds of CPU an event more (least {min(more):.1f}), "
            f"{statistics.median(warm.cpu / without.cpu for without, warm in pairs):.1f} times the CPU in all.",
        ]
    )


def _pairs(bare: list[str], with_rules: list[str], runs: int) -> Iterator[tuple[Run, Run]]:
    for number in range(runs):
        pair = run(bare), run(with_rules)
        say(f"{number + 1}/{runs}: {pair[0].cpu:.2f} s CPU without rules, {pair[1].cpu:.2f} s with")
        yield pair


def _row(name: str, runs: Sequence[Run]) -> str:
    return f"| {name} | {statistics.median(r.wall for r in runs):.2f} | {statistics.median(r.cpu for r in runs):.2f} |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures HuntBeam's Sigma rules.")
    parser.add_argument("--rules", action="append", default=[], help="rules (default: SigmaHQ's, else our own)")
    parser.add_argument("--input", type=Path, action="append", default=[], help="JSON lines, plain or .gz")
    parser.add_argument("--replay", action="store_true", help="a whole replay with rules against one without")
    parser.add_argument("--events", type=int, default=300_000, help="size of the archive that --replay makes")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each replay")
    args = parser.parse_args(argv)
    rules = args.rules or [str(SIGMAHQ if SIGMAHQ.exists() else ROOT / "rules")]
    try:
        if args.replay:
            report = replaying(rules, args.input[0] if args.input else archive_of(args.events), args.runs)
        else:
            folders = [RECORDED / name for name in ("wlb6", "wlb7", "wlb8", "flat_nxlog", "flat_timecreated")]
            found = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())]
            found += [file for file in [SIGMAHQ.parent / "regression.wlb8.ndjson"] if file.exists()]
            report = matching(rules, args.input or found or sorted(SAMPLES.iterdir()))
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    sys.stdout.write(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
