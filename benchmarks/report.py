"""Measures `huntbeam report` and `huntbeam serve` on a folder with a million joined rows. `make bench-report` runs it.

    python benchmarks/report.py [--rows 1000000] [--folder .bench/report]

What is measured: size and making of the page, its opening in Chromium (until every part of the first view is drawn),
and how long serve takes for each view when no answer is remembered: of everything, of spans, for texts, and after a new
file.
The rows are made up by DuckDB, in the columns of the streams, over two weeks: 300 hosts, 40 programs that talk to 20
addresses each.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import duckdb

from huntbeam.runners.serving import Views, server, warm
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.relations import sql_type
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.view import Rows

Process: Any = import_module("psutil").Process  # it has no types

START, SPAN = "TIMESTAMPTZ '2026-03-02 00:00:00Z'", 14 * 86_400
FILE_ROWS = 100_000
AT = f"{START} + to_milliseconds(CAST(i * {SPAN}000.0 / $rows AS BIGINT) + h(i) % 60000)"
HOST = "'ws-' || lpad(CAST(h(p) % 300 AS VARCHAR), 4, '0') || '.corp.example'"
IMAGE = "'C:\\Program Files\\Vendor ' || (h(p * 7) % 40) || '\\program' || (h(p * 7) % 40) || '.exe'"
DESTINATION = "h((h(p * 7) % 40) * 100 + h(i * 5) % 20) % 3000"  # a program talks to 20 of them
KEY = (
    f"map {{'host': {HOST}, 'user_account': 'CORP\\user' || (h(p) % 300), 'process_path': {IMAGE}, "
    "'dst_ip_addr': '192.0.2.' || (h(i * 5) % 250), 'dst_port': '443'}"
)
VALUES = {
    "event_date_creation": AT,
    "time": AT,
    "window_start": f"time_bucket(INTERVAL 5 MINUTE, {AT})",
    "window_end": f"time_bucket(INTERVAL 5 MINUTE, {AT}) + INTERVAL 5 MINUTE",
    "first_seen": AT,
    "last_seen": AT,
    "process_create_time": AT,
    "process_guid": "lower(CAST(md5_number_lower(CAST(p AS VARCHAR)) AS VARCHAR))",
    "parent_process_guid": "lower(CAST(md5_number_lower(CAST(p // 2 AS VARCHAR)) AS VARCHAR))",
    "process_id": "1000 + p % 30000",
    "process_path": IMAGE,
    "parent_process_path": "'C:\\Windows\\explorer.exe'",
    "process_command_line": f"'\"' || {IMAGE} || '\" --profile ' || p || ' --since ' || p * 37",
    "user_account": "'CORP\\user' || (h(p) % 300)",
    "hashes": "'SHA256=' || sha256(CAST(p % 500 AS VARCHAR))",
    "network_protocol": "'tcp'",
    "network_connection_initiated": "'true'",
    "src_ip_addr": "'10.1.' || (h(p) % 300) // 200 || '.' || (h(p) % 300) % 200",
    "src_port": "49152 + h(i) % 16000",
    "dst_ip_addr": f"'198.51.' || ({DESTINATION}) // 250 || '.' || ({DESTINATION}) % 250",
    "dst_port": "[443, 443, 443, 80, 445, 3389, 53][1 + h(i * 11) % 7]",
    "event_id": "3",
    "source_name": "'Microsoft-Windows-Sysmon'",
    "host": HOST,
    "event_uid": "md5(CAST(i AS VARCHAR))",
    "clock_skew_ms": "-(h(i) % 3000)",
    "reason": "'no_create'",
    "counter": "'network_destination'",
    "key": KEY,
    "count": "1 + h(i) % 40",
    "distinct": "map {'src_port': 3}",
    "distinct_capped": "false",
    "late_count": "0",
    "revision": "0",
    "retracted": "false",
    "rule_id": "'rule-' || (h(i) % 30)",
    "rule_title": "'Rule Number ' || (h(i) % 30)",
    "title": "'Rule Number ' || (h(i) % 30)",
    "rule_level": "['low', 'medium', 'high', 'critical'][1 + h(i) % 4]",
    "severity": "['low', 'medium', 'high', 'critical'][1 + h(i) % 4]",
    "attack": "['T10' || (55 + h(i) % 40)]",
    "matched": "map {'CommandLine': 'program --profile ' || p}",
    "event": f"map {{'CommandLine': 'program --profile ' || p, 'Image': {IMAGE}, 'ProcessGuid': "
    "lower(CAST(md5_number_lower(CAST(p AS VARCHAR)) AS VARCHAR))}",
    "kind": "'deviation'",
    "measure": "'count'",
    "value": "40",
    "expected": "3",
    "step": "'parse'",
    "error_class": "'InvalidJson'",
    "message": "'not valid JSON'",
    "source": "'logs/day.json.gz'",
    "raw_b64": "'eyJ0b3Ju'",
    "raw_length": "6",
}


def make(folder: Path, rows: int) -> None:
    """A folder of results as Parquet, as a stream's archive has them: files of 100,000 rows in order of time."""
    shares = {"sysmon_process_create": 8, "sysmon_network_connect": 1, "sysmon_join": 1, "sysmon_unmatched": 100}
    shares |= {"window_counts": 4, "alerts": 50, "anomalies": 500, "dead_letters": 1_000}
    folder.mkdir(parents=True)
    (folder / "_archive.json").write_text("{}")  # rows may have copies there, which costs a look at all of them
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE MACRO h(x) AS CAST(hash(x) >> 1 AS BIGINT)")
    for stream, share in shares.items():
        (folder / stream).mkdir(parents=True)
        exprs = ", ".join(
            f'CAST({VALUES.get(c.name, "NULL")} AS {sql_type(c.kind)}) AS "{c.name}"' for c in columns(STREAMS[stream])
        )
        count = rows // share
        p = "i" if stream == "sysmon_process_create" else f"(i * {share}) // 8"
        for number, start in enumerate(range(0, count, FILE_ROWS)):
            source = f"SELECT i, {p} AS p FROM range({start}, {min(count, start + FILE_ROWS)}) AS r(i)"  # noqa: S608
            sql = f"SELECT {exprs.replace('$rows', str(count))} FROM ({source})"  # noqa: S608
            target = folder / stream / f"part-0-{number:05}.parquet"
            connection.execute(f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def report(folder: Path) -> Path:
    """Makes the page; prints how long that took, how much memory, and how large it is."""
    page = folder.parent / "report.html"
    started = time.monotonic()
    command = [sys.executable, "-m", "huntbeam.runners.cli", "report", str(folder), "-o", str(page), "--quiet"]
    with subprocess.Popen(command) as process:
        watched, peak = Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, watched.memory_info().rss if watched.is_running() else 0)
            time.sleep(0.05)
    assert process.returncode == 0
    print(f"report: {page.stat().st_size / 1e6:.1f} MB in {time.monotonic() - started:.1f} s, peak {peak / 1e6:.0f} MB")
    return page


