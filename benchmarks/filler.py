"""Filler: the events of an archive that nobody joins, made from templates that are encoded once."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from shapes import ENVELOPES, SHUFFLED, clock_slots, encode, escaped, reordered
from world import EXPLORER, POWERSHELL, PROGRAMS, SECURITY, SYSMON, WEB, WINDOWS, Event, Facts, Host, hashes, spaced

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


class Filler:
    """The rest of an archive: events that nobody joins, from templates that are encoded once."""

    def __init__(self, rnd: random.Random) -> None:
        self._rnd = rnd
        self._templates: dict[tuple[str, int, int], tuple[bytes, Facts]] = {}
        self._weights: list[int] = []
        for number, (weight, _) in enumerate(_FILLERS):
            self._weights += [number] * weight

    def line(self, shape: str, host: Host, now: int) -> tuple[bytes, Facts]:
        """One line of filler."""
        random_ = self._rnd.random
        number = self._weights[int(random_() * len(self._weights))]
        variant = int(random_() * 12)
        template = self._templates.get((shape, number, variant))
        if template is None:
            template = self._templates[shape, number, variant] = _template(shape, number, variant)
        pid = 400 + int(random_() * 9000) * 4
        sequence = int(random_() * 60_000)
        values: dict[bytes, bytes] = {k.encode(): v.encode() for k, v in clock_slots(shape, now).items()}
        values[b"U"] = spaced(now - 9).encode()
        values[b"R"] = b"%d" % host.next_record()
        values[b"H"] = host.name.encode()
        values[b"G"] = b"%08x-65e5-%04x-%04x-000000000500" % (host.machine, sequence, pid)
        values[b"P"] = b"%d" % pid
        values[b"X"] = b"%x" % pid
        values[b"N"] = host.user[5:].encode()
        values[b"I"] = host.ip.encode()
        values[b"S"] = b"%d" % (49_152 + sequence % 16_000)
        return template[0] % values, template[1]


def _template(shape: str, number: int, variant: int) -> tuple[bytes, Facts]:
    provider, event_id, fields, message = _FILLERS[number][1](variant)
    facts = Facts((provider, event_id))
    event = Event(provider, event_id, "@@H@@", 0, 0, fields, facts, message=message)
    document = ENVELOPES[shape](event, {k: f"@@{k}@@" for k in "TEV"}, "@@R@@")
    if shape in SHUFFLED:
        document = reordered(document, SHUFFLED[shape], variant)
    text = escaped(shape, encode(document)).replace(b"%", b"%%")
    if shape in ("wlb7", "wlb8", "nxlog"):
        text = text.replace(b'"@@R@@"', b"@@R@@")  # a number
    for slot in (b"T", b"E", b"V", b"U", b"R", b"H", b"G", b"P", b"X", b"N", b"I", b"S"):
        text = text.replace(b"@@" + slot + b"@@", b"%(" + slot + b")b")
    return text, facts


Kind = tuple[str, int, dict[str, str], str | None]
_IMAGES = tuple(p.path for p in PROGRAMS)
_DLLS = (
    "ntdll",
    "kernel32",
    "KernelBase",
    "ucrtbase",
    "combase",
    "rpcrt4",
    "sechost",
    "advapi32",
    "bcrypt",
    "ws2_32",
    "iphlpapi",
    "userenv",
)
_KEYS = (
    "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System",
    "HKLM\\System\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces\\{5d0c7c2e-1f4b-4b52-9d36-77a1b0e2f00d}",
    "HKU\\S-1-5-21-1000000000-2000000000-3000000000-1104\\Software\\Wayfarer\\Sessions",
    "HKLM\\SOFTWARE\\Heron\\Backup\\Jobs\\Nightly",
    "HKU\\S-1-5-21-1000000000-2000000000-3000000000-1104\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer",
)


def _head() -> dict[str, str]:
    return {"RuleName": "", "UtcTime": "@@U@@", "ProcessGuid": "{@@G@@}", "ProcessId": "@@P@@"}


def _image_loaded(v: int) -> Kind:
    dll = f"C:\\Windows\\System32\\{_DLLS[v % len(_DLLS)]}.dll"
    return (
        SYSMON,
        7,
        {
            **_head(),
            "Image": _IMAGES[v % len(_IMAGES)],
            "ImageLoaded": dll,
            "FileVersion": f"10.0.19041.{v * 37 % 900} (WinBuild.160101.0800)",
            "Description": f"{_DLLS[v % len(_DLLS)]} DLL",
            "Product": WINDOWS[0],
            "Company": WINDOWS[1],
            "OriginalFileName": f"{_DLLS[v % len(_DLLS)]}.dll",
            "Hashes": hashes(dll),
            "Signed": "true",
            "Signature": "Microsoft Windows",
            "SignatureStatus": "Valid",
        },
        None,
    )


def _process_access(v: int) -> Kind:
    frames = [f"C:\\Windows\\SYSTEM32\\{_DLLS[(v + n) % 12]}.dll+{(v + 3) * (n + 7) * 2741:x}" for n in range(8 + v)]
    return (
        SYSMON,
        10,
        {
            "RuleName": "",
            "UtcTime": "@@U@@",
            "SourceProcessGUID": "{@@G@@}",
            "SourceProcessId": "@@P@@",
            "SourceThreadId": str(900 + v * 4),
            "SourceImage": _IMAGES[v % len(_IMAGES)],
            "TargetProcessGUID": "{@@G@@}",
            "TargetProcessId": str(500 + v * 4),
            "TargetImage": _IMAGES[(v + 5) % len(_IMAGES)],
            "GrantedAccess": ("0x1000", "0x1400", "0x1410", "0x3000")[v % 4],
            "CallTrace": "|".join(frames),
        },
        None,
    )


def _file_created(v: int) -> Kind:
    target = f"C:\\Users\\@@N@@\\AppData\\Local\\Temp\\wf{v:04x}@@X@@.tmp"
    fields = {**_head(), "Image": _IMAGES[v % 12], "TargetFilename": target, "CreationUtcTime": "@@U@@"}
    return SYSMON, 11, fields, None


def _registry_key(v: int) -> Kind:
    head = _head()
    fields = {"RuleName": head.pop("RuleName"), "EventType": "CreateKey", **head}
    return SYSMON, 12, {**fields, "Image": _IMAGES[v % 12], "TargetObject": _KEYS[v % 5]}, None


def _registry_value(v: int) -> Kind:
    head = _head()
    fields = {"RuleName": head.pop("RuleName"), "EventType": "SetValue", **head, "Image": _IMAGES[v % 12]}
    return SYSMON, 13, {**fields, "TargetObject": f"{_KEYS[v % 5]}\\Value{v}", "Details": f"DWORD (0x{v:08x})"}, None


def _dns_query(v: int) -> Kind:
    name = f"cdn-{v}.lumen.example"
    results = f"type:  5 edge.{name};::ffff:192.0.2.{v + 10};"
    fields = {**_head(), "QueryName": name, "QueryStatus": "0", "QueryResults": results, "Image": _IMAGES[v % 12]}
    return SYSMON, 22, fields, None


def _fields(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in " ".join(text.split()).split("; "))


_SUBJECT = """Subject:
	Security ID:		S-1-5-18
	Account Name:		@@N@@
	Account Domain:		CORP
	Logon ID:		0x3E7
