"""The invented world of the synthetic archives: programs, hosts, processes, and the events that they leave behind.

Nothing here is recorded: names end in .example, addresses are private or for documentation, hashes are made up.
"""

from __future__ import annotations

import time
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import random

SYSMON, SECURITY, POWERSHELL, SCM = (
    "Microsoft-Windows-Sysmon",
    "Microsoft-Windows-Security-Auditing",
    "Microsoft-Windows-PowerShell",
    "Service Control Manager",
)
CHANNELS = {
    SYSMON: "Microsoft-Windows-Sysmon/Operational",
    SECURITY: "Security",
    POWERSHELL: "Microsoft-Windows-PowerShell/Operational",
    SCM: "System",
}
PROVIDER_GUIDS = {
    SYSMON: "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
    SECURITY: "{54849625-5478-4994-A5BA-3E3B0328C30D}",
    POWERSHELL: "{A0C1853B-5C40-4B15-8766-3CF1C58F985A}",
    SCM: "{555908D1-A6D7-4695-8E1E-26931D2012F4}",
}
TASKS = {
    (SYSMON, 1): "Process Create (rule: ProcessCreate)",
    (SYSMON, 3): "Network connection detected (rule: NetworkConnect)",
    (SYSMON, 5): "Process terminated (rule: ProcessTerminate)",
    (SYSMON, 7): "Image loaded (rule: ImageLoad)",
    (SYSMON, 10): "Process accessed (rule: ProcessAccess)",
    (SYSMON, 11): "File created (rule: FileCreate)",
    (SYSMON, 12): "Registry object added or deleted (rule: RegistryEvent)",
    (SYSMON, 13): "Registry value set (rule: RegistryEvent)",
    (SYSMON, 22): "Dns query (rule: DnsQuery)",
    (SECURITY, 4624): "Logon",
    (SECURITY, 4663): "Registry",
    (SECURITY, 4688): "Process Creation",
    (SECURITY, 5156): "Filtering Platform Connection",
    (POWERSHELL, 4103): "Executing Pipeline",
    (POWERSHELL, 4104): "Execute a Remote Command",
    (SCM, 7045): "None",
}
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
START = 1_709_539_200_000  # 2024-03-04T08:00:00Z, a Monday
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DOMAIN = "corp.example"
USERS = (
    "alice", "bruno", "carla", "deniz", "elena", "farid", "greta", "hanna", "ivan", "julia", "karim", "lotte",
    "mario", "nadia", "oskar", "petra", "quentin", "rosa", "samir", "tilda", "umar", "vera", "walid", "xenia",
    "yusuf", "zoe",
)  # fmt: skip


@lru_cache(maxsize=4096)
def _second(seconds: int) -> tuple[str, str]:
    moment = time.gmtime(seconds)
    return time.strftime("%Y-%m-%d", moment), time.strftime("%H:%M:%S", moment)


def spaced(ms: int) -> str:
    """A time as Sysmon writes UtcTime.

    >>> spaced(START + 123)
    '2024-03-04 08:00:00.123'
    """
    seconds, rest = divmod(ms, 1000)
    date, clock = _second(seconds)
    return f"{date} {clock}.{rest:03}"


