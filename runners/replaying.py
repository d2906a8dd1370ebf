"""What a replay of files is: its plan, its steps, and where it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huntbeam.pipelines.replay_options import FileOptions, ReplayOptions
from huntbeam.runners.console import said
from huntbeam.runners.plans import Planned, plan_of
from huntbeam.schemas.ecs import AlertFormat

if TYPE_CHECKING:
    from huntbeam.pipelines.graph import Wired


@dataclass(frozen=True)
class Work:
    """What is done with files. Each is asked when it is needed: the steps when Beam is there."""

    command: str
    planned: Callable[[], Planned]
    steps: Callable[[Planned], Wired]
    alerts: AlertFormat = AlertFormat.COLUMNS


def run_replay(options: ReplayOptions) -> int | None:
    """Runs a replay of Windows' records to its end; gives the exit code."""

    def steps(planned: Planned) -> Wired:
        from huntbeam.runners.steps import steps_of

        return steps_of(options, planned, ancestry=options.ancestry)

    def planned() -> Planned:
        return plan_of(options, said(options.quiet), options.since, options.until)

    return run_files(options, Work("replay", planned, steps, options.alert_format))


def run_files(options: FileOptions, work: Work) -> int | None:
    """Runs a replay of any records to its end; gives the exit code."""
    if options.dataflow is not None:
        from huntbeam.runners.dataflow_replay import run_dataflow

        return run_dataflow(options, options.dataflow, work)
    from huntbeam.runners.direct import run_direct

    run_direct(options, work)
    return None
