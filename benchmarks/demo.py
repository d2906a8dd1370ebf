"""Replays the shipped sample, prints who connected where, by which command line, and makes the report of it.

`make demo` runs it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from huntbeam.runners.cli import main
from huntbeam.schemas.sysmon import SysmonJoin

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "samples" / "logs"
OUTPUT = ROOT / "out" / "demo"
REPORT = ROOT / "out" / "demo.html"
RULES = ("--rules", str(ROOT / "samples" / "rules"), "--anomaly_rules", str(ROOT / "samples" / "anomalies.yml"))


def joins(output: Path) -> list[SysmonJoin]:
    decode = msgspec.json.Decoder(SysmonJoin).decode_lines
    return [row for part in sorted((output / "sysmon_join").iterdir()) for row in decode(part.read_bytes())]


def show(rows: list[SysmonJoin]) -> None:
    """One line a process, in order of their starts: where it connected to, how often, by which command line."""
    table = Table("started", "host", "user", "connects", "to", "command line", title="sysmon_join, by process")
    processes: dict[tuple[str, str], list[SysmonJoin]] = {}
    for row in rows:
        processes.setdefault((row.process_create_time or "", row.process_guid or ""), []).append(row)
    for (started, _), connects in sorted(processes.items()):
        first = connects[0]
        destinations = sorted({f"{c.dst_ip_addr}:{c.dst_port}" for c in connects})
        more = f" +{len(destinations) - 2}" if len(destinations) > 2 else ""
        cells = (started[11:19], first.host, first.user_account, str(len(connects)), " ".join(destinations[:2]) + more)
        command = (first.process_command_line or "")[:70]
        table.add_row(*(Text(cell or "-", overflow="ellipsis", no_wrap=True) for cell in (*cells, command)))
    console = Console(width=None if sys.stdout.isatty() else 190)
    console.print(table)
    console.print(f"{len(rows)} joined connects; all streams are in {OUTPUT.relative_to(ROOT)}", highlight=False)


def run() -> int:
    """Replays, with a report where what it needs is installed."""
    REPORT.parent.mkdir(exist_ok=True)
    report = ["--report", str(REPORT)] if all(map(find_spec, ("duckdb", "vl_convert"))) else []
    code = main(["replay", "--input", str(SAMPLE), "--output", str(OUTPUT), "--overwrite", *RULES, *report])
    if code == 0:
        show(joins(OUTPUT))
        if report:
            print(f"look at it in a browser: {REPORT.relative_to(ROOT)}")
    return code


if __name__ == "__main__":
    sys.exit(run())
