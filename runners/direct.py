"""The direct runner: a replay on this machine, with no server of any kind."""

from __future__ import annotations

import gc
import time
from uuid import uuid4

from huntbeam.pipelines.replay_options import FileOptions
from huntbeam.runners.console import Progress, summary
from huntbeam.runners.replaying import Work
from huntbeam.transforms.digests import lines_only
from huntbeam.transforms.read import expand, spans
from huntbeam.transforms.scan import Scanner, prepare, workers_for


def run_direct(options: FileOptions, work: Work) -> None:
    """Runs a replay to its end. Reading begins before Beam is loaded: each takes a core of its own."""
    started = time.monotonic()
    files = expand(options.input)
    planned = work.planned()
    read = spans(files, lines_only=lines_only(planned.plan))
    progress = Progress(sum(span.size for span in read), options.quiet)
    scanner = Scanner(read, planned.plan, workers_for(read, options.workers), progress.update)
    gc.disable()  # a tenth of Beam's loading is the collector looking at what stays for good
    try:
        from huntbeam.runners.local_replay import Run, execute

        gc.freeze()
        gc.set_threshold(200_000, 20, 100)  # rows are many and hold no cycles
        gc.enable()
        ticket = uuid4().hex
        prepare(ticket, scanner)
        run = Run(read, planned.plan, work.steps(planned), work.alerts, ticket)
        rows, report = execute(options, run, lambda: time.monotonic() - started)
    finally:
        gc.enable()
        progress.close()
        scanner.stop()
    if not options.quiet:
        summary(rows, report, options.output, time.monotonic() - started)
