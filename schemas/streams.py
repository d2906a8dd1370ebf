"""The output streams: folder name (topic name in upper case) and record type."""

from __future__ import annotations

import msgspec

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.anomaly import Anomaly
from huntbeam.schemas.dead_letter import DeadLetter
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.schemas.sysmon import (
    Duplicate,
    NetworkConnect,
    ProcessCreate,
    SysmonEnriched,
    SysmonEvent,
    SysmonJoin,
    SysmonUnmatched,
)
from huntbeam.schemas.window import WindowCount

PROCESS_CREATE = "sysmon_process_create"
NETWORK_CONNECT = "sysmon_network_connect"
JOIN = "sysmon_join"
UNMATCHED = "sysmon_unmatched"
WINDOW_COUNTS = "window_counts"
DEAD_LETTERS = "dead_letters"
DUPLICATES = "duplicates"
EVENTS = "sysmon_events"
ENRICHED = "sysmon_enriched"
ALERTS = "alerts"
SUPPRESSED = "suppressed"
ANOMALIES = "anomalies"
MONSTER = "monster_events"

STREAMS: dict[str, type[msgspec.Struct]] = {
    PROCESS_CREATE: ProcessCreate,
    NETWORK_CONNECT: NetworkConnect,
    JOIN: SysmonJoin,
    UNMATCHED: SysmonUnmatched,
    WINDOW_COUNTS: WindowCount,
    DEAD_LETTERS: DeadLetter,
    DUPLICATES: Duplicate,
    EVENTS: SysmonEvent,
    ENRICHED: SysmonEnriched,
    ALERTS: Alert,
    SUPPRESSED: Alert,
    ANOMALIES: Anomaly,
    MONSTER: MonsterEvent,
}
