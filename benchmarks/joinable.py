"""Winlogbeat records of which every one joins: a process create before its seven network connects.

The workload on which a table join loses rows: under load, connects overtake the create of their process.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for those who load this file by its path

from shapes import render
from world import PROGRAMS, START, WEB, Host, Process, make_host, make_process, network_connect, process_create

CONNECTS = 7  # of each process
LIVE = 200  # processes at a time


def records(processes: int, seed: int = 7, start: int = START, pause_ms: float = 10) -> Iterator[bytes]:
    """`processes` creates and seven times as many connects, as lines of Winlogbeat 7; the creates come first.

    Event time begins at `start`, milliseconds since 1970, and goes on by `pause_ms` an event, on average.
    """
    rnd = random.Random(seed)  # noqa: S311 - made-up data, not secrets
    hosts = [make_host(n, f"WS-{n + 1:04}", rnd) for n in range(50)]
    live: list[tuple[Host, Process, int]] = []
    now, begun = float(start), 0
    while begun < processes or live:
        now += 2 * pause_ms * rnd.random()
        if begun < processes and (len(live) < LIVE or rnd.random() < 1 / (CONNECTS + 1)):
            host = hosts[rnd.randrange(len(hosts))]
            process = make_process(host, PROGRAMS[rnd.randrange(len(PROGRAMS))], int(now), rnd)
            begun += 1
            live.append((host, process, CONNECTS))
            yield render("wlb7", process_create(host, process, rnd))
            continue
        at = rnd.randrange(len(live))
        host, process, left = live[at]
        yield render("wlb7", network_connect(host, process, int(now), rnd, dst=WEB[rnd.randrange(len(WEB))], port=443))
        live[at] = (host, process, left - 1)
        if left == 1:
            live[at] = live[-1]
            live.pop()
