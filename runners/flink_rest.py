"""Flink's REST interface: jobs, their metrics, savepoints. Nothing here needs Beam."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec

from huntbeam.schemas.errors import UnusableError

TIMEOUT = 10.0  # seconds for one answer
SAVEPOINT = 600.0  # seconds for a savepoint
_NAMESPACE = re.compile(r"^.*huntbeam_[a-z_]*[A-Z][A-Za-z]*_")  # a class is the one part with capitals
ENDED = frozenset({"FINISHED", "CANCELED", "FAILED", "SUSPENDED"})


class FlinkUnusable(UnusableError):  # noqa: N818 - it is an UnusableError, and reads as what it says
    """Flink cannot be reached, or refuses what it is asked for."""


class UnknownJob(FlinkUnusable):
    """Flink does not know a job: it never did, or its job manager was restarted since."""


class FlinkJob(msgspec.Struct, frozen=True):
    """A job as /jobs/overview has it; times in ms since 1970, -1 for what has not come."""

    jid: str
    name: str
    state: str
    start_time: int = msgspec.field(name="start-time", default=-1)
    end_time: int = msgspec.field(name="end-time", default=-1)
    duration: int = 0


class Checkpoint(msgspec.Struct, frozen=True):
    """The last checkpoint or savepoint of a job that can be resumed from."""

    external_path: str
    latest_ack_timestamp: int = 0
    is_savepoint: bool = False


class FlinkRest:
    """A cluster at a URL."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise FlinkUnusable(f"--flink_rest {url}: write a URL such as http://127.0.0.1:8081")
        self.url = url.rstrip("/")

    def slots(self) -> tuple[int, int]:
        """Task slots: all, and those that are free."""
        overview = self._get("/overview")
        return overview["slots-total"], overview["slots-available"]

    def version(self) -> str:
        """Flink's version."""
        return str(self._get("/config")["flink-version"])

    def jobs(self) -> list[FlinkJob]:
        """All jobs that the cluster remembers, the latest first."""
        found = msgspec.convert(self._get("/jobs/overview")["jobs"], list[FlinkJob])
        return sorted(found, key=lambda job: -job.start_time)

    def find(self, named: str) -> FlinkJob:
        """The job of an id, the beginning of one, or a name. Raises UnknownJob, and FlinkUnusable for several."""
        found = [job for job in self.jobs() if job.jid.startswith(named) or job.name == named]
        running = [job for job in found if job.state not in ENDED] or found[:1]
        if not running:
            raise UnknownJob(
                f"Flink knows no job called {named}: `huntbeam jobs list` shows those that it knows; for one that was "
                "lost with its job manager `huntbeam jobs checkpoint ID` prints what to resume from"
            )
        if len(running) > 1:
            raise FlinkUnusable(f"several jobs are called {named}: `huntbeam jobs list` shows their ids")
        return running[0]

    def job(self, jid: str) -> FlinkJob:
        """A job by its id."""
        return self.find(jid)

    def cause(self, jid: str) -> str:
        """Why a job failed, in one line; empty when it did not."""
        trace = str(self._get(f"/jobs/{jid}/exceptions").get("root-exception") or "")
        causes = [line for line in trace.splitlines() if line.startswith("Caused by: ")]
        return (causes[-1].removeprefix("Caused by: ") if causes else trace.partition("\n")[0])[:500]

    def cancel(self, jid: str) -> None:
        """Ends a job; its checkpoints stay. Returns when it has ended."""
        self._call(f"/jobs/{jid}?mode=cancel", "PATCH")
        self._await_end(jid)

    def stop(self, jid: str, folder: str | None) -> str:
        """Ends a job with a savepoint and gives its path; `folder` None is the cluster's own.

        Not by Flink's `stop`: it ends the sources first, Beam's then say that time is over, and all that waits in the
        state is put out or forgotten before the savepoint is made of it.
        """
        body: dict[str, Any] = {"cancel-job": True} | ({"target-directory": folder} if folder else {})
        asked = self._call(f"/jobs/{jid}/savepoints", "POST", body)
        until = time.monotonic() + SAVEPOINT
        while time.monotonic() < until:
            found = self._get(f"/jobs/{jid}/savepoints/{asked['request-id']}")
            if found["status"]["id"] == "COMPLETED":
                return self._saved(jid, found["operation"])
            time.sleep(0.3)
        raise FlinkUnusable(
            f"job {jid} has made no savepoint within {SAVEPOINT:.0f} s: it runs on; look at Flink's log"
        )

    def _saved(self, jid: str, operation: Mapping[str, Any]) -> str:
        if "location" not in operation:
            reason = str(operation.get("failure-cause", {}).get("stack-trace", "")).partition("\n")[0]
            raise FlinkUnusable(f"job {jid} made no savepoint ({reason[:300]}): it runs on; try again")
        self._await_end(jid)
        return str(operation["location"])

    def checkpoint(self, jid: str) -> Checkpoint | None:
        """The last checkpoint or savepoint that was completed."""
        latest = self._get(f"/jobs/{jid}/checkpoints").get("latest") or {}
        found = [latest[kind] for kind in ("completed", "savepoint", "restored") if latest.get(kind)]
        usable = [msgspec.convert(one, Checkpoint) for one in found if one.get("external_path", "").startswith("file:")]
        return max(usable, key=lambda one: one.latest_ack_timestamp, default=None)

    def checkpoints(self, jid: str) -> dict[str, int]:
        """How many checkpoints were completed, failed and so on."""
        return dict(self._get(f"/jobs/{jid}/checkpoints")["counts"])

    def checkpoint_folder(self) -> str | None:
        """Where the cluster's configuration puts checkpoints, as a URI; None when it says nothing."""
        values = {one["key"]: one["value"] for one in self._get("/jobmanager/config")}
        renamed = values.get("execution.checkpointing.dir")  # its name from Flink 1.20 on
        return renamed or values.get("state.checkpoints.dir")

    def counters(self, jid: str) -> dict[str, int]:
        """The sums of HuntBeam's own counters over all steps and subtasks, by name."""
        totals: dict[str, int] = {}
        for name, value in self._beam_metrics(jid):
            totals[name] = totals.get(name, 0) + value
        return totals

    def _beam_metrics(self, jid: str) -> Iterator[tuple[str, int]]:
        for vertex in self._get(f"/jobs/{jid}")["vertices"]:
            path = f"/jobs/{jid}/vertices/{vertex['id']}/subtasks/metrics"
            names = [m["id"] for m in self._get(path) if "huntbeam" in m["id"]]
            for start in range(0, len(names), 20):
                chosen = ",".join(names[start : start + 20])
                for metric in self._get(f"{path}?get={chosen}&agg=sum"):
                    yield counter_name(metric["id"]), int(metric["sum"])

    def _await_end(self, jid: str) -> None:
        until = time.monotonic() + 60
        while self.job(jid).state not in ENDED and time.monotonic() < until:
            time.sleep(0.2)

    def _get(self, path: str) -> Any:
        return self._call(path, "GET")

    def _call(self, path: str, method: str, body: object = None) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - http(s) only, see __init__
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - as above
                text = answer.read()
            return msgspec.json.decode(text) if text else None
        except HTTPError as error:
            reason = error.read().decode(errors="replace")[:200]
            raise FlinkUnusable(f"Flink at {self.url} refuses {method} {path} ({error.code}): {reason}") from error
        except (URLError, OSError, HTTPException, msgspec.DecodeError) as error:
            raise FlinkUnusable(
                f"Flink does not answer at {self.url}: check --flink_rest, or start it with `huntbeam stack up`"
            ) from error


def counter_name(metric: str) -> str:
    """A counter's name in the id that Flink gives its metric: operator, module and class go before it.

    >>> counter_name("[5]{Join__Write}.huntbeam_transforms_kafka_io_EncodeRowsFn_emitted_sysmon_join")
    'emitted_sysmon_join'
    >>> counter_name("[3]{Join}.huntbeam_transforms_join_unbounded__Gather_unmatched")
    'unmatched'
    """
    return _NAMESPACE.sub("", metric)
