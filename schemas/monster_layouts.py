"""The layouts of Monster Agent's records, declared as data: the columns of every event id and the type of each column.

Facts of the vendor's public Logstash configuration (docs/monster.md). Names are those of documents: a time has lost its
`(UTC)`, and of two columns of one record with the same name the second has a name of its own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from huntbeam.schemas.record import Kind


class Layout(StrEnum):
    """Told apart by the first column: an event id, or the host's GUID."""

    V0_9 = "0.9"
    V1_0 = "1.0"


class Order(StrEnum):
    """The vendor's configuration and event sheet contradict each other in two records of 0.9."""

    CONF = "conf"
    SHEET = "sheet"


class Event(NamedTuple):
    """An event id of a layout."""

    event_type: str
    columns: tuple[str, ...]


class Declared(NamedTuple):
    """What a column holds, in every record that has it."""

    kind: Kind
    description: str


TICKS = "Ticks"  # behind the name of a time: the FILETIME that it came from
VENDOR = {"ImageFileSize": "ImageSize", "ImageProcessId": "ProcessID"}  # what the vendor calls a repeated column

_TIMES = """
CollectTimestamp: When the agent collected the event
EventTimestamp: When the event happened
ProcessCreateTimestamp: Start of the process
ProcessExitTimestamp: End of the process
ImageCreateTimestamp: Creation of the image file
ImageWriteTimestamp: Last write to the image file
ImageTimestamp: Time stamp of the image
TargetFileCreationTimestamp: Creation of the file
TargetWriteTimestamp: Last write to the file
CreateTimestamp: Creation of the file
ModifiedTimestamp: Last write to the file
ConnectTimestamp: Begin of the connection
DisconnectTimestamp: End of the connection; null while it lasts
"""
_INTEGERS = """
ProcessId: Process
ParentProcessId: Parent process
TerminalSessionId: Terminal session
ExitCode: Exit code
ImageSize: Size of the image
ImageFileSize: Size of the image file, where the image's own is there too
ImageProcessId: The process of the image (ProcessID)
Size: Size in bytes
TargetFileSize: Size of the file
IssuingThreadId: Thread that asked for it
WriteCount: Writes
WriteCounts: Writes
WriteBytes: Bytes written
FileEventCounts: File events of the block
FileIOCount: File operations of the block
DestinationPort: Destination port
SourcePort: Source port
ClientPort: Port of the side that connected
ServerPort: Port of the side that was connected to
SendCount: Sends
SendBytes: Bytes sent
RecvCount: Receives
RecvBytes: Bytes received
RegEventCounts: Registry events of the block
ValueDataSize: Size of the value
DiskNumber: Disk
WriteSize: Bytes written
WriteOffset: Where on the disk
SourceProcessId: Process that acts
SourceProcessSessionId: Its session
TargetProcessId: Process acted upon
TargetProcessSessionId: Its session
TargetThreadId: Thread in the target process
LogonType: Kind of logon, as Windows numbers it
SessionID: Session
"""
_ADDRESSES = """
HostIP: Host
DestinationIp: Destination address
SourceIP: Source address
ClientIP: The side that connected
ServerIP: The side that was connected to
"""
_GUIDS = """
HostGUID: Host
ProcessGUID: Process
ParentProcessGUID: Parent process
SourceProcessGUID: Process that acts
TargetProcessGUID: Process acted upon
"""
_OBJECTS = """
Groups: Groups of the owner
Privileges: Privileges of the process
"""
_TEXTS = """
EventBlockKey: The block of the event: a summary and its details have the same
Flag: Flag
Image: Executable
CommandLine: Command line
Owner: Account of the process
Removed: Whether the file is gone
Type: Type of the file or of the registry value
FileType: Type of the file
Attributes: Attributes
Version: Version of the file
VerifiedResult: What checking the signature came to; its values are documented nowhere
Signer: Who signed the image
ImageFileSID: Owner of the image file
FileOwner: Owner of the file
MD5: MD5 of the file
SHA2: SHA-256 of the file
ImageBase: Where the image was loaded
ImageDefaultBase: Where it would be loaded
ImageCheckSum: Check sum of the image
FinalFileName(NT): File at the end of the block, as NT names it
FinalFileName(DOS): The same as DOS names it
FinalTargetFilePath(NT): File at the end of the block, as NT names it
FinalTargetFilePath(DOS): The same as DOS names it
TargetFileAttribute: Attributes of the file
TargetFileAttributes: Attributes of the file
TargetFileVersion: Version of the file
TargetFileSID: Owner of the file
TargetFileOwner: Owner of the file
TargetFileName: File
TargetFilePath: File; of a rename the new name
FileObject: File object
NTCreateFileOptions: Options of the open
NTCreateFileAttributes: Attributes of the open
DesiredAccess: Access asked for
ShareAccess: Access shared with others
Disposition: Disposition of the open
Options: Options of the open
Information: Information of the open
GrantAccess: Access granted
GrantedAccess: Access granted
ConnectionId: Connection
ServerName: Name of the server
ClientName: Name of the client
TargetObject: Registry key or value
TargetObject(base): Key that the name is relative to
TargetObject(relative): Name relative to it
TargetObject(key): Key
TargetObject(value): Value's name
RegObject: Registry object
RegOpenKeyStatus: Status of the operation
Details: Data of the value
Inject: Whether the device came or went
SerialNumber: Serial number of the device
ProductName: Product
DriveLatter: Drive letter, in the vendor's spelling
DriveLatterr: Drive letter, in the vendor's spelling of 0.9
DeviceName: Device
HostName: Name of the host
HostMAC: Hardware address of the host
Adapters: Network adapters
Accounts: Accounts
InstalledPrograms: Installed programs
SourceImage: Executable of the process that acts
SourceProcessUser: Its account
SourceProcessVerifyResult: What checking its signature came to
SourceProcessVerifiedSigner: Who signed it
SourceProcessMD5: Its MD5
SourceProcessSHA2: Its SHA-256
TargetImage: Executable of the process acted upon
TargetProcessUser: Its account
TargetProcessVerifyResult: What checking its signature came to
TargetProcessVerifiedSigner: Who signed it
TargetProcessMD5: Its MD5
TargetProcessSHA2: Its SHA-256
TargetUserSID: Account that logs on or off
TargetDomainName: Its domain
TargetUserName: Its name
TargetLogonID: Logon session
LogonStatus: Status of the logon
FailureReason: Why it failed
UserName: Account
DomainName: Its domain
LogonID: Logon session
ChannelName: Event log
DriverName: Driver
FinalStatus: Status
ServiceName: Service
ServiceType: Kind of service
ErrorCode: Error
ImagePath: Executable of the service
"""


