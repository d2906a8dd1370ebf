"""The whole way of Monster Agent's records on this machine: syslog, Kafka, Flink, OpenSearch, what panels show.

`make demo-monster` runs it. It starts servers of its own, in out/demo-monster, sends synthetic records as an agent
would, and stops everything at its end, also when it is interrupted. Without Java 17 or Maven it says so and ends.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))  # for those who load this file by its path

import msgspec
from monster_records import records
from rich.console import Console
from rich.table import Table
from rich.text import Text

from huntbeam.runners.search.panel_queries import MISSING, aggregations, numbers, query
from huntbeam.runners.stack.stack import Addresses, Stack, lacking
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.panels import MONSTER_AGENT, Over, Panel, Shape, Split
from huntbeam.transforms.search_http import SearchClient, SearchServer

ROOT = Path(__file__).parent.parent
HOME = ROOT / "out" / "demo-monster"
RECORDS = 5_200  # a hundred of each event id
BURST, PAUSE = 50, 0.01  # datagrams, and seconds between bursts: 5,000 a second at most
PATIENCE = 240.0  # seconds until all documents are there; a busy machine is no failure
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOWN = ("commands", "signers", "exfiltration", "addresses")
LINES = 6  # of a panel
_ALL = "monster-*"
_OTHERS = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "FLINK_REST",
    "JOB_ENDPOINT",
    "EXPANSION_SERVICE",
    "WORKER_POOL",
    "OPENSEARCH_URL",
)

console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)


def environment() -> dict[str, str]:
    """In which commands find this demo's servers and no others."""
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    return kept | {"HUNTBEAM_STACK_HOME": str(HOME)}


def command(*argv: str) -> list[str]:
    """A command as a process is started; it is shown as one types it."""
    console.print(Text(f"\n$ huntbeam {shlex.join(argv)}", style="bold"))
    return [sys.executable, "-m", "huntbeam.runners.cli", *argv]


def run(*argv: str) -> None:
    """Runs a command to its end."""
    done = subprocess.run(command(*argv), env=environment(), check=False)
    if done.returncode:
        raise UnusableError(f"huntbeam {argv[0]} ended with exit code {done.returncode}")


@contextmanager
def collecting(port: int) -> Iterator[None]:
    """A collector that listens."""
    spool, status = HOME / "data" / "collect", HOME / "data" / "collect.json"
    argv = ("collect", "--syslog", f"127.0.0.1:{port}", "--topic", "monster", "--spool", str(spool))
    with subprocess.Popen([*command(*argv), "--status", str(status)], env=environment()) as process:
        try:
            wait(lambda: status.exists() or process.poll() is not None, "the collector does not listen")
            if process.poll() is not None:
                raise UnusableError("the collector ended, as it says above")
            yield
        finally:
            process.terminate()
            process.wait()


def send(port: int) -> None:
    """An agent's datagrams, and one that is torn."""
    lines = [record.line for record in records(RECORDS)] + [b"1500\ttorn"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        for begin in range(0, len(lines), BURST):
            for line in lines[begin : begin + BURST]:
                to.sendto(line, ("127.0.0.1", port))
            time.sleep(PAUSE)
    console.print(f"\nsent {len(lines):,} synthetic records to UDP port {port}, one of them torn")


def wait(is_so: Callable[[], bool], else_: str) -> None:
    """Until it is so. Raises UnusableError."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise UnusableError(f"{else_} after {PATIENCE:.0f} s; the servers' logs are in {HOME / 'logs'}")
        time.sleep(0.5)


def asked(client: SearchClient, body: dict[str, Any]) -> dict[str, Any]:
    """An answer of the index; empty while there is none."""
    client.request("POST", f"/{_ALL}/_refresh")
    answer = client.request("POST", f"/{_ALL}/_search", msgspec.json.encode({"track_total_hits": True, **body}))
    found: dict[str, Any] = answer.json() if answer.status == 200 else {}
    return found


def total(client: SearchClient) -> int:
    """Documents in the index."""
    found: int = asked(client, {"size": 0}).get("hits", {}).get("total", {}).get("value", 0)
    return found


def show(client: SearchClient, panel: Panel) -> None:
    """The first lines of what a panel holds."""
    body = {"size": 0, "query": query(panel.where), "aggs": aggregations(panel, "1d")}
    found = numbers(panel, asked(client, body)["aggregations"])
    labels = [split.label for split in panel.splits if isinstance(split, Split)]
    columns = ("sent", "received", "ratio") if panel.shape is Shape.RATIO else ("documents",)
    table = Table(*labels, *columns, title=panel.title, title_justify="left")
    for keys, values in list(found.items())[:LINES]:
        cells = [text_of(key, split) for key, split in zip(keys, panel.splits, strict=False)]
        if panel.shape is Shape.RATIO:
            _, out, back = values
            cells += [f"{out:,.0f}", f"{back:,.0f}", f"{out / max(back, 1):.2f}"]
        else:
            cells.append(f"{values[0]:,}")
        table.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in cells))
    console.print()
    console.print(table)


def text_of(key: Any, split: Split | Over) -> str:
    """A bucket's key as the panel shows it."""
    return split.missing or "" if key == MISSING and isinstance(split, Split) else str(key)


def tour(at: Addresses) -> None:
    """Every step, with the servers there."""
    url = at.opensearch or ""
    client = SearchClient(SearchServer(url))
    run("index", "setup", "--index", url)
    run("topics", "create", "monster")
    run("monster", "--input_topic", "monster", "--on", "flink", "--index", url, "--detach")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with collecting(port):
        send(port)
        wait(lambda: total(client) >= RECORDS, "not all documents came")
    run("topics", "list")
    run("index", "show", "--index", url)
    for panel in MONSTER_AGENT.panels:
        if panel.name in SHOWN:
            show(client, panel)
    console.print(f"\n{total(client):,} documents of {RECORDS:,} records; the torn one is in the topic DEAD_LETTERS.")
    console.print("The other panels, and how they get into OpenSearch Dashboards or Kibana: docs/dashboards.md")


def interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    missing = lacking(["opensearch"])
    if missing:
        print(f"make demo-monster is skipped: {missing}")
        return 0
    for number in SIGNALS:
        signal.signal(number, interrupted)
    stack = Stack(HOME, say=lambda text: console.print(f"  {text}"))
    stack.down(delete=True)  # one that was killed may have left it
    keep = False  # the logs, which tell why
    try:
        console.print(Text("$ huntbeam stack up --with opensearch", style="bold"))
        console.print("  servers of this demo alone, on loopback; the first time 480 MB of jars are fetched")
        tour(stack.up(search=["opensearch"]))
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        return 130
    except UnusableError as error:
        keep = True
        print(f"make demo-monster: {error}", file=sys.stderr)
        return 1
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the servers are stopped whatever comes
        console.print(Text(f"\n$ huntbeam stack down{'' if keep else ' --delete'}", style="bold"))
        stack.down(delete=not keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
