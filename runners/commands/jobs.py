"""`huntbeam jobs`: what runs on Flink, stopping it with a savepoint, cancelling it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from huntbeam.runners.flink_rest import ENDED, FlinkJob, FlinkRest, FlinkUnusable, UnknownJob
from huntbeam.runners.retained import last_checkpoint

_EPILOG = """\
examples:
  huntbeam jobs list
  huntbeam jobs stop huntbeam-stream --savepoint file:///srv/savepoints
  huntbeam stream ... --savepoint file:///srv/savepoints/savepoint-1a2b3c-...   # goes on where it stopped
  huntbeam jobs checkpoint huntbeam-stream                                      # what to resume from after a crash
  huntbeam stream ... --savepoint "$(huntbeam jobs checkpoint 0c8bf4c3)"        # also once Flink has forgotten the job
"""
_COLUMNS = ("id", "name", "state", "started", "checkpoints", "resume from")


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "jobs",
        help="list, stop and cancel jobs on Flink",
        description="Lists the jobs of a Flink cluster, stops them with a savepoint, cancels them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _action(actions, "list", "show jobs, and what each can be resumed from", _list)
    stop = _action(actions, "stop", "stop a job with a savepoint, and print the savepoint's path", _stop, named=True)
    stop.add_argument(
        "--savepoint", nargs="?", metavar="DIR", help="where the savepoint goes (default: where Flink keeps them)"
    )
    _action(actions, "cancel", "end a job; its last checkpoint stays", _cancel, named=True)
    checkpoint = _action(actions, "checkpoint", "print the path of a job's last checkpoint", _checkpoint, named=True)
    checkpoint.add_argument(
        "--checkpoints",
        metavar="DIR",
        help="look into this folder and do not ask Flink (default: Flink, and of a job that it has forgotten, which is "
        "found by its id, the folder that Flink's state.checkpoints.dir names)",
    )


def _action(actions: Any, name: str, text: str, run: Any, *, named: bool = False) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    if named:
        parser.add_argument("job", metavar="JOB", help="id, beginning of an id, or name")
    parser.add_argument("--flink_rest", metavar="URL", help="default: FLINK_REST, else the local stack's")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    parser.set_defaults(run=run, interrupted="interrupted; the job is as it was")
    return parser


def _rest(args: argparse.Namespace) -> FlinkRest:
    from huntbeam.runners.flink_addresses import FLINK_REST, address

    return FlinkRest(address(FLINK_REST, args.flink_rest))


def _list(args: argparse.Namespace) -> None:
    rest = _rest(args)
    rows = [_row(rest, job) for job in rest.jobs()]
    if not sys.stdout.isatty():
        print("\t".join(_COLUMNS))
        for row in rows:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*_COLUMNS)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _row(rest: FlinkRest, job: FlinkJob) -> tuple[str, ...]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.start_time / 1000)) if job.start_time > 0 else "-"
    counts, last = rest.checkpoints(job.jid), rest.checkpoint(job.jid)
    return job.jid, job.name, job.state.lower(), started, str(counts["completed"]), last.external_path if last else "-"


def _stop(args: argparse.Namespace) -> None:
    rest = _rest(args)
    print(rest.stop(_running(rest, args.job).jid, args.savepoint))


def _cancel(args: argparse.Namespace) -> None:
    rest = _rest(args)
    job = _running(rest, args.job)
    rest.cancel(job.jid)
    print(f"huntbeam: {job.name} ({job.jid}) is cancelled", file=sys.stderr)


def _checkpoint(args: argparse.Namespace) -> None:
    if args.checkpoints:
        print(last_checkpoint(args.checkpoints, args.job).folder.as_uri())
        return
    rest = _rest(args)
    try:
        job = rest.find(args.job)
    except UnknownJob as error:
        print(_forgotten(rest.checkpoint_folder(), args.job, error))
        return
    last = rest.checkpoint(job.jid)
    if last is None:
        raise FlinkUnusable(f"the job {job.jid} has completed no checkpoint yet: wait for --checkpointing_interval")
    print(last.external_path)


def _forgotten(folder: str | None, named: str, error: UnknownJob) -> str:
    """The last checkpoint of a job that was lost with its job manager. Says whose it is, and how old."""
    if folder is None:
        raise error
    last = last_checkpoint(folder, named)
    said = f"Flink has forgotten the job {last.jid}; its last checkpoint is of {last.time()}"
    print(f"huntbeam: {said}", file=sys.stderr)
    return last.folder.as_uri()


def _running(rest: FlinkRest, named: str) -> FlinkJob:
    job = rest.find(named)
    if job.state in ENDED:
        raise FlinkUnusable(f"the job {job.jid} has ended ({job.state.lower()}): there is nothing to stop")
    return job