def _declared(kind: Kind, table: str) -> dict[str, Declared]:
    rows = (line.split(": ", 1) for line in table.strip().splitlines())
    return {name: Declared(kind, description) for name, description in rows}


COLUMNS: dict[str, Declared] = (
    _declared(Kind.GUID, _GUIDS)
    | _declared(Kind.IP, _ADDRESSES)
    | _declared(Kind.INSTANT, _TIMES)
    | _declared(Kind.INTEGER, _INTEGERS)
    | _declared(Kind.OBJECT_LIST, _OBJECTS)
    | _declared(Kind.TEXT, _TEXTS)
)  # and EventID, which every record has


def _events(head: str, table: str) -> dict[int, Event]:
    """Lines of `id event_type: columns behind the head`; a line that begins with `=` has the whole record."""
    events = {}
    for line in table.strip().splitlines():
        name, _, columns = line.partition(": ")
        whole = columns.startswith("= ")
        event_id, event_type = name.rstrip(":").split()
        written = columns.removeprefix("= ") if whole else f"{head} {columns}"
        events[int(event_id)] = Event(event_type, tuple(written.split()))
    return events


_HEAD_0_9 = "EventID EventBlockKey HostIP CollectTimestamp ProcessId"
_FILE_0_9 = "Flag FileObject IssuingThreadId"
_NETWORK_0_9 = (
    "Flag ConnectTimestamp DestinationIp SourceIP DestinationPort SourcePort ConnectionId "
    "SendCount SendBytes RecvCount RecvBytes DisconnectTimestamp"
)
_SIGNED = "VerifiedResult Signer ImageFileSID MD5 SHA2"
_BOTH_0_9 = " ".join(
    f"{side}ProcessId {side}ProcessSessionId {side}Image {side}ProcessUser {side}ProcessVerifyResult "
    f"{side}ProcessVerifiedSigner {side}ProcessMD5 {side}ProcessSHA2"
    for side in ("Source", "Target")
)
_IMAGE_0_9 = "Flag ImageBase ImageSize ImageProcessId ImageCheckSum ImageTimestamp ImageDefaultBase Image Removed"

