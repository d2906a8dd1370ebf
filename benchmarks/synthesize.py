"""Writes synthetic but lifelike Windows telemetry, and the answer that a right program must find in it.

    python benchmarks/synthesize.py OUT.ndjson[.gz] --events 300000 --shape wlb6

writes OUT.ndjson and OUT.answer.json. Everything is invented: hosts, users, software versions, hashes, addresses
(documentation and private ranges only). The same options and seed give the same bytes. The answer is counted here
from the values that went into the lines, by plain sets and dicts; nothing of HuntBeam is imported.

What is modelled on real archives: the shapes of Winlogbeat 6, 7 and 8, NXLog, flat TimeCreated exports and Azure's
arrays; a collector's name where one expects the source's; clocks of event 3 that are days off; creates that come after
their connects; processes older than the archive; GUIDs in three spellings; local times that claim to be UTC.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import random
import sys
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).parent))  # for those who load this file by its path

from filler import Filler
from shapes import SHAPES, encode, render
from world import (
    BEACON,
    DAY,
    DOMAIN,
    HOUR,
    MINUTE,
    OLD_PROGRAMS,
    PROGRAMS,
    SERVICE,
    SPREADER,
    START,
    SYSMON,
    WEB,
    WINRM,
    ZERO_GUID,
    Event,
    Facts,
    Host,
    Process,
    Program,
    make_host,
    make_process,
    network_connect,
    process_create,
    process_terminate,
    spaced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WINDOW = 5 * MINUTE
MAX_LIVE = 24  # processes kept alive on a host
LATE, LATE_BY = 0.06, 30 * MINUTE  # share of creates that come late, most of them after their first connects
DISORDER_BY = 2 * MINUTE


class Tally:
    """Counts what is written, line by line."""

    def __init__(self) -> None:
        self.events = self.bytes = self.dead_letters = self.blank_lines = self.repeats = 0
        self.creates = self.connects = self.zero_guid = 0
        self._by_id: dict[tuple[str, int], int] = {}
        self._repeated: dict[tuple[str, int], int] = {}
        self._created: set[str] = set()
        self._connected: dict[str, int] = {}
        self._destinations: set[tuple[int, str, str, str, str, int]] = set()
        self._images: set[tuple[int, str, str]] = set()

    def add(self, facts: Facts, *, repeat: bool = False) -> None:
        """Counts a line that is an event; a repeat is one like any other, and counted as such too."""
        kind = facts.kind
        self.events += 1
        self._by_id[kind] = self._by_id.get(kind, 0) + 1
        if repeat:
            self.repeats += 1
            self._repeated[kind] = self._repeated.get(kind, 0) + 1
        if kind == (SYSMON, 1):
            self._create(facts)
        elif kind == (SYSMON, 3):
            self._connect(facts)

    def _create(self, facts: Facts) -> None:
        self.creates += 1
        self._created.add(f"{facts.host} {facts.guid}")
        if facts.utc is not None:
            self._images.add((facts.utc // WINDOW, facts.host, facts.image))

    def _connect(self, facts: Facts) -> None:
        self.connects += 1
        if facts.guid == ZERO_GUID:
            self.zero_guid += 1
        else:
            key = f"{facts.host} {facts.guid}"
            self._connected[key] = self._connected.get(key, 0) + 1
        if facts.utc is not None:
            self._destinations.add((facts.utc // WINDOW, facts.host, facts.user, facts.image, facts.dst, facts.port))

    def answer(self) -> dict[str, Any]:
        """The known answer: how many rows a replay must write."""
        join = sum(n for key, n in self._connected.items() if key in self._created)
        return {
            "events": self.events,
            "bytes": self.bytes,
            "by_id": [[p, i, n] for (p, i), n in sorted(self._by_id.items())],
            "process_create": self.creates,
            "network_connect": self.connects,
            "join": join,
            "unmatched": {"no_create": self.connects - self.zero_guid - join, "zero_guid": self.zero_guid},
            "window_counts": {"network_destination": len(self._destinations), "process_image": len(self._images)},
            "dead_letters": self.dead_letters,
            "blank_lines": self.blank_lines,
            "repeats": self.repeats,
            "repeats_by_id": [[p, i, n] for (p, i), n in sorted(self._repeated.items())],
        }


class Archive:
    """A file that is being written, and its tally. Keeps nothing of what it wrote but the tally's keys."""

    def __init__(self, out: IO[bytes], shape: str, tally: Tally) -> None:
        self._out, self._array, self._tally = out, shape == "array", tally
        self._first = True
        self._end = b"" if self._array else b"\r\n" if shape == "timecreated" else b"\n"
        if self._array:
            self._raw(b"[")

    def write(self, text: bytes, facts: Facts, *, repeat: bool = False) -> None:
        self._record(text)
        self._tally.add(facts, repeat=repeat)

    def write_dirty(self, text: bytes) -> None:
        """A line that no program can use."""
        self._record(text)
        self._tally.dead_letters += 1

    def write_blank(self) -> None:
        if not self._array:
            self._raw(self._end)
            self._tally.blank_lines += 1

    def _record(self, text: bytes) -> None:
        self._raw(b"," + text if self._array and not self._first else text + self._end)
        self._first = False

    def _raw(self, text: bytes) -> None:
        self._out.write(text)
        self._tally.bytes += len(text)

    def close(self) -> None:
        if self._array:
            self._raw(b"]")