"""

_LOGON = """An account was successfully logged on.

Logon Information:
	Logon Type:		3
	Elevated Token:		No

New Logon:
	Account Name:		@@N@@
	Account Domain:		CORP
	Logon ID:		0x@@X@@
	Logon GUID:		{@@G@@}

Network Information:
	Source Network Address:	ADDRESS
	Source Port:		@@S@@

This event is written when a logon session begins. It is written on the computer that was reached.

The subject is the account on this computer that asked for the logon; mostly a service, or a local process.

The logon type says how the logon came about; the most common are 2 (at the console) and 3 (over the network).

The network fields say where a remote request came from. The name of the workstation is not always known.

The impersonation level says how far a process of the session may act in the name of another.

The authentication fields describe the request in detail:
	- the logon GUID links this event with the one of the key distribution centre;
	- transited services are those that took part on the way;
	- the package name says which protocol of the family was used;
	- the key length is that of the session key, 0 where none was asked for."""


def _logon(v: int) -> Kind:
    fields = _fields(
        f"""SubjectUserSid=S-1-0-0; SubjectUserName=-; SubjectDomainName=-; SubjectLogonId=0x0;
        TargetUserSid=S-1-5-21-1000000000-2000000000-3000000000-1104; TargetUserName=@@N@@; TargetDomainName=CORP;
        TargetLogonId=0x@@X@@; LogonType=3; LogonProcessName=Kerberos; AuthenticationPackageName=Kerberos;
        LogonGuid={{@@G@@}}; TransmittedServices=-; LmPackageName=-; KeyLength=0; ProcessId=0x0; ProcessName=-;
        IpAddress=10.20.0.{v + 10}; IpPort=@@S@@; ImpersonationLevel=%%1833; ElevatedToken=%%1843"""
    )
    return SECURITY, 4624, fields, _LOGON.replace("ADDRESS", fields["IpAddress"])


def _registry_path(key: str) -> str:
    hive, _, rest = key.partition("\\")
    return f"\\REGISTRY\\{'USER' if hive == 'HKU' else 'MACHINE'}\\{rest}"


def _object_access(v: int) -> Kind:
    fields = _fields(
        f"""SubjectUserSid=S-1-5-18; SubjectUserName=@@N@@; SubjectDomainName=CORP; SubjectLogonId=0x3e7;
        ObjectServer=Security; ObjectType=Key; ObjectName=; HandleId=0x{v * 4 + 200:x}; AccessMask=0x1;
        ProcessId=0x@@X@@; ProcessName=; ResourceAttributes=-"""
    )
    fields |= {"ObjectName": _registry_path(_KEYS[v % 5]), "ProcessName": _IMAGES[v % 12]}
    fields["AccessList"] = "%%4432\n\t\t\t\t"
    message = f"""An attempt was made to access an object.

