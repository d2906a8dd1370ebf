"""Sysmon rows: the columns of the KSQL statements of HELK and of Confluent's recipe, declared once, in their order.

`event_date_creation` to `log_name` are theirs; `host`, `process_create_time`, `event_uid`, `clock_skew_ms` and
`event_time_source` are ours. Every nullable column is null when the record has no such field.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from huntbeam.schemas.geo import Geo
from huntbeam.schemas.record import Kind, column

PROVIDER = "Microsoft-Windows-Sysmon"
PROCESS_CREATE = 1
NETWORK_CONNECT = 3
PROCESS_TERMINATE = 5
ENRICHABLE = frozenset((1, 2, 3, 5, *range(7, 16), 17, 18, *range(22, 30)))  # events that name the process that acts
ZERO_GUID = "00000000-0000-0000-0000-000000000000"

T, N, G, I = Kind.TEXT, Kind.INTEGER, Kind.GUID, Kind.INSTANT  # noqa: E741 - one letter a kind keeps the table readable
M, L = Kind.TEXT_MAP, Kind.TEXT_LIST

EventDateCreation = Annotated[str | None, column(I, "UtcTime", "Event time, by the clock that --event_time names")]
ProcessGuid = Annotated[str | None, column(G, "ProcessGuid", "Process, unique per host")]
ProcessId = Annotated[int | None, column(N, "ProcessId", "Process id; hexadecimal in Security 4688")]
ProcessPath = Annotated[str | None, column(T, "Image", "Executable")]
FileVersion = Annotated[str | None, column(T, "FileVersion", "Version resource of the executable")]
FileDescription = Annotated[str | None, column(T, "Description", "Description resource of the executable")]
FileCompany = Annotated[str | None, column(T, "Company", "Company resource of the executable")]
ProcessCommandLine = Annotated[str | None, column(T, "CommandLine", "Command line")]
ProcessCurrentDirectory = Annotated[str | None, column(T, "CurrentDirectory", "Working folder")]
UserAccount = Annotated[str | None, column(T, "User", "Account, DOMAIN\\name")]
UserLogonGuid = Annotated[str | None, column(G, "LogonGuid", "Logon session")]
UserLogonId = Annotated[str | None, column(T, "LogonId", "Logon session, as written (hexadecimal)")]
UserSessionId = Annotated[int | None, column(N, "TerminalSessionId", "Terminal session")]
ProcessIntegrityLevel = Annotated[str | None, column(T, "IntegrityLevel", "Integrity level")]
Hashes = Annotated[str | None, column(T, "Hashes", "Hashes of the executable, NAME=hex,...")]
ParentProcessGuid = Annotated[str | None, column(G, "ParentProcessGuid", "Parent process")]
ParentProcessId = Annotated[int | None, column(N, "ParentProcessId", "Parent's process id")]
ParentProcessPath = Annotated[str | None, column(T, "ParentImage", "Parent's executable")]
ParentProcessCommandLine = Annotated[str | None, column(T, "ParentCommandLine", "Parent's command line")]
NetworkProtocol = Annotated[str | None, column(T, "Protocol", "tcp or udp")]
NetworkConnectionInitiated = Annotated[str | None, column(T, "Initiated", "true where this host began the connection")]
SrcIsIpv6 = Annotated[str | None, column(T, "SourceIsIpv6", "true or false")]
SrcIpAddr = Annotated[str | None, column(Kind.IP, "SourceIp", "Source address")]
SrcHostName = Annotated[str | None, column(T, "SourceHostname", "Source name, as the host resolved it")]
SrcPort = Annotated[int | None, column(N, "SourcePort", "Source port")]
SrcPortName = Annotated[str | None, column(T, "SourcePortName", "Service name of the source port")]
DstIsIpv6 = Annotated[str | None, column(T, "DestinationIsIpv6", "true or false")]
DstIpAddr = Annotated[str | None, column(Kind.IP, "DestinationIp", "Destination address")]
DstHostName = Annotated[str | None, column(T, "DestinationHostname", "Destination name, as the host resolved it")]
DstPort = Annotated[int | None, column(N, "DestinationPort", "Destination port")]
DstPortName = Annotated[str | None, column(T, "DestinationPortName", "Service name of the destination port")]
EventId = Annotated[int, column(N, "event_id", "Event id")]
SourceName = Annotated[str | None, column(T, "provider", "Provider, Microsoft-Windows-Sysmon")]
LogName = Annotated[str | None, column(T, "channel", "Channel")]
Host = Annotated[str | None, column(T, "computer", "Source computer, never the collector")]
ProcessCreateTime = Annotated[str | None, column(I, "UtcTime of the create", "Event time of the process create")]
EventUid = Annotated[str, column(T, "computed", "Deterministic id: equal content, equal id")]
ClockSkewMs = Annotated[int | None, column(N, "computed", "UtcTime minus the record's own time, in ms")]
EventTimeSource = Annotated[str | None, column(T, "computed", "utc_time or timestamp: the clock of the event time")]
OriginalFileName = Annotated[str | None, column(T, "OriginalFileName", "Name in the executable's version resource")]
Product = Annotated[str | None, column(T, "Product", "Product resource of the executable")]
ParentUserAccount = Annotated[str | None, column(T, "ParentUser", "Parent's account")]
GrandparentPath = Annotated[str | None, column(T, "ParentImage of the parent's create", "Grandparent's executable")]
GrandparentCommandLine = Annotated[
    str | None, column(T, "ParentCommandLine of the parent's create", "Grandparent's command line")
]
AncestorGuids = Annotated[
    list[str], column(L, "computed", "Ancestors, the parent first (--ancestry); an empty text: it is not known")
]
AncestorPaths = Annotated[list[str], column(L, "computed", "Their executables")]
AncestorCommandLines = Annotated[list[str], column(L, "computed", "Their command lines")]
EventData = Annotated[dict[str, str | int | None], column(M, "event data", "Event data as they stand")]
ContextFound = Annotated[
    str, column(T, "computed", "full; no_parent: the parent's create is not there; missing: the process's own is not")
]
Reason = Annotated[str, column(T, "computed", "no_create: none came; zero_guid: it never joins")]
RecordId = Annotated[str | None, column(T, "record id", "Record id, where the archive kept it")]
Source = Annotated[str, column(T, "computed", "File path, gs:// address or kafka:topic")]
SrcGeo = Annotated[Geo | None, column(Kind.GEO, "--geoip", "Where the source address is; left out when null")]
DstGeo = Annotated[Geo | None, column(Kind.GEO, "--geoip", "Where the destination address is; left out when null")]
Position = Annotated[int | None, column(N, "computed", "Byte offset in the decompressed file, or element number")]


class _OfProcess(msgspec.Struct, frozen=True, gc=False):
    """The 19 columns that any rekeyed event and a process create begin with."""

    event_date_creation: EventDateCreation
    process_guid: ProcessGuid
    process_id: ProcessId
    process_path: ProcessPath
    file_version: FileVersion
    file_description: FileDescription
    file_company: FileCompany
    process_command_line: ProcessCommandLine
    process_current_directory: ProcessCurrentDirectory
    user_account: UserAccount
    user_logon_guid: UserLogonGuid
    user_logon_id: UserLogonId
    user_session_id: UserSessionId
    process_integrity_level: ProcessIntegrityLevel
    hashes: Hashes
    parent_process_guid: ParentProcessGuid
    parent_process_id: ParentProcessId
    parent_process_path: ParentProcessPath
    parent_process_command_line: ParentProcessCommandLine


class SysmonEvent(_OfProcess, frozen=True, gc=False):
    """WINLOGBEAT_STREAM_REKEY: any Sysmon event, flattened (34 columns)."""

    network_protocol: NetworkProtocol
    network_connection_initiated: NetworkConnectionInitiated
    src_is_ipv6: SrcIsIpv6
    src_ip_addr: SrcIpAddr
    src_host_name: SrcHostName
    src_port: SrcPort
    src_port_name: SrcPortName
    dst_is_ipv6: DstIsIpv6
    dst_ip_addr: DstIpAddr
    dst_host_name: DstHostName
    dst_port: DstPort
    dst_port_name: DstPortName
    event_id: EventId
    source_name: SourceName
    log_name: LogName
    host: Host
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class ProcessCreate(_OfProcess, frozen=True, gc=False):
    """SYSMON_PROCESS_CREATE: Sysmon event 1 (22 columns)."""

    event_id: EventId
    source_name: SourceName
    log_name: LogName
    host: Host
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class ContextCreate(ProcessCreate, frozen=True, gc=False):
    """A process create outside the span that was asked for: connects join it, but it is no output itself."""


class ProcessContext(_OfProcess, frozen=True, gc=False):
    """A process create as far as it is the context of the process's events. No output."""

    original_file_name: OriginalFileName
    product: Product
    parent_user_account: ParentUserAccount
    event_id: EventId
    source_name: SourceName
    log_name: LogName
    host: Host
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class ProcessTerminate(msgspec.Struct, frozen=True, gc=False):
    """Sysmon event 5, as far as the join needs it: a process ended. No output."""

    host: Host
    process_guid: ProcessGuid