@contextmanager
def opened(path: Path, shape: str, tally: Tally) -> Iterator[Archive]:
    """An archive at a path; gzip where its name ends in .gz, always with the same header."""
    with path.open("wb", buffering=1 << 20) as raw:
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else None
        archive = Archive(packed or raw, shape, tally)  # type: ignore[arg-type]
        yield archive
        archive.close()
        if packed:
            packed.close()


def dirty_line(shape: str, host: Host, process: Process, now: int, number: int, rnd: random.Random) -> bytes:
    """One line of which nothing can be made; `number` chooses the kind."""
    connect = network_connect(host, process, now, rnd, dst=WEB[0], port=443)
    without = connect._replace(fields={k: v for k, v in connect.fields.items() if k != "ProcessGuid"})
    create = process_create(host, process, rnd)
    if shape == "array":  # it must stay one JSON value
        return (render(shape, without), b"42", b'"a lost line"')[number % 3]
    kinds = (
        lambda: render(shape, connect)[: 200 + rnd.randrange(300)],  # torn
        lambda: render(shape, without),
        lambda: b"<14>Mar  4 09:00:00 relay-3 winlog: buffer overrun, 3 messages lost",
        lambda: render(shape, connect) + render(shape, create),  # lost line end
        lambda: b'"a lost line"',
        lambda: render(shape, create)[300:],  # its head is missing
        lambda: render(shape, create._replace(fields={"UtcTime": spaced(now)}, message="")),
        lambda: b"1709539200",
    )
    return kinds[number % len(kinds)]()


class Options(NamedTuple):
    """What to make."""

    events: int
    seed: int = 7
    shape: str = "wlb6"
    hosts: int = 50
    share: float = 0.05  # of Sysmon 1, 3 and 5 among the lines
    disorder: float = 0.05
    drift_hosts: int = 0
    orphans: float = 0.1
    repeats: float = 0.0
    dirty: int = 0
    blank: int = 0