{_SUBJECT}
Object:
	Object Server:		Security
	Object Type:		Key
	Object Name:		{fields["ObjectName"]}
	Handle ID:		{fields["HandleId"]}
	Resource Attributes:	-

Process Information:
	Process ID:		0x@@X@@
	Process Name:		{fields["ProcessName"]}

Access Request Information:
	Accesses:		Query key value
	Access Mask:		0x1"""
    return SECURITY, 4663, fields, message


def _audit_process(v: int) -> Kind:
    program = PROGRAMS[v % 12]
    fields = _fields(
        f"""SubjectUserSid=S-1-5-18; SubjectUserName=@@N@@; SubjectDomainName=CORP; SubjectLogonId=0x3e7;
        NewProcessId=0x@@X@@; TokenElevationType=%%1938; ProcessId=0x{v * 4 + 600:x}; TargetUserSid=S-1-0-0;
        TargetUserName=-; TargetDomainName=-; TargetLogonId=0x0; MandatoryLabel=S-1-16-8192"""
    )
    fields |= {"NewProcessName": program.path, "CommandLine": program.command, "ParentProcessName": EXPLORER.path}
    message = f"""A new process has been created.

Creator {_SUBJECT}
Process Information:
	New Process ID:		0x@@X@@
	New Process Name:	{program.path}
	Token Elevation Type:	%%1938
	Creator Process ID:	{fields["ProcessId"]}
	Creator Process Name:	{EXPLORER.path}
	Process Command Line:	{program.command}

The token elevation type says which token the new process was given by the policy of User Account Control.

