"""The direct runner: a replay on this machine, with no server of any kind."""

from __future__ import annotations

import gc
import time
from uuid import uuid4

from huntbeam.pipelines.replay_options import ReplayOptions
from huntbeam.runners.console import Progress, said, summary
from huntbeam.runners.plans import plan_of
from huntbeam.transforms.read import expand, spans
from huntbeam.transforms.scan import Scanner, prepare, workers_for


def run_replay(options: ReplayOptions) -> None:
    """Runs a replay to its end. Reading begins before Beam is loaded: each takes a core of its own."""
    started = time.monotonic()
    work = spans(expand(options.input))
    planned = plan_of(options, said(options.quiet), options.since, options.until)
    progress = Progress(sum(span.size for span in work), options.quiet)
    scanner = Scanner(work, planned.plan, workers_for(work, options.workers), progress.update)
    gc.disable()  # a tenth of Beam's loading is the collector looking at what stays for good
    try:
        from huntbeam.runners.local_replay import execute

        gc.freeze()
        gc.set_threshold(200_000, 20, 100)  # rows are many and hold no cycles
        gc.enable()
        ticket = uuid4().hex
        prepare(ticket, scanner)
        rows, report = execute(options, work, planned, ticket, lambda: time.monotonic() - started)
    finally:
        gc.enable()
        progress.close()
        scanner.stop()
    if not options.quiet:
        summary(rows, report, options.output, time.monotonic() - started)
