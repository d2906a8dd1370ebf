"""The direct runner: a replay on this machine, with no server of any kind."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from huntbeam.pipelines.replay_options import FileOptions, ReplayOptions
from huntbeam.runners.console import Progress, said, summary
from huntbeam.runners.plans import Planned, plan_of
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.transforms.digests import lines_only
from huntbeam.transforms.read import expand, spans
from huntbeam.transforms.scan import Scanner, prepare, workers_for

if TYPE_CHECKING:
    from huntbeam.pipelines.graph import Wired


def run_replay(options: ReplayOptions) -> None:
    """Runs a replay of Windows' records to its end."""

    def steps(planned: Planned) -> Wired:
        from huntbeam.runners.steps import steps_of

        return steps_of(options, planned, ancestry=options.ancestry)

    def planned() -> Planned:
        return plan_of(options, said(options.quiet), options.since, options.until)

    run_files(options, planned, steps, options.alert_format)


def run_files(
    options: FileOptions,
    planned_of: Callable[[], Planned],
    steps_of: Callable[[Planned], Wired],
    alerts: AlertFormat = AlertFormat.COLUMNS,
) -> None:
    """Runs a replay of any records to its end. Reading begins before Beam is loaded: each takes a core of its own.

    `steps_of` is asked when Beam is there.
    """
    started = time.monotonic()
    files = expand(options.input)
    planned = planned_of()
    work = spans(files, lines_only=lines_only(planned.plan))
    progress = Progress(sum(span.size for span in work), options.quiet)
    scanner = Scanner(work, planned.plan, workers_for(work, options.workers), progress.update)
    gc.disable()  # a tenth of Beam's loading is the collector looking at what stays for good
    try:
        from huntbeam.runners.local_replay import Run, execute

        gc.freeze()
        gc.set_threshold(200_000, 20, 100)  # rows are many and hold no cycles
        gc.enable()
        ticket = uuid4().hex
        prepare(ticket, scanner)
        run = Run(work, planned.plan, steps_of(planned), alerts, ticket)
        rows, report = execute(options, run, lambda: time.monotonic() - started)
    finally:
        gc.enable()
        progress.close()
        scanner.stop()
    if not options.quiet:
        summary(rows, report, options.output, time.monotonic() - started)