Type 1 is a full token, with nothing removed; it is used where User Account Control is off, or for a service account.

Type 2 is an elevated token; it is used where the user chose to start the program as administrator, or where the
program always asks for it.

Type 3 is a limited token, with the administrative privileges and groups taken away; it is the usual one."""
    return SECURITY, 4688, fields, message


def _filter_platform(v: int) -> Kind:
    fields = _fields(
        f"""ProcessID=@@P@@; Application=; Direction=%%14593; SourceAddress=@@I@@; SourcePort=@@S@@;
        DestAddress={WEB[v]}; DestPort=443; Protocol=6; FilterRTID={67_000 + v}; LayerName=%%14611; LayerRTID=48;
        RemoteUserID=S-1-0-0; RemoteMachineID=S-1-0-0"""
    )
    fields["Application"] = "\\device\\harddiskvolume2" + _IMAGES[v % 12][2:].lower()
    message = f"""The Windows Filtering Platform has permitted a connection.

Application Information:
	Process ID:		@@P@@
	Application Name:	{fields["Application"]}

Network Information:
	Direction:		Outbound
	Source Address:		@@I@@
	Source Port:		@@S@@
	Destination Address:	{WEB[v]}
	Destination Port:		443
	Protocol:		6

Filter Information:
	Filter Run-Time ID:	{67_000 + v}
	Layer Name:		Connect
	Layer Run-Time ID:	48"""
    return SECURITY, 5156, fields, message


_SCRIPT = """
$report = foreach ($disk in Get-CimInstance -ClassName Win32_LogicalDisk -Filter 'DriveType = 3') {
    [pscustomobject]@{
        Computer = $env:COMPUTERNAME
        Drive    = $disk.DeviceID
        FreeGB   = [math]::Round($disk.FreeSpace / 1GB, 1)
        SizeGB   = [math]::Round($disk.Size / 1GB, 1)
    }
}
$report | Sort-Object FreeGB | ConvertTo-Json | Set-Content -Path "C:\\Tools\\reports\\disks-%d.json" -Encoding UTF8
"""


def encoded_command(script: str) -> str:
    """A script as `powershell.exe -EncodedCommand` wants it."""
    return b64encode(script.encode("utf-16-le")).decode("ascii")


def _pipeline(v: int) -> Kind:
    command = encoded_command(_SCRIPT % v)
    context = (
        "        Severity = Informational\n        Host Name = ConsoleHost\n        Host Version = 5.1.19041.610\n"
        f"        Host Application = powershell.exe -NoProfile -EncodedCommand {command}\n        Engine Version = "
        "5.1.19041.610\n        Command Name = Get-CimInstance\n        User = CORP\\@@N@@\n        Shell ID = "
        "Microsoft.PowerShell\n"
    )
    payload = (
        'CommandInvocation(Get-CimInstance): "Get-CimInstance"\nParameterBinding(Get-CimInstance): name="ClassName"; '
        'value="Win32_LogicalDisk"'
    )
    fields = {"ContextInfo": context, "Payload": payload}
    return POWERSHELL, 4103, fields, f"{payload}\n\n\nContext:\n{context}"


def _script_block(v: int) -> Kind:
    script = "".join(_SCRIPT % (v * 10 + n) for n in range(3))
    fields = {"MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": script, "ScriptBlockId": "@@G@@"}
    return POWERSHELL, 4104, fields, f"Creating Scriptblock text (1 of 1):\n{script}\n\nScriptBlock ID: @@G@@\nPath: "


_FILLERS: tuple[tuple[int, Callable[[int], Kind]], ...] = (
    (26, _registry_key),
    (22, _image_loaded),
    (22, _process_access),
    (8, _registry_value),
    (6, _filter_platform),
    (4, _object_access),
    (3, _pipeline),
    (2, _script_block),
    (2, _audit_process),
    (2, _logon),
    (2, _file_created),
    (1, _dns_query),
)
