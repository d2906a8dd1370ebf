"""What is counted in Monster Agent's documents, and what stands out in it: counters and anomaly rules as data."""

from __future__ import annotations

from huntbeam.schemas.anomaly import SUM, AnomalyRule, FirstSeen, Ratio, Severity
from huntbeam.schemas.monster import NETWORK, PROCESS_CREATE, MonsterEvent
from huntbeam.schemas.monster_layouts import Layout, events
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.window import Counter

EXFILTRATION, SIGNERS = "exfiltration", "signers"
RATIO = 1.0  # bytes sent by bytes received: above it, more goes out than comes in
BYTES = 10_000_000  # sent in a window, at the least: less is noise

TRANSFER = Counter(
    name="monster_transfer", event_id=tuple(sorted(NETWORK)), key=("host_key",), sum=("SendBytes", "RecvBytes")
)
UNTRUSTED_SIGNER = Counter(
    name="monster_untrusted_signer",
    event_id=PROCESS_CREATE,
    key=("host_key", "Image", "Signer", "VerifiedResult"),
    where={"signer_trusted": [False]},
)
COUNTERS = (TRANSFER, UNTRUSTED_SIGNER)

_OURS = ("host_key", "remote_ip", "remote_port", "event_type", "layout", "signer_trusted")
_KINDS = (Kind.TEXT, Kind.INTEGER, Kind.GUID, Kind.IP, Kind.BOOLEAN)


def exfiltration(ratio: float = RATIO, at_least: int = BYTES) -> AnomalyRule:
    """A host sends more than it receives, and much."""
    return Ratio(
        id="4c0d1f4a-6a0e-4d0b-8c5b-7c1b1f6f3a01",
        name="More Sent Than Received",
        severity=Severity.MEDIUM,
        tags=("attack.exfiltration", "attack.t1048"),
        text="A host sent more bytes than it received: look at what went where.",
        counter=TRANSFER.name,
        measure=SUM + "SendBytes",
        by=SUM + "RecvBytes",
        above=ratio,
        at_least=at_least,
    )


def untrusted_signer() -> AnomalyRule:
    """A program ran that no trusted signer vouches for, for the first time on its host."""
    return FirstSeen(
        id="4c0d1f4a-6a0e-4d0b-8c5b-7c1b1f6f3a02",
        name="Program Without A Trusted Signer",
        severity=Severity.LOW,
        tags=("attack.execution", "attack.t1204.002"),
        text="A program ran whose signer is not among the trusted ones: look who signed it and where it came from.",
        counter=UNTRUSTED_SIGNER.name,
    )


def countable(event_id: int) -> dict[str, Kind]:
    """The columns that a counter of an event id may name, and their kinds."""
    there = {name for layout in Layout if (event := events(layout).get(event_id)) for name in event.columns}
    known = {c.source: c for c in columns(MonsterEvent)}
    named = [known[name] for name in sorted(there) if name in known]
    ours = [c for c in columns(MonsterEvent) if c.name in _OURS]
    return {c.name: c.kind for c in (*ours, *named) if c.kind in _KINDS}