class _OfConnect(msgspec.Struct, frozen=True, gc=False):
    """The 17 columns that a network connect and its join begin with."""

    event_date_creation: EventDateCreation
    process_guid: ProcessGuid
    process_id: ProcessId
    process_path: ProcessPath
    user_account: UserAccount
    network_protocol: NetworkProtocol
    network_connection_initiated: NetworkConnectionInitiated
    src_is_ipv6: SrcIsIpv6
    src_ip_addr: SrcIpAddr
    src_host_name: SrcHostName
    src_port: SrcPort
    src_port_name: SrcPortName
    dst_is_ipv6: DstIsIpv6
    dst_ip_addr: DstIpAddr
    dst_host_name: DstHostName
    dst_port: DstPort
    dst_port_name: DstPortName


class NetworkConnect(_OfConnect, frozen=True, gc=False):
    """SYSMON_NETWORK_CONNECT: Sysmon event 3 (20 columns)."""

    event_id: EventId
    source_name: SourceName
    log_name: LogName
    host: Host
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class SysmonJoin(_OfConnect, frozen=True, gc=False, omit_defaults=True):
    """SYSMON_JOIN: a network connect with the create of its process (30 columns)."""

    source_name: SourceName
    log_name: LogName
    process_command_line: ProcessCommandLine
    hashes: Hashes
    parent_process_path: ParentProcessPath
    parent_process_command_line: ParentProcessCommandLine
    user_logon_guid: UserLogonGuid
    user_logon_id: UserLogonId
    user_session_id: UserSessionId
    process_current_directory: ProcessCurrentDirectory
    process_integrity_level: ProcessIntegrityLevel
    parent_process_guid: ParentProcessGuid
    parent_process_id: ParentProcessId
    host: Host
    process_create_time: ProcessCreateTime
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource
    src_geo: SrcGeo = None
    dst_geo: DstGeo = None


