"""Which fields events have, and which the context of their process gives (enrich.py). No pySigma here.

Facts of Sysmon's schema 4.90, of Windows' audit events and of Sigma's taxonomy.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from huntbeam.schemas.sysmon import ENRICHABLE, NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.transforms.enrich import CONTEXT_FIELDS, GRANDPARENT_COMMAND_LINE, GRANDPARENT_IMAGE
from huntbeam.transforms.monster.sigma_fields import CHANNEL, field_names
from huntbeam.transforms.sigma.events import POWERSHELL, SECURITY, SYSMON
from huntbeam.transforms.sigma.readings import fold

ENVELOPE = frozenset({"Computer", "Channel", "Provider_Name", "EventID"})
SYSMON_CHANNEL = fold(SYSMON)
_GRANDPARENT = frozenset({GRANDPARENT_IMAGE, GRANDPARENT_COMMAND_LINE})
_LATER = frozenset({"User"})  # of most events Sysmon has it since version 13.30 only


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
    fold(CHANNEL): field_names(),
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


@cache
def context_fields(event_id: int) -> frozenset[str]:
    """The fields that the context of its process gives a Sysmon event; what the event has itself it keeps.

    >>> sorted(context_fields(1)), "CommandLine" in context_fields(7), "Hashes" in context_fields(7), context_fields(6)
    (['GrandParentCommandLine', 'GrandParentImage'], True, False, frozenset())
    """
    if event_id not in ENRICHABLE:
        return frozenset()
    if event_id == PROCESS_CREATE:
        return _GRANDPARENT
    own = _SYSMON_FIELDS[event_id] - (frozenset() if event_id == NETWORK_CONNECT else _LATER)
    return (CONTEXT_FIELDS | _GRANDPARENT) - own
