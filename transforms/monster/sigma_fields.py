"""Monster Agent's documents as Sigma's rules see them: process_creation and network_connection by the names of Sysmon.

A document keeps its own columns beside these names, so that rules may ask for Signer, VerifiedResult and the rest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from huntbeam.schemas.monster import NETWORK, PROCESS_CREATE, MonsterEvent, attribute
from huntbeam.schemas.monster_layouts import Layout, events

CHANNEL = "Monster Agent"
CATEGORIES = {"process_creation": (PROCESS_CREATE,), "network_connection": tuple(sorted(NETWORK))}

_ACCEPTED = frozenset((3501, 3503))  # the other side began it
_UDP = frozenset((3502, 3503))

# Sigma's name, and the columns of which the first that is there has it.
_PROCESS = {
    "User": ("Owner",),
    "ProcessGuid": ("ProcessGUID",),
    "ParentProcessGuid": ("ParentProcessGUID",),
    "md5": ("MD5",),
    "sha256": ("SHA2",),
    "Signature": ("Signer",),
    "SignatureStatus": ("VerifiedResult",),
    "FileVersion": ("Version",),
}
_NETWORK = {
    "ProcessGuid": ("ProcessGUID",),
    "DestinationIp": ("DestinationIp", "ServerIP"),
    "DestinationPort": ("DestinationPort", "ServerPort"),
    "DestinationHostname": ("ServerName",),
    "SourceIp": ("SourceIP", "ClientIP"),
    "SourcePort": ("SourcePort", "ClientPort"),
    "SourceHostname": ("ClientName",),
}
_MADE = {PROCESS_CREATE: ("Hashes", "Signed")} | dict.fromkeys(NETWORK, ("Initiated", "Protocol"))


def field_names() -> dict[int, frozenset[str]]:
    """The fields that events of an id can have, in either layout."""
    found: dict[int, frozenset[str]] = {}
    for layout in Layout:
        for event_id, event in events(layout).items():
            if event_id in _MADE:
                names = _PROCESS if event_id == PROCESS_CREATE else _NETWORK
                found[event_id] = found.get(event_id, frozenset()).union(event.columns, names, _MADE[event_id])
    return found


def sigma_fields(event: MonsterEvent) -> dict[str, Any]:
    """The fields of a document of CATEGORIES, null ones left out."""
    fields = {name: value for name in _columns(event) if (value := getattr(event, attribute(name))) is not None}
    names = _PROCESS if event.EventID == PROCESS_CREATE else _NETWORK
    for name, columns in names.items():
        value = next((fields[column] for column in columns if column in fields), None)
        if value is not None:
            fields[name] = value
    if event.EventID == PROCESS_CREATE:
        hashes = [
            f"{kind}={fields[name].upper()}" for kind, name in (("MD5", "MD5"), ("SHA256", "SHA2")) if name in fields
        ]
        fields |= {"Hashes": ",".join(hashes)} if hashes else {}
        fields["Signed"] = "true" if "Signer" in fields else "false"
    else:
        fields["Initiated"] = "false" if event.EventID in _ACCEPTED else "true"
        fields["Protocol"] = "udp" if event.EventID in _UDP else "tcp"
    return {name: value for name, value in msgspec.to_builtins(fields).items() if name != "EventID"}


def _columns(event: MonsterEvent) -> tuple[str, ...]:
    return _EVENTS[event.layout][event.EventID].columns


_EVENTS = {layout.value: events(layout) for layout in Layout}
