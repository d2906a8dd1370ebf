"""Where Windows writes what Sigma calls a category or a service. pySigma knows most services' channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sigma.pipelines.common import windows_logsource_mapping

from huntbeam.transforms.monster.sigma_fields import CATEGORIES, CHANNEL
from huntbeam.transforms.sigma.events import SYSMON
from huntbeam.transforms.sigma.readings import fold

MONSTER = "monster"  # the service of rules for Monster Agent alone

SERVICES: dict[str, list[str]] = {
    service: [channels] if isinstance(channels, str) else list(channels)
    for service, channels in windows_logsource_mapping.items()
} | {
    "smbclient-connectivity": ["Microsoft-Windows-SmbClient/Connectivity"],
    "smbserver-connectivity": ["Microsoft-Windows-SMBServer/Connectivity"],
    MONSTER: [CHANNEL],
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

MONSTER_CATEGORIES: dict[str, Target] = {
    category: Target(MONSTER, event_ids) for category, event_ids in CATEGORIES.items()
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
