"""What a person sees: progress while it runs, a summary at the end. All of it on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from huntbeam.transforms.report import AlertCount, ReportPart, by_level, ranked

if TYPE_CHECKING:
    from huntbeam.transforms.digest import Digested

EVERY = 5.0  # seconds between the plain lines of progress
TOP = 12  # pairs of provider and event id in the summary


class Progress:
    """Bytes, events a second and the remaining time: a bar on a terminal, lines elsewhere, nothing when quiet."""

    def __init__(self, total: int, quiet: bool, unit: str = "events") -> None:
        self._total = total
        self._quiet = quiet
        self._unit = unit
        self._bar: Any = None
        self._task: Any = None
        self.bytes = 0
        self.events = 0
        self.started = time.monotonic()
        self._said = self.started

    def update(self, digested: Digested) -> None:
        """Another batch was read."""
        self.add(digested.consumed, sum(count for *_, count in digested.pairs))

    def add(self, read: int, events: int) -> None:
        """So many more bytes and events were read."""
        self.bytes += read
        self.events += events
        if self._quiet:
            return
        if sys.stderr.isatty():
            self._draw()
        elif time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _line(self) -> str:
        seconds = max(time.monotonic() - self.started, 0.001)
        share = f" of {size(self._total)}" if self._total else ""
        rest = ""
        if self._total and self.bytes:
            rest = f", {max(self._total - self.bytes, 0) / (self.bytes / seconds):.0f} s left"
        rate = f"{self.events:,} {self._unit}, {self.events / seconds:,.0f} {self._unit}/s"
        return f"huntbeam: {size(self.bytes)}{share}, {rate}{rest}"

    def _draw(self) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), DownloadColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("replay", total=self._total or None, rate="")
            self._bar.start()
        rate = self.events / max(time.monotonic() - self.started, 0.001)
        self._bar.update(self._task, completed=self.bytes, rate=f"{rate:,.0f} {self._unit}/s")


def printable(text: str) -> str:
    """Text of an attacker without what moves a terminal's cursor or changes its colours."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose first row is its head; numbers stand right. Texts of others are made printable.

    >>> list(columns([("events", "rules"), ("Sysmon 1", "9"), ("Security 4688", "12")]))
    ['events         rules', 'Sysmon 1           9', 'Security 4688     12']
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    right = [all(not cell or cell[:1].isdigit() for cell in column[1:]) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip()


def said(quiet: bool) -> Callable[[str], object]:
    """Lines for people on standard error; none when they asked for quiet."""
    return (lambda _: None) if quiet else (lambda line: sys.stderr.write(f"huntbeam: {line}\n"))


def size(count: float) -> str:
    """Bytes for people.

    >>> size(2_830_000_000)
    '2.8 GB'
    """
    units = ["TB", "GB", "MB", "kB", "B"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop()
    return f"{count:.1f} {units[-1]}"


def summary(rows: Mapping[str, int], report: ReportPart, output: str, seconds: float) -> None:
    """The closing tables: events by provider and id, rows by stream, what was set aside, alerts by rule, the time."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    read = Table("provider", "event id", "events", title="read", title_justify="left")
    events = sorted(report.events, key=lambda e: (-e[2], str(e[0]), str(e[1])))
    for provider, event_id, count in events[:TOP]:
        read.add_row(_plain(provider), _plain(event_id), f"{count:,}")
    if len(events) > TOP:
        read.add_row(f"{len(events) - TOP} more", "", f"{sum(e[2] for e in events[TOP:]):,}")
    read.add_row("all", "", f"{sum(e[2] for e in events):,}", style="bold")
    written = Table("stream", "rows", title=f"written to {_plain(output)}", title_justify="left")
    for stream, count in rows.items():
        written.add_row(stream, f"{count:,}")
    for name, count in sorted(report.tallies.items()):
        written.add_row(f"({name.replace('_', ' ')})", f"{count:,}", style="dim")
    console.print(read)
    console.print(written)
    if report.alerts:
        console.print(_alerts(report.alerts))
    console.print(f"{seconds:.1f} s", highlight=False)


def _alerts(alerts: Sequence[AlertCount]) -> Any:
    """The rules that gave alerts, the worst first, and the sum of each level."""
    from rich.table import Table

    table = Table("level", "rule", "alerts", title="alerts", title_justify="left")
    rules = ranked(alerts)
    for rule in rules[:TOP]:
        table.add_row(_plain(rule.level), _plain(rule.title), f"{rule.alerts:,}")
    if len(rules) > TOP:
        table.add_row("", f"{len(rules) - TOP} more rules", f"{sum(rule.alerts for rule in rules[TOP:]):,}")
    for level, count in by_level(rules).items():
        table.add_row(_plain(level), "all", f"{count:,}", style="bold")
    return table


def _plain(value: object) -> str:
    """Text of an attacker, without markup and control characters."""
    from rich.markup import escape

    text = "-" if value is None else str(value)
    return escape(printable(text[:80]))