class SysmonUnmatched(NetworkConnect, frozen=True, gc=False):
    """A network connect without a create: the 20 columns of the connect and the reason."""

    reason: Reason


class EventHead(_OfConnect, frozen=True, gc=False):
    """What a row of sysmon_enriched begins with, of any event: the columns of a connect. No output."""

    event_id: EventId
    source_name: SourceName
    log_name: LogName
    host: Host
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class SysmonEnriched(_OfConnect, frozen=True, gc=False):
    """SYSMON_ENRICHED: any Sysmon event with the create of its process, and its grandparent (49 columns)."""

    event_id: EventId
    source_name: SourceName
    log_name: LogName
    event: EventData
    context: ContextFound
    process_command_line: ProcessCommandLine
    hashes: Hashes
    parent_process_path: ParentProcessPath
    parent_process_command_line: ParentProcessCommandLine
    user_logon_guid: UserLogonGuid
    user_logon_id: UserLogonId
    user_session_id: UserSessionId
    process_current_directory: ProcessCurrentDirectory
    process_integrity_level: ProcessIntegrityLevel
    parent_process_guid: ParentProcessGuid
    parent_process_id: ParentProcessId
    file_version: FileVersion
    file_description: FileDescription
    file_company: FileCompany
    original_file_name: OriginalFileName
    product: Product
    parent_user_account: ParentUserAccount
    grandparent_process_path: GrandparentPath
    grandparent_process_command_line: GrandparentCommandLine
    ancestor_process_guids: AncestorGuids
    ancestor_process_paths: AncestorPaths
    ancestor_process_command_lines: AncestorCommandLines
    host: Host
    process_create_time: ProcessCreateTime
    event_uid: EventUid
    clock_skew_ms: ClockSkewMs
    event_time_source: EventTimeSource


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """A further copy of an event that was there already; `event_uid` is the one that both have."""

    event_uid: EventUid
    event_date_creation: EventDateCreation
    host: Host
    event_id: EventId
    source_name: SourceName
    log_name: LogName
    process_guid: ProcessGuid
    record_id: RecordId
    source: Source
    position: Position
