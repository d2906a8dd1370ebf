"""Where Windows writes what Sigma calls a category or a service, and which fields are there.

Facts of Sysmon's schema 4.90, of Windows' audit events and of Sigma's taxonomy. pySigma knows most services' channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sigma.pipelines.common import windows_logsource_mapping

from huntbeam.transforms.sigma.events import POWERSHELL, SECURITY, SYSMON
from huntbeam.transforms.sigma.readings import fold

ENVELOPE = frozenset({"Computer", "Channel", "Provider_Name", "EventID"})

SERVICES: dict[str, list[str]] = {
    service: [channels] if isinstance(channels, str) else list(channels)
    for service, channels in windows_logsource_mapping.items()
} | {
    "smbclient-connectivity": ["Microsoft-Windows-SmbClient/Connectivity"],
    "smbserver-connectivity": ["Microsoft-Windows-SMBServer/Connectivity"],
}


class Target(NamedTuple):
    """Where events of a category are: the service, the event ids, and what else distinguishes them."""

    service: str
    event_ids: tuple[int, ...]
    conditions: dict[str, list[str]] = {}  # noqa: RUF012  # never changed


SYSMON_CATEGORIES: dict[str, Target] = {
    category: Target("sysmon", event_ids)
    for category, event_ids in {
        "process_creation": (1,),
        "file_change": (2,),
        "network_connection": (3,),
        "sysmon_status": (4, 16),
        "process_termination": (5,),
        "driver_load": (6,),
        "image_load": (7,),
        "create_remote_thread": (8,),
        "raw_access_thread": (9,),
        "process_access": (10,),
        "file_event": (11,),
        "registry_add": (12,),
        "registry_delete": (12,),
        "registry_set": (13,),
        "registry_rename": (14,),
        "registry_event": (12, 13, 14),
        "create_stream_hash": (15,),
        "pipe_created": (17, 18),
        "wmi_event": (19, 20, 21),
        "dns_query": (22,),
        "file_delete": (23,),
        "clipboard_capture": (24,),
        "process_tampering": (25,),
        "file_delete_detected": (26,),
        "file_block_executable": (27,),
        "file_block_shredding": (28,),
        "file_executable_detected": (29,),
        "sysmon_error": (255,),
    }.items()
}

# Event data have the message's code, exports of rendered events its text.
_CREATED = ["%%1904", "New registry value created"]
_MODIFIED = ["%%1905", "Existing registry value modified"]

WINDOWS_CATEGORIES: dict[str, Target] = {
    "process_creation": Target("security", (4688,)),
    "registry_event": Target("security", (4657,), {"OperationType": _CREATED + _MODIFIED}),
    "registry_set": Target("security", (4657,), {"OperationType": _MODIFIED}),
    "registry_add": Target("security", (4657,), {"OperationType": _CREATED}),
    "ps_module": Target("powershell", (4103,)),
    "ps_script": Target("powershell", (4104,)),
    "ps_classic_start": Target("powershell-classic", (400,)),
    "ps_classic_provider_start": Target("powershell-classic", (600,)),
    "ps_classic_script": Target("powershell-classic", (800,)),
}

# The names that Security events have for what Sysmon calls otherwise.
SECURITY_NAMES: dict[int, dict[str | None, str | list[str]]] = {
    4688: {
        "Image": "NewProcessName",
        "ParentImage": "ParentProcessName",
        "ProcessId": "NewProcessId",
        "ParentProcessId": "ProcessId",
        "LogonId": "SubjectLogonId",
        "IntegrityLevel": "MandatoryLabel",  # a SID; rules that mean both write both
    },
    4657: {"Image": "ProcessName", "TargetObject": "ObjectName", "Details": "NewValue", "LogonId": "SubjectLogonId"},
}


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


_PROCESS = _named("RuleName UtcTime ProcessGuid ProcessId Image User")
_FILE = _PROCESS | _named("TargetFilename")
_CODE = _named("FileVersion Description Product Company OriginalFileName Hashes")
_SIGNED = _named("Signed Signature SignatureStatus")
_REGISTRY = _PROCESS | _named("EventType TargetObject")
_WMI = _named("RuleName EventType UtcTime Operation User")
_BOTH = _named("RuleName UtcTime SourceProcessId SourceImage SourceUser TargetProcessId TargetImage TargetUser")
_SUBJECT = _named("SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId")

_SYSMON_FIELDS: dict[int, frozenset[str]] = {
    1: _PROCESS
    | _CODE
    | _named("CommandLine CurrentDirectory LogonGuid LogonId TerminalSessionId IntegrityLevel ParentProcessGuid")
    | _named("ParentProcessId ParentImage ParentCommandLine ParentUser"),
    2: _FILE | _named("CreationUtcTime PreviousCreationUtcTime"),
    3: _PROCESS
    | _named("Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort SourcePortName")
    | _named("DestinationIsIpv6 DestinationIp DestinationHostname DestinationPort DestinationPortName"),
    4: _named("UtcTime State Version SchemaVersion"),
    5: _PROCESS,
    6: _SIGNED | _named("RuleName UtcTime ImageLoaded Hashes"),
    7: _PROCESS | _CODE | _SIGNED | _named("ImageLoaded"),
    8: _BOTH | _named("SourceProcessGuid TargetProcessGuid NewThreadId StartAddress StartModule StartFunction"),
    9: _PROCESS | _named("Device"),
    10: _BOTH | _named("SourceProcessGUID TargetProcessGUID SourceThreadId GrantedAccess CallTrace"),
    11: _FILE | _named("CreationUtcTime"),
    12: _REGISTRY,
    13: _REGISTRY | _named("Details"),
    14: _REGISTRY | _named("NewName"),
    15: _FILE | _named("CreationUtcTime Hash Contents"),
    16: _named("UtcTime Configuration ConfigurationFileHash"),
    17: _PROCESS | _named("EventType PipeName"),
    18: _PROCESS | _named("EventType PipeName"),
    19: _WMI | _named("EventNamespace Name Query"),
    20: _WMI | _named("Name Type Destination"),
    21: _WMI | _named("Consumer Filter"),
    22: _PROCESS | _named("QueryName QueryStatus QueryResults"),
    23: _FILE | _named("Hashes IsExecutable Archived"),
    24: _PROCESS | _named("Session ClientInfo Hashes Archived"),
    25: _PROCESS | _named("Type"),
    26: _FILE | _named("Hashes IsExecutable"),
    27: _FILE | _named("Hashes"),
    28: _FILE | _named("Hashes IsExecutable"),
    29: _FILE | _named("Hashes"),
    255: _named("UtcTime ID Description"),
}
_SECURITY_FIELDS: dict[int, frozenset[str]] = {
    4688: _SUBJECT
    | _named("NewProcessId NewProcessName TokenElevationType ProcessId CommandLine ParentProcessName MandatoryLabel")
    | _named("TargetUserSid TargetUserName TargetDomainName TargetLogonId"),
    4657: _SUBJECT
    | _named("ObjectName ObjectValueName HandleId OperationType OldValueType OldValue NewValueType NewValue")
    | _named("ProcessId ProcessName"),
}
_POWERSHELL_FIELDS: dict[int, frozenset[str]] = {
    4103: _named("ContextInfo UserData Payload"),
    4104: _named("MessageNumber MessageTotal ScriptBlockText ScriptBlockId Path"),
}
_FIELDS = {
    fold(SYSMON): _SYSMON_FIELDS,
    fold(SECURITY): _SECURITY_FIELDS,
    fold(POWERSHELL): _POWERSHELL_FIELDS,
}


def fields_of(channels: Iterable[str] | None, event_ids: Iterable[int] | None) -> frozenset[str] | None:
    """The fields that events of these folded channels and ids can have; None where that is not known."""
    found = ENVELOPE
    for channel in channels or ("",):
        known = _FIELDS.get(channel, {})
        for event_id in event_ids or (0,):
            if event_id not in known:
                return None
            found |= known[event_id]
    return found


def source_name(channels: Iterable[str] | None, event_ids: Iterable[int] | None) -> str:
    """A source as messages name it.

    >>> source_name(["security"], [4688]), source_name(["microsoft-windows-sysmon/operational"], [12, 13])
    ('Security 4688', 'Sysmon 12, 13')
    >>> source_name(None, None), source_name(["system"], None)
    ('Windows', 'System')
    """
    spelled = {fold(name): name for names in SERVICES.values() for name in names} | {fold(SYSMON): "Sysmon"}
    names = [spelled.get(channel, channel) for channel in channels or ()]
    numbers = ", ".join(str(number) for number in sorted(event_ids or ()))
    return " ".join((", ".join(sorted(names)) or "Windows", numbers)).strip()