def make_hosts(count: int, rnd: random.Random) -> list[Host]:
    """A domain controller, a file server, some servers, and workstations."""
    servers = max(1, count // 10)
    names = ["DC-01", "FS-01"] + [f"SRV-{n + 1:02}" for n in range(servers)]
    names += [f"WS-{n + 1:04}" for n in range(max(0, count - len(names)))]
    hosts = [make_host(i, name, rnd) for i, name in enumerate(names[:count])]
    for host in hosts:  # what ran before the archive begins
        host.old = [make_process(host, program, START - DAY, rnd) for program in OLD_PROGRAMS]
    return hosts


Line = tuple[bytes, Facts]


class Generator:
    """Makes the lines of an archive one after another, in the order of their times but for the disorder."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.rnd = rnd = random.Random(options.seed)  # noqa: S311 - made-up data, not secrets
        self.hosts = make_hosts(options.hosts, rnd)
        self.filler = Filler(rnd)
        self.gap = min(2_000.0, DAY / max(1, options.events))  # ms between two events, on average
        self._shapes = SHAPES[:5] if options.shape == "mixed" else (options.shape,)
        self._agenda: list[tuple[int, int, Callable[[int], Event]]] = []
        self._number = 0
        self._delayed: list[tuple[float, int, Line]] = []
        for host in rnd.sample(self.hosts, min(options.drift_hosts, len(self.hosts))):
            host.drift = _drift(rnd)
        self._plan()

    def lines(self) -> Iterator[Line]:
        """The lines, `options.events` of them."""
        now, sysmon, rnd, share = float(START), 0, self.rnd.random, self.options.share
        hosts, filler, disorder, delayed = self.hosts, self.filler.line, self.options.disorder, self._delayed
        for i in range(self.options.events):
            now += self.gap * 2 * rnd()
            late = False
            if sysmon < share * i:
                sysmon += 1
                event = self._sysmon(int(now))
                late = event.id == 1 and rnd() < LATE
                line = render(self.shape_of(event.facts.host), event), event.facts
            else:
                host = hosts[int(rnd() * len(hosts))]
                line = filler(self.shape_of(host.name), host, int(now))
            while delayed and delayed[0][0] <= now:
                yield heapq.heappop(delayed)[2]
            if late or rnd() < disorder:
                reach = LATE_BY if late else DISORDER_BY
                heapq.heappush(delayed, (now + 1_000 + rnd() * reach, i, line))
            else:
                yield line
        while delayed:
            yield heapq.heappop(delayed)[2]

    def shape_of(self, host: str) -> str:
        """The shape in which a host's records come, mostly."""
        shapes = self._shapes
        if len(shapes) == 1:
            return shapes[0]
        return shapes[(len(host) * 7 + ord(host[-len(DOMAIN) - 2]) + (self.rnd.random() < 0.1)) % len(shapes)]

    def _sysmon(self, now: int) -> Event:
        if self._agenda and self._agenda[0][0] <= now:
            return heapq.heappop(self._agenda)[2](now)
        rnd = self.rnd
        host = self.hosts[int(rnd.random() * len(self.hosts))]
        r = rnd.random()
        if not host.live or (r < 0.2 and len(host.live) < MAX_LIVE):
            return self._start(host, PROGRAMS[int(rnd.random() * len(PROGRAMS))], now)
        if r < 0.35 and len(host.live) > 3:
            return process_terminate(host, host.live.pop(int(rnd.random() * len(host.live))), now, rnd)
        return self._connect(host, now)

    def _start(self, host: Host, program: Program, now: int, parent: Process | None = None) -> Event:
        if parent is None and host.live and self.rnd.random() < 0.5:
            parent = host.live[int(self.rnd.random() * len(host.live))]
        process = make_process(host, program, now, self.rnd, parent=parent)
        if len(host.live) < MAX_LIVE:
            host.live.append(process)
        return process_create(host, process, self.rnd)

    def _connect(self, host: Host, now: int) -> Event:
        rnd = self.rnd
        r = rnd.random()
        if r < 0.004:
            process = msgspec.structs.replace(host.old[0], guid=ZERO_GUID)
        elif r < 0.004 + self.options.orphans * 0.98:
            process = host.old[int(rnd.random() * len(host.old))]
        elif r < 0.004 + self.options.orphans:  # the GUID of another host's process
            other = self.hosts[host.index - 1]
            process = (other.live or other.old)[0]
        else:
            process = host.live[int(rnd.random() * len(host.live))]
        dst, port, name = self._destination(process.program.goes_to)
        clock = "right" if (r := rnd.random()) > 0.004 else "missing" if r > 0.002 else "unreadable"
        return network_connect(host, process, now, rnd, dst=dst, port=port, dst_name=name, clock=clock)

    def _destination(self, goes_to: str) -> tuple[str, int, str]:
        rnd = self.rnd.random
        r = rnd()
        if goes_to == "domain" or (goes_to == "nowhere" and r < 0.5):
            return self.hosts[0].ip, (53, 88, 389, 445)[int(rnd() * 4)], self.hosts[0].name
        if goes_to == "files" and r < 0.8:
            server = self.hosts[min(len(self.hosts) - 1, 1 + int(rnd() * 3))]
            return server.ip, 445 if r < 0.7 else 5985, server.name
        if r < 0.04:
            return f"2001:db8:0:9:0:0:0:{int(rnd() * 64) + 1:x}", 443, ""
        number = int(rnd() * len(WEB))
        return WEB[number], 443 if r < 0.9 else 80, f"edge-{number}.lumen.example" if r > 0.6 else ""

    def _plan(self) -> None:
        """Beacons and lateral movement, about a fifth of the Sysmon events, at their times."""
        rnd, span = self.rnd, self.gap * self.options.events
        wanted = self.options.share * self.options.events
        workstations = self.hosts[3:] or self.hosts
        beacons = max(1, len(self.hosts) // 40)
        if wanted >= 100:
            period = max(60_000.0, span * beacons / (0.12 * wanted))
            for n in range(beacons):
                host = workstations[rnd.randrange(len(workstations))]
                self._beacon(host, START + int(rnd.random() * 0.2 * span), period, f"203.0.113.{20 + n % 200}")
        for _ in range(int(0.06 * wanted / 25)):
            self._spread(workstations[rnd.randrange(len(workstations))], START + int(rnd.random() * span))

    def _at(self, when: float, action: Callable[[int], Event]) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (int(when), self._number, action))

    def _beacon(self, host: Host, begin: int, period: float, dst: str) -> None:
        process = make_process(host, BEACON, begin, self.rnd)

        def beat(now: int) -> Event:
            self._at(max(now - self.gap, now) + period * (0.97 + 0.06 * self.rnd.random()), beat)
            return network_connect(host, process, now, self.rnd, dst=dst, port=443)

        self._at(begin, lambda _: process_create(host, process, self.rnd))
        self._at(begin + 2_000, beat)

    def _spread(self, host: Host, begin: int) -> None:
        """One workstation reaches a dozen hosts on 445, some on 5985; a service starts on each."""
        rnd = self.rnd
        process = make_process(host, SPREADER, begin, rnd)
        self._at(begin, lambda _: process_create(host, process, rnd))
        for n, target in enumerate(rnd.sample(self.hosts, min(12, len(self.hosts)))):
            winrm = n % 4 == 3
            when = begin + 1_500 * (n + 1)
            self._at(when, self._reach(host, process, target, 5985 if winrm else 445))
            self._at(when + 800, self._arrive(target, WINRM if winrm else SERVICE))

    def _reach(self, host: Host, process: Process, target: Host, port: int) -> Callable[[int], Event]:
        return lambda now: network_connect(host, process, now, self.rnd, dst=target.ip, port=port, dst_name=target.name)

    def _arrive(self, target: Host, program: Program) -> Callable[[int], Event]:
        return lambda now: process_create(target, make_process(target, program, now, self.rnd), self.rnd)


def _drift(rnd: random.Random) -> int:
    """Hours to eleven days, before or behind, and not near a time zone's offset."""
    drift = rnd.randrange(17 * HOUR, 11 * DAY)
    return drift if rnd.random() < 0.5 else -drift


def write(archive: Archive, generator: Generator) -> None:
    """Writes a generator's lines, with repeats, unusable lines and blank lines mixed in."""
    options, rnd = generator.options, generator.rnd
    places = _places(options.dirty, options.events, rnd)
    blanks = _places(options.blank, options.events, rnd)
    echoes: deque[Line] = deque()
    spoilt = 0
    for i, line in enumerate(generator.lines()):
        archive.write(*line)
        if options.repeats and rnd.random() < options.repeats:
            echoes.append(line)
        if echoes and (len(echoes) > 20 or rnd.random() < 0.3):
            archive.write(*echoes.popleft(), repeat=True)
        while places and places[-1] <= i:
            places.pop()
            host = generator.hosts[spoilt % len(generator.hosts)]
            archive.write_dirty(dirty_line(generator.shape_of(host.name), host, host.old[0], START + i, spoilt, rnd))
            spoilt += 1
        while blanks and blanks[-1] <= i:
            blanks.pop()
            archive.write_blank()
    for line in echoes:
        archive.write(*line, repeat=True)


def _places(count: int, events: int, rnd: random.Random) -> list[int]:
    return sorted((rnd.randrange(max(1, events - 1)) for _ in range(count)), reverse=True)


def synthesize(out: Path, options: Options) -> dict[str, Any]:
    """Writes the archive and its answer beside it; returns the answer."""
    tally = Tally()
    with opened(out, options.shape, tally) as archive:
        write(archive, Generator(options))
    answer = tally.answer()
    answer_path(out).write_bytes(msgspec.json.format(encode(answer), indent=1) + b"\n")
    return answer


def answer_path(out: Path) -> Path:
    """Where an archive's answer is.

    >>> answer_path(Path("a/big.ndjson.gz")).as_posix()
    'a/big.answer.json'
    """
    name = out.name.removesuffix(".gz").removesuffix(".ndjson").removesuffix(".json")
    return out.with_name(f"{name}.answer.json")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Writes synthetic Windows telemetry with a known answer.")
    defaults = Options(100_000)
    parser.add_argument("out", type=Path, help="OUT.ndjson or OUT.ndjson.gz; the answer goes to OUT.answer.json")
    parser.add_argument("--events", type=int, default=defaults.events, help="events; repeats and dirty come on top")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--shape", choices=[*SHAPES, "mixed"], default=defaults.shape, help="mixed: all but array")
    parser.add_argument("--hosts", type=int, default=defaults.hosts)
    parser.add_argument("--share", type=float, default=defaults.share, help="of Sysmon 1, 3 and 5 among the events")
    parser.add_argument("--disorder", type=float, default=defaults.disorder, help="share moved up to 2 minutes later")
    parser.add_argument("--drift-hosts", type=int, default=defaults.drift_hosts, help="hosts with a wrong clock")
    parser.add_argument("--orphans", type=float, default=defaults.orphans, help="share of connects without a create")
    parser.add_argument("--repeats", type=float, default=defaults.repeats, help="share of lines that come twice")
    parser.add_argument("--dirty", type=int, default=defaults.dirty, help="unusable lines")
    parser.add_argument("--blank", type=int, default=defaults.blank, help="blank lines")
    settings = vars(parser.parse_args(argv))
    out = settings.pop("out")
    began = time.perf_counter()
    answer = synthesize(out, Options(**settings))
    seconds = time.perf_counter() - began
    sys.stderr.write(
        f"{out}: {answer['events']:,} events, {answer['bytes'] / 1e6:,.1f} MB in {seconds:.1f} s "
        f"({answer['bytes'] / 1e6 / seconds:.0f} MB/s)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