def rfc(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    date, clock = _second(seconds)
    return f"{date}T{clock}.{rest:03}Z"


class Program(NamedTuple):
    """An executable, as Sysmon describes it."""

    path: str
    version: str
    description: str
    product: str
    company: str
    command: str
    system: bool  # runs as the machine, not as a user
    goes_to: str  # web, domain, files or nowhere


_S32 = "C:\\Windows\\System32\\"
WINDOWS = ("Microsoft® Windows® Operating System", "Microsoft Corporation")
_OFFICE = ("Microsoft Office", "Microsoft Corporation")
_OFFICE16 = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
_WAYFARER = "C:\\Program Files\\Wayfarer\\wayfarer.exe"
_HERON = "C:\\Program Files\\Heron Backup\\hbagent.exe"
_LUMEN = "C:\\Program Files (x86)\\Lumen\\updater.exe"


def _windows(name: str, description: str, command: str, goes_to: str = "nowhere", *, system: bool = False) -> Program:
    return Program(_S32 + name, "10.0.19041.1", description, *WINDOWS, command, system, goes_to)


SVCHOST = _windows(
    "svchost.exe", "Host Process for Windows Services", _S32 + "svchost.exe -k netsvcs -p", "domain", system=True
)
CMD = _windows("cmd.exe", "Windows Command Processor", '"cmd.exe" /c dir "C:\\Users\\Public\\Documents"')
POWERSHELL_EXE = _windows(
    "WindowsPowerShell\\v1.0\\powershell.exe",
    "Windows PowerShell",
    "powershell.exe -NoProfile -File C:\\Tools\\inventory.ps1",
    "domain",
)
EXPLORER = Program(
    "C:\\Windows\\explorer.exe", "10.0.19041.844", "Windows Explorer", *WINDOWS, "explorer.exe", False, "files"
)
BROWSER = Program(
    _WAYFARER, "118.0.2", "Wayfarer", "Wayfarer Browser", "Wayfarer Foundation", f'"{_WAYFARER}" --new', False, "web"
)
OUTLOOK = Program(
    _OFFICE16 + "OUTLOOK.EXE", "16.0.13127.20296", "Outlook", *_OFFICE, f'"{_OFFICE16}OUTLOOK.EXE"', False, "web"
)
WORD = Program(
    _OFFICE16 + "WINWORD.EXE",
    "16.0.13127.20296",
    "Microsoft Word",
    *_OFFICE,
    f'"{_OFFICE16}WINWORD.EXE" /n "C:\\Users\\Public\\Documents\\minutes.docx" /o ""',
    False,
    "files",
)
BACKUP = Program(
    _HERON, "4.2.0.118", "Heron Backup Agent", "Heron Backup", "Heron Ltd", f'"{_HERON}" --service', True, "files"
)
UPDATER = Program(_LUMEN, "1.9.33", "Lumen Updater", "Lumen Suite", "Lumen GmbH", f'"{_LUMEN}" /silent', True, "web")
PROGRAMS = (
    SVCHOST,
    CMD,
    _windows("conhost.exe", "Console Window Host", f"\\??\\{_S32}conhost.exe 0xffffffff -ForceV1"),
    POWERSHELL_EXE,
    _windows("gpupdate.exe", "Group Policy Update", "gpupdate.exe /target:computer", "domain", system=True),
    _windows("taskhostw.exe", "Host Process for Windows Tasks", "taskhostw.exe KEYROAMING"),
    EXPLORER,
    BROWSER,
    OUTLOOK,
    WORD,
    BACKUP,
    UPDATER,
)
OLD_PROGRAMS = (SVCHOST, EXPLORER, BROWSER, BACKUP)  # ran before the archive begins

# What intruders bring along, or start.
_BEACON = "C:\\Users\\Public\\Libraries\\winhelp64.exe"
BEACON = Program(_BEACON, "1.0.0.0", "Help Host", "Help Host", "-", f"{_BEACON} -q", False, "web")
SPREADER = Program(
    "C:\\Users\\Public\\rexec64.exe",
    "2.1.0.0",
    "Remote Execution",
    "Remote Execution",
    "-",
    "rexec64.exe -s -d @targets.txt cmd.exe /c whoami",
    False,
    "files",
)
SERVICE = Program(
    "C:\\Windows\\REXESVC.exe",
    "2.1.0.0",
    "Remote Execution Service",
    "Remote Execution",
    "-",
    "C:\\Windows\\REXESVC.exe",
    True,
    "nowhere",
)
WINRM = _windows("wsmprovhost.exe", "Host process for WinRM plug-ins", _S32 + "wsmprovhost.exe -Embedding")
WEB = tuple(f"192.0.2.{n}" for n in range(10, 60)) + tuple(f"198.51.100.{n}" for n in range(5, 90, 3))
PORT_NAMES = {80: "http", 88: "kerberos", 135: "epmap", 389: "ldap", 443: "https", 445: "microsoft-ds"}


@lru_cache(maxsize=512)
def hashes(path: str) -> str:
    """Invented hashes, the same for the same path."""
    digest = (sha256(path.encode()).hexdigest() * 3).upper()
    return f"SHA1={digest[:40]},MD5={digest[40:72]},SHA256={digest[72:136]},IMPHASH={digest[8:40]}"


class Host(msgspec.Struct):
    """A computer that is logged."""

    index: int
    name: str
    ip: str
    user: str  # DOMAIN\name of who works at it
    machine: int  # first part of its process GUIDs
    drift: int = 0  # ms that event 3's UtcTime is off
    record: int = 1000
    sequence: int = 0
    port: int = 0
    live: list[Process] = []
    old: list[Process] = []

    def next_record(self) -> int:
        self.record += 1
        return self.record

    def next_port(self) -> int:
        self.port = (self.port + 1) % 16_000
        return 49_500 + self.port

    def guid(self, now: int) -> str:
        """A process GUID as Sysmon builds them: machine, start time, a number that never comes again here."""
        self.sequence += 1
        seconds = now // 1000
        return f"{self.machine:08x}-{seconds & 0xFFFF:04x}-{seconds >> 16:04x}-{self.sequence & 0xFFFF:04x}-{self.sequence >> 16:08x}0500"  # noqa: E501


class Process(msgspec.Struct, gc=False):
    """A process, alive or older than the archive."""

    guid: str  # canonical
    pid: int
    program: Program
    user: str
    command: str
    started: int
    parent_guid: str
    parent_pid: int
    parent_path: str
    parent_command: str


class Facts(NamedTuple):
    """What a line says, as the tally needs it."""

    kind: tuple[str, int]
    host: str = ""
    guid: str = ""  # canonical
    utc: int | None = None  # ms
    user: str = ""
    image: str = ""
    dst: str = ""
    port: int = 0


class Event(NamedTuple):
    """An event before it has a shape."""

    provider: str
    id: int
    host: str  # as this record spells it
    time: int  # when it was logged, ms
    record: int
    fields: dict[str, str]  # in Sysmon's order; empty values belong to the message only
    facts: Facts
    user: str = "NT AUTHORITY\\SYSTEM"
    message: str | None = None  # None: made from the fields


def make_host(index: int, name: str, rnd: random.Random, user: str | None = None) -> Host:
    """A host of the invented domain."""
    return Host(
        index=index,
        name=f"{name}.{DOMAIN}",
        ip=f"10.20.{index // 200}.{index % 200 + 10}",
        user=f"CORP\\{user or USERS[index % len(USERS)]}",
        machine=rnd.getrandbits(32),
        record=rnd.randrange(1_000, 900_000),
        port=rnd.randrange(16_000),
        live=[],
        old=[],
    )


def make_process(
    host: Host,
    program: Program,
    now: int,
    rnd: random.Random,
    *,
    parent: Process | None = None,
    command: str | None = None,
    user: str | None = None,
) -> Process:
    """A process that starts now; without a parent, services.exe or explorer.exe is made up as one."""
    account = user or ("NT AUTHORITY\\SYSTEM" if program.system else host.user)
    path = parent.program.path if parent else (_S32 + "services.exe" if program.system else "C:\\Windows\\explorer.exe")
    return Process(
        guid=host.guid(now),
        pid=rnd.randrange(100, 4000) * 4,
        program=program,
        user=account,
        command=command or program.command,
        started=now,
        parent_guid=parent.guid if parent else f"{host.machine:08x}-65e0-0000-0100-000000000500",
        parent_pid=parent.pid if parent else 660 + 4 * (host.index % 9),
        parent_path=path,
        parent_command=parent.command if parent else path,
    )


def spelled(guid: str, rnd: random.Random) -> str:
    """A GUID as records write it: mostly {lower}, at times {UPPER} or without braces."""
    r = rnd.random()
    if r < 0.8:
        return "{" + guid + "}"
    return "{" + guid.upper() + "}" if r < 0.92 else guid


def host_spelled(host: Host, rnd: random.Random) -> str:
    return host.name if rnd.random() < 0.98 else host.name.lower()


def process_create(host: Host, p: Process, rnd: random.Random) -> Event:
    """Sysmon event 1 of a process."""
    name = host_spelled(host, rnd)
    program = p.program
    fields = {
        "RuleName": "",
        "UtcTime": spaced(p.started),
        "ProcessGuid": spelled(p.guid, rnd),
        "ProcessId": str(p.pid),
        "Image": program.path,
        "FileVersion": program.version,
        "Description": program.description,
        "Product": program.product,
        "Company": program.company,
        "CommandLine": p.command,
        "CurrentDirectory": _S32 if program.system else f"C:\\Users\\{p.user.rpartition(chr(92))[2]}\\",
        "User": p.user,
        "LogonGuid": "{" + f"{host.machine:08x}-65e5-8000-0000-0020{host.index:08x}" + "}",
        "LogonId": "0x3e7" if program.system else f"0x{0x40000 + host.index * 17:x}",
        "TerminalSessionId": "0" if program.system else "1",
        "IntegrityLevel": "System" if program.system else "Medium",
        "Hashes": hashes(program.path),
        "ParentProcessGuid": spelled(p.parent_guid, rnd),
        "ParentProcessId": str(p.parent_pid),
        "ParentImage": p.parent_path,
        "ParentCommandLine": p.parent_command,
    }
    facts = Facts((SYSMON, 1), host.name.lower(), p.guid, p.started, p.user, program.path)
    return Event(SYSMON, 1, name, p.started + rnd.randrange(1, 40), host.next_record(), fields, facts)


def network_connect(
    host: Host,
    p: Process,
    now: int,
    rnd: random.Random,
    *,
    dst: str,
    port: int,
    dst_name: str = "",
    clock: str = "right",
) -> Event:
    """Sysmon event 3 of a process. `clock` may be `right` (but for the host's drift), `missing` or `unreadable`."""
    v6 = ":" in dst
    utc = now + host.drift
    src_port = host.next_port()
    fields = {
        "RuleName": "",
        "UtcTime": spaced(utc) if clock == "right" else ("" if clock == "missing" else "not set"),
        "ProcessGuid": spelled(p.guid, rnd),
        "ProcessId": str(p.pid),
        "Image": p.program.path,
        "User": p.user,
        "Protocol": "udp" if port in (53, 123, 137) else "tcp",
        "Initiated": "true",
        "SourceIsIpv6": "true" if v6 else "false",
        "SourceIp": f"2001:db8:0:20:0:0:0:{host.index:x}" if v6 else host.ip,
        "SourceHostname": host.name if rnd.random() < 0.7 else "",
        "SourcePort": str(src_port),
        "SourcePortName": "",
        "DestinationIsIpv6": "true" if v6 else "false",
        "DestinationIp": dst,
        "DestinationHostname": dst_name,
        "DestinationPort": str(port),
        "DestinationPortName": PORT_NAMES.get(port, ""),
    }
    facts = Facts(
        (SYSMON, 3), host.name.lower(), p.guid, utc if clock == "right" else None, p.user, p.program.path, dst, port
    )
    return Event(SYSMON, 3, host_spelled(host, rnd), now + rnd.randrange(700, 2_600), host.next_record(), fields, facts)


def process_terminate(host: Host, p: Process, now: int, rnd: random.Random) -> Event:
    """Sysmon event 5 of a process."""
    fields = {
        "RuleName": "",
        "UtcTime": spaced(now),
        "ProcessGuid": spelled(p.guid, rnd),
        "ProcessId": str(p.pid),
        "Image": p.program.path,
    }
    facts = Facts((SYSMON, 5), host.name.lower(), p.guid, now)
    return Event(SYSMON, 5, host_spelled(host, rnd), now + rnd.randrange(1, 60), host.next_record(), fields, facts)


def service_installed(host: Host, name: str, path: str, now: int) -> Event:
    """Service Control Manager 7045: a service was installed."""
    fields = {
        "ServiceName": name,
        "ImagePath": path,
        "ServiceType": "user mode service",
        "StartType": "demand start",
        "AccountName": "LocalSystem",
    }
    message = (
        f"A service was installed in the system.\n\nService Name:  {name}\nService File Name:  {path}\n"
        "Service Type:  user mode service\nService Start Type:  demand start\nService Account:  LocalSystem"
    )
    facts = Facts((SCM, 7045))
    return Event(SCM, 7045, host.name, now, host.next_record(), fields, facts, message=message)
