"""Sends numbered records as datagrams at a steady rate, and says how many: the load for `huntbeam collect`.

python benchmarks/syslog_load.py --to 127.0.0.1:1514 --rate 20000 --seconds 60
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

TICK = 0.005  # seconds: a burst each, as many hosts at once would send
_REST = "\t".join(
    ["10.0.0.5", "131752944000000000", "4711", "0", "C:\\Windows\\System32\\svchost.exe"] + ["x" * 24] * 8
)


def record(number: int) -> bytes:
    """A record of about 300 bytes that has its number in it."""
    return f"1500\t{number:012}\t{_REST}".encode()


def bursts(rate: int, seconds: float) -> Iterator[range]:
    """The numbers to send, each burst when it is due."""
    began, sent = time.monotonic(), 0
    total = round(rate * seconds)
    while sent < total:
        due = min(round((time.monotonic() - began) * rate), total)
        yield range(sent, due)
        sent = due
        time.sleep(TICK)


def send(host: str, port: int, rate: int, seconds: float) -> int:
    """Sends, and returns how many the kernel took."""
    taken = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        to.connect((host, port))
        for burst in bursts(rate, seconds):
            for number in burst:
                with suppress(ConnectionRefusedError):  # nobody listens: it was not taken
                    to.send(record(number))
                    taken += 1
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", default="127.0.0.1:1514", metavar="HOST:PORT")
    parser.add_argument("--rate", type=int, default=20_000, metavar="N", help="datagrams a second (default: 20000)")
    parser.add_argument("--seconds", type=float, default=60, metavar="S", help="how long (default: 60)")
    args = parser.parse_args()
    host, _, port = args.to.rpartition(":")
    began = time.monotonic()
    sent = send(host, int(port), args.rate, args.seconds)
    passed = time.monotonic() - began
    print(f"sent {sent} in {passed:.1f} s, {sent / passed:.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