# Where the vendor tags 2014 as CreateFile, and 4002 and 4003 as CreateKey, the names say what happens.
EVENTS_0_9 = _events(
    _HEAD_0_9,
    f"""
1500 ProcessCreate: Flag ProcessCreateTimestamp TerminalSessionId ParentProcessId Image CommandLine Owner Groups \
Privileges Removed ImageSize ImageCreateTimestamp ImageWriteTimestamp {_SIGNED}
1501 ProcessStop: = EventID EventBlockKey HostIP CollectTimestamp Flag ProcessId ProcessCreateTimestamp \
ProcessExitTimestamp ExitCode
1502 ImageLoad: {_IMAGE_0_9} ImageFileSize ImageCreateTimestamp ImageWriteTimestamp {_SIGNED}
1503 ImageUnload: {_IMAGE_0_9}
2500 FileEventStatistics: Flag FinalFileName(NT) FinalFileName(DOS) TargetFileSize TargetFileCreationTimestamp \
TargetWriteTimestamp TargetFileAttribute TargetFileVersion TargetFileSID MD5 SHA2 WriteCounts WriteBytes Removed \
FileEventCounts
2012 CreateFile: {_FILE_0_9} NTCreateFileOptions NTCreateFileAttributes TargetFileName
2014 CloseFile: {_FILE_0_9}
2027 FileRenamePath: {_FILE_0_9} TargetFilePath
2030 CreateNewFile: {_FILE_0_9} TargetFileName
3500 NetworkConnect(TCP): {_NETWORK_0_9}
3501 NetworkAccept(TCP): {_NETWORK_0_9}
4500 RegEventStatistics: Flag TargetObject RegEventCounts
4001 CreateKey: RegObject TargetObject(base) TargetObject(relative) RegOpenKeyStatus
4002 OpenKey: RegObject TargetObject(base) TargetObject(relative) RegOpenKeyStatus
4003 DeleteKey: RegObject RegOpenKeyStatus TargetObject
4005 SetValue: RegObject RegOpenKeyStatus Details ValueDataSize TargetObject(key) TargetObject(value)
4006 DeleteValueKey: RegObject RegOpenKeyStatus TargetObject(key) TargetObject(value)
4013 CloseKey: RegObject RegOpenKeyStatus TargetObject
6500 PNP: Flag SerialNumber ProductName DriveLatterr DeviceName
7500 RawDiskAccess: Flag DiskNumber WriteSize WriteOffset
8500 HostInfo: Flag HostName HostMAC Accounts InstalledPrograms
9001 ProcessOpen: Flag {_BOTH_0_9} GrantedAccess
9002 ProcessDuplicate: Flag {_BOTH_0_9} GrantedAccess
""".replace("\\\n", ""),
)

_HEAD_1_0 = "HostGUID ProcessGUID EventID EventBlockKey EventTimestamp ProcessId Flag"
_TRAFFIC = "SendCount SendBytes RecvCount RecvBytes DisconnectTimestamp"
_FILE_1_0 = "Removed Size CreateTimestamp ModifiedTimestamp"
_SIGNED_1_0 = "VerifiedResult Signer FileOwner MD5 SHA2"
_ACCOUNT = "TargetUserSID TargetDomainName TargetUserName"