def opening(page: Path) -> None:
    """Opens the page in Chromium; prints the time until it is drawn, the best and worst of five."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(5):
            tab = browser.new_page()
            started = time.monotonic()
            tab.goto(page.resolve().as_uri())
            tab.wait_for_selector("html[data-ready]")
            times.append(time.monotonic() - started)
            tab.close()
        browser.close()
    print(f"opens in {min(times):.2f} to {max(times):.2f} s")


def serving(folder: Path) -> None:
    """Asks a server for each view; prints the slowest: at once, when all files are counted, after a new file."""
    started = time.monotonic()
    with Store(folder, rollups=True) as store:
        print(f"serve: opened in {time.monotonic() - started:.1f} s")
        asked(store, "before the files are counted", {})
        started = time.monotonic()
        warm(store)
        print(f"  files counted in {time.monotonic() - started:.1f} s")
        third = store.grid.start + store.grid.width * (store.grid.buckets // 3)
        asked(store, "of everything", {})
        asked(store, "of a short span", {"since": third, "until": third + store.grid.width * 5})
        asked(store, "of a long span", {"since": third, "until": third * 2 - store.grid.start})
        asked(store, "with a text of many rows", {"text": "profile 7"})
        asked(store, "with a text of few rows", {"text": "profile 123456"})
        with more_files(folder):
            started = time.monotonic()
            store.refresh()
            print(f"  a file more in each folder: taken up in {time.monotonic() - started:.2f} s")
            asked(store, "of everything then", {})
        store.refresh()
        row = store.query("SELECT lower(host), process_guid FROM creates WHERE t IS NOT NULL LIMIT 1")[0]
        with asking(store) as port:
            print(f"  a process tree: {_asked(port, 'tree', {'host': row[0], 'guid': row[1]}):.2f} s")
        print(f"  memory: {Process().memory_info().rss / 1e6:.0f} MB")


def asked(store: Store, what: str, query: dict[str, Any]) -> None:
    """Prints the slowest views; of a server of its own, that remembers nothing."""
    with asking(store) as port:
        searched = [name for name, view in VIEWS.items() if isinstance(view, Rows) and (view.search or view.lower)]
        taken = {name: _asked(port, f"view/{name}", query) for name in (searched if "text" in query else VIEWS)}
    slow = sorted(taken, key=taken.__getitem__, reverse=True)[:4]
    print(f"  views {what}: the slowest " + ", ".join(f"{name} {taken[name]:.2f} s" for name in slow), flush=True)


@contextmanager
def asking(store: Store) -> Iterator[int]:
    """The port of a server."""
    with server(Views(store, 5, ()), 0) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http.server_address[1]
        http.shutdown()


@contextmanager
def more_files(folder: Path) -> Iterator[None]:
    """In each stream's folder its last file once more, for a while."""
    last = [max(path.glob("*.parquet")) for path in folder.iterdir() if path.is_dir()]
    added = [Path(shutil.copy(path, path.with_name("part-1-00000.parquet"))) for path in last]
    try:
        yield
    finally:
        for path in added:
            path.unlink()


def _asked(port: int, path: str, query: dict[str, Any]) -> float:
    started = time.monotonic()
    with urlopen(f"http://127.0.0.1:{port}/api/{path}?{urlencode(query)}") as answer:  # our own server
        answer.read()
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(".bench/report"))
    parser.add_argument("--no-browser", action="store_true", help="leave the opening out")
    args = parser.parse_args()
    folder = args.folder / f"rows-{args.rows}"
    if not folder.is_dir():
        aside = folder.with_suffix(".part")
        shutil.rmtree(aside, ignore_errors=True)
        make(aside, args.rows)
        aside.rename(folder)
    page = report(folder)
    if not args.no_browser:
        opening(page)
    serving(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
