"""Dashboards, declared as data: what each panel shows of which stream. The saved objects are made from this alone."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from huntbeam.schemas import streams
from huntbeam.schemas.search import MONSTER

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
LATERAL_PORTS = (22, 135, 139, 445, 3389, 5985, 5986)  # SSH, RPC, NetBIOS, SMB, RDP, WinRM


class OneOf(NamedTuple):
    """A field has one of the values; an address may be in one of the networks."""

    field: str
    values: tuple[str | int | bool, ...]


class Between(NamedTuple):
    """A number lies between two, both inclusive."""

    field: str
    low: int
    high: int


class Like(NamedTuple):
    """A text matches a pattern with *."""

    field: str
    pattern: str


class Not(NamedTuple):
    """A condition does not hold, or the field is not there."""

    of: OneOf | Between | Like


class AnyOf(NamedTuple):
    """At least one condition holds."""

    of: tuple[OneOf | Between | Like | Not, ...]


Condition = OneOf | Between | Like | Not | AnyOf


class Shape(StrEnum):
    """How a panel looks."""

    NUMBER = "metric"
    TABLE = "table"
    PIE = "pie"
    BARS = "histogram"  # the first split is the x axis, a second one the parts of a bar
    MAP = "map"  # the split is a geo_point
    RATIO = "ratio"  # two sums over time, the first by the second, a line for each value of the split
    LIST = "search"  # documents, with a search bar above


class Split(NamedTuple):
    """Documents by the values of a field; the `size` most frequent. Those without the field are shown as `missing`."""

    field: str
    label: str
    size: int = 10
    missing: str | None = None  # None: they are not shown. Of texts alone


class Over(NamedTuple):
    """Documents by time."""

    field: str


class Panel(NamedTuple):
    """A panel. Its numbers count documents, or add up the field `sums` names."""

    name: str
    title: str
    stream: str
    shape: Shape
    splits: tuple[Split | Over, ...] = ()
    where: tuple[Condition, ...] = ()  # all hold
    sums: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # of a list
    width: int = 24  # of 48
    height: int = 12
    note: str = ""


class Dashboard(NamedTuple):
    """Panels, from left to right, line by line."""

    name: str
    title: str
    note: str
    panels: tuple[Panel, ...]


_CREATED = OneOf("EventID", (1500,))
_NETWORK = Between("EventID", 3000, 3999)
_UNTRUSTED = AnyOf((Not(OneOf("signer_trusted", (True,))), Not(Like("Signer", "*Microsoft*"))))

MONSTER_AGENT = Dashboard(
    "monster",
    "HuntBeam: Monster Agent",
    "Processes, files, registry and network of Monster Agent",
    (
        Panel("events", "Events", MONSTER, Shape.NUMBER, width=12),
        Panel(
            "hosts",
            "Events by host and event id",
            MONSTER,
            Shape.BARS,
            (Split("host_key", "Host", 20), Split("EventID", "Event id", 30)),
            width=36,
        ),
        Panel(
            "commands",
            "Command lines",
            MONSTER,
            Shape.TABLE,
            (Split("CommandLine", "Command line"), Split("Image", "Image")),
            (_CREATED,),
        ),
        Panel(
            "signers",
            "Processes whose signer is not trusted or not Microsoft",
            MONSTER,
            Shape.TABLE,
            (
                Split("Image", "Image"),
                Split("Signer", "Signer", missing="not signed"),
                Split("VerifiedResult", "Verified", missing="-"),
            ),
            (_CREATED, _UNTRUSTED),
        ),
        Panel(
            "map",
            "Where connections go",
            MONSTER,
            Shape.MAP,
            (Split("DestinationGeoip.location", "Destination"),),
            height=16,
        ),
        Panel(
            "exfiltration",
            "Bytes sent by bytes received, by host: above 1 more goes out than comes in",
            MONSTER,
            Shape.RATIO,
            (Split("host_key", "Host"),),
            (_NETWORK,),
            ("SendBytes", "RecvBytes"),
            height=16,
        ),
        Panel(
            "files",
            "File events",
            MONSTER,
            Shape.PIE,
            (Split("event_type", "Event"),),
            (Between("EventID", 2000, 2999),),
            width=12,
        ),
        Panel(
            "registry",
            "Registry events",
            MONSTER,
            Shape.PIE,
            (Split("event_type", "Event"),),
            (Between("EventID", 4000, 4999),),
            width=12,
        ),
        Panel("addresses", "Destinations", MONSTER, Shape.PIE, (Split("remote_ip", "IP"),), (_NETWORK,), width=12),
        Panel("ports", "Destination ports", MONSTER, Shape.PIE, (Split("remote_port", "Port"),), (_NETWORK,), width=12),
        Panel(
            "processes_list",
            "Processes: search by SHA2, MD5 or image",
            MONSTER,
            Shape.LIST,
            where=(_CREATED,),
            columns=("host_key", "Image", "CommandLine", "Signer", "SHA2", "MD5"),
            width=48,
            height=16,
        ),
        Panel(
            "network_list",
            "Connections: search by address",
            MONSTER,
            Shape.LIST,
            where=(_NETWORK,),
            columns=("host_key", "remote_ip", "remote_port", "SendBytes", "RecvBytes", "EventBlockKey"),
            width=48,
            height=16,
        ),
    ),
)

_VALID = Not(OneOf("retracted", (True,)))
_LATERAL = (
    OneOf("dst_port", LATERAL_PORTS),
    OneOf("dst_ip_addr", PRIVATE),
    OneOf("network_connection_initiated", ("true",)),
)

SYSMON = Dashboard(
    "sysmon",
    "HuntBeam: Sysmon",
    "Connections with their process, counts in windows, lateral movement, alerts and ATT&CK",
    (
        Panel("alerts", "Alerts", streams.ALERTS, Shape.NUMBER, where=(_VALID,), width=12),
        Panel(
            "levels", "Alerts by level", streams.ALERTS, Shape.PIE, (Split("rule_level", "Level"),), (_VALID,), width=12
        ),
        Panel(
            "alerts_over_time",
            "Alerts over time",
            streams.ALERTS,
            Shape.BARS,
            (Over("time"), Split("rule_level", "Level")),
            (_VALID,),
        ),
        Panel(
            "techniques",
            "ATT&CK techniques",
            streams.ALERTS,
            Shape.TABLE,
            (Split("attack", "Technique", 20), Split("rule_level", "Level")),
            (_VALID,),
        ),
        Panel(
            "rules",
            "Rules and hosts",
            streams.ALERTS,
            Shape.TABLE,
            (Split("rule_title", "Rule", 20), Split("host", "Host")),
            (_VALID,),
        ),
        Panel(
            "anomalies",
            "Anomalies",
            streams.ANOMALIES,
            Shape.TABLE,
            (Split("title", "Rule", 20), Split("severity", "Severity")),
            (_VALID,),
            width=48,
        ),
        Panel("joins", "Connections", streams.JOIN, Shape.NUMBER, width=12),
        Panel(
            "joins_over_time",
            "Connections over time by process",
            streams.JOIN,
            Shape.BARS,
            (Over("event_date_creation"), Split("process_path", "Process")),
            width=36,
        ),
        Panel(
            "talkers",
            "Who connects where",
            streams.JOIN,
            Shape.TABLE,
            (
                Split("process_path", "Process"),
                Split("process_command_line", "Command line", 5),
                Split("dst_ip_addr", "Destination", 5),
            ),
        ),
        Panel(
            "lateral",
            "Lateral movement: internal connects to SSH, RPC, SMB, RDP, WinRM",
            streams.JOIN,
            Shape.TABLE,
            (Split("host", "From"), Split("dst_ip_addr", "To"), Split("dst_port", "Port"), Split("process_path", "By")),
            _LATERAL,
        ),
        Panel(
            "lateral_over_time",
            "Lateral movement over time by host",
            streams.JOIN,
            Shape.BARS,
            (Over("event_date_creation"), Split("host", "From")),
            _LATERAL,
        ),
        Panel("join_ports", "Destination ports", streams.JOIN, Shape.PIE, (Split("dst_port", "Port"),)),
        Panel(
            "windows_over_time",
            "Events in windows by counter",
            streams.WINDOW_COUNTS,
            Shape.BARS,
            (Over("window_start"), Split("counter", "Counter")),
            sums=("count",),
            note="Generations of a window add up.",
        ),
        Panel(
            "windows",
            "Busiest processes",
            streams.WINDOW_COUNTS,
            Shape.TABLE,
            (Split("counter", "Counter"), Split("key.host", "Host"), Split("key.process_path", "Process")),
            sums=("count",),
        ),
        Panel(
            "alerts_list",
            "Alerts: search",
            streams.ALERTS,
            Shape.LIST,
            where=(_VALID,),
            columns=("rule_level", "rule_title", "host", "user_account", "process_path", "attack"),
            width=48,
            height=16,
        ),
    ),
)

DASHBOARDS = (MONSTER_AGENT, SYSMON)