# Where the vendor tags 9508 and 9509 as RemoteSessionRemove, the names follow from their columns.
EVENTS_1_0 = _events(
    _HEAD_1_0,
    f"""
1500 ProcessCreate: ParentProcessGUID ParentProcessId TerminalSessionId Image CommandLine Owner Groups Privileges \
{_FILE_1_0} Type Attributes Version {_SIGNED_1_0}
1501 ProcessStop: ExitCode
1502 ImageLoad: ImageBase ImageCheckSum Image {_FILE_1_0} {_SIGNED_1_0}
1504 ProcessOpen: TargetProcessGUID GrantAccess
1505 ProcessDuplicate: SourceProcessGUID TargetProcessGUID GrantAccess
1506 RemoteThreadCreate: TargetProcessGUID TargetThreadId
2500 FileEvent: DesiredAccess Attributes ShareAccess Disposition Options Information TargetFilePath \
FinalTargetFilePath(NT) FinalTargetFilePath(DOS) {_FILE_1_0} FileType TargetFileAttributes TargetFileVersion \
TargetFileOwner MD5 SHA2 WriteCount WriteBytes FileIOCount
2501 FileRenameEvent: TargetFilePath
3500 NetworkConnect(TCP): ClientIP ClientPort ServerIP ServerPort ServerName {_TRAFFIC}
3501 NetworkAccept(TCP): ServerIP ServerPort ClientIP ClientPort ClientName {_TRAFFIC}
3502 NetworkSend(UDP): ClientIP ClientPort ServerIP ServerPort ServerName SendBytes RecvCount RecvBytes
3503 NetworkRecv(UDP): ServerIP ServerPort ClientIP ClientPort ClientName RecvBytes
4500 RegEvent: DesiredAccess GrantAccess Options TargetObject RegEventCounts
4103 RegSetValue: Type Size TargetObject
4105 RegDeleteValue: TargetObject
4106 RegRenameKey: TargetObject
6500 PNP: Inject SerialNumber ProductName DriveLatter DeviceName
7500 RawDiskAccess: DiskNumber WriteSize WriteOffset
8500 HostInfo: HostName HostIP Adapters Accounts
9500 LogonSuccess: {_ACCOUNT} TargetLogonID Image SourceIP SourcePort LogonType
9501 LogonFailure: {_ACCOUNT} LogonStatus FailureReason Image SourceIP SourcePort LogonType
9502 LogOff: {_ACCOUNT} TargetLogonID LogonType
9503 EventlogServiceShutdown:
9504 DeleteEventlog: UserName DomainName LogonID ChannelName
9505 RemoteSessionCreate: UserName SourceIP SessionID
9506 RemoteSessionRemove: UserName SourceIP SessionID
9507 DriverRegister: DriverName FinalStatus
9508 ServiceFailure: ServiceName ErrorCode
9509 ServiceInstall: ServiceName ServiceType ImagePath
""".replace("\\\n", ""),
)

# What the event sheet swaps against the configuration.
_SWAPPED = {1500: ("ParentProcessId", "TerminalSessionId"), 1501: ("ProcessId", "Flag")}


def events(layout: Layout, order: Order = Order.CONF) -> dict[int, Event]:
    """The events of a layout, by id."""
    if layout is Layout.V1_0:
        return EVENTS_1_0
    return {i: _swapped(i, event) if order is Order.SHEET else event for i, event in EVENTS_0_9.items()}


def _swapped(event_id: int, event: Event) -> Event:
    one, other = _SWAPPED.get(event_id, ("", ""))
    other_of = {one: other, other: one}
    return event._replace(columns=tuple(other_of.get(name, name) for name in event.columns))


def vendor_name(column: str) -> str:
    """What the vendor calls a column.

    >>> vendor_name("CollectTimestamp"), vendor_name("ImageFileSize"), vendor_name("Image")
    ('CollectTimestamp(UTC)', 'ImageSize', 'Image')
    """
    name = VENDOR.get(column, column)
    return f"{name}(UTC)" if name in COLUMNS and COLUMNS[name].kind is Kind.INSTANT else name
