"""The views that a page is made of, declared. `huntbeam report` embeds them, `huntbeam serve` runs them when asked."""

from __future__ import annotations

from huntbeam.schemas.panels import LATERAL_PORTS
from huntbeam.transforms.views.relations import as_text
from huntbeam.transforms.views.view import Cube, Rows, View

CONNECTS, ALERTS, LETTERS = 5_000, 2_000, 500
SEVERITY = "list_position(['informational', 'low', 'medium', 'high', 'critical'], {})"

_HOST = {"host": "lower(host)"}
_DESTINATION = {"dst_ip_addr": "dst_ip_addr", "dst_port": "dst_port"}
_INITIATED = "coalesce(lower(network_connection_initiated), 'true') = 'true'"
_ADMIN = f"dst_port IN ({', '.join(map(str, LATERAL_PORTS))}) AND {_INITIATED}"


_CLOCKS = {
    "n": "count(*)",
    "measured": "count(clock_skew_ms)",
    "least": "min(clock_skew_ms)",
    "most": "max(clock_skew_ms)",
    "off": "count(*) FILTER (abs(clock_skew_ms) > 60000)",
}
_PLACES = {
    "n": "count(*)",
    "located": "count(latitude)",
    "latitude": "sum(latitude)",
    "longitude": "sum(longitude)",
}
_SEEN = {"n": "count(*)", "first": "min(t)"}
_PLACED = "country IS NOT NULL OR latitude IS NOT NULL"


def _same(*names: str) -> dict[str, str]:
    return {name: f'"{name}"' for name in names}


OVERVIEW: tuple[View, ...] = (
    Cube(name="time_events", relation="events", keys={"source": "source_name", "id": "event_id"}),
    Cube(name="time_creates", relation="creates", keys=_HOST, limit=500),
    Cube(name="time_connects", relation="connects", keys=_HOST, limit=500),
    Cube(name="time_joins", relation="joins", keys={"joined": "process_create_time IS NOT NULL"}),
    Cube(name="time_joins_by_host", relation="joins", keys=_HOST, limit=500),
    Cube(name="time_unmatched", relation="unmatched", keys={"reason": "reason"}),
    Cube(name="time_unmatched_by_host", relation="unmatched", keys=_HOST, limit=500),
    Cube(name="time_enriched", relation="enriched", keys={"context": "context", "id": "event_id"}),
    Cube(name="time_duplicates", relation="duplicates", keys={"source": "source_name", "id": "event_id"}),
    Cube(
        name="clocks",
        relation="connects",
        keys=_HOST,
        numbers=_CLOCKS,
        limit=500,
    ),
    Cube(
        name="clocks_of_creates",
        relation="creates",
        keys=_HOST,
        numbers=_CLOCKS,
        limit=500,
    ),
    Cube(name="letters", relation="dead", keys=_same("source", "step", "error_class", "message"), limit=200),
    Rows(
        name="letter_rows",
        relation="dead",
        columns={
            "t": "t",
            **_same("source", "position", "partition", "step", "error_class", "message", "raw_length"),
            "raw": "left(raw_b64, 684)",  # 512 bytes; the page decodes them
        },
        order="source, position, event_uid",
        search=("source", "step", "error_class", "message"),
        limit=LETTERS,
    ),
    Cube(
        name="late",
        relation="windows",
        keys=_same("counter"),
        numbers={"n": "sum(count)::BIGINT", "rows": "count(*)", "late": "sum(coalesce(late_count, 0))::BIGINT"},
    ),
)

FOUND: tuple[View, ...] = (
    Cube(
        name="levels",
        relation="alerts",
        keys={"level": "coalesce(lower(rule_level), 'none')", "host": "lower(host)"},
        limit=1_000,
    ),
    Cube(
        name="rules",
        relation="alerts",
        keys=_same("rule_title", "rule_level", "rule_id") | _HOST,
        numbers=_SEEN,
        limit=1_000,
    ),
    Cube(
        name="techniques",
        relation="(SELECT t, moment, unnest(attack) AS technique FROM alerts)",
        keys={"technique": "technique"},
        limit=500,
    ),
    Rows(
        name="alerts",
        relation="alerts",
        columns={
            "t": "t",
            **_same("rule_level", "rule_title", "host", "user_account", "process_path", "attack", "rule_id"),
            **_same("author", "references", "tags", "matched", "event", "contributing"),
            **_same("rule_type", "first_seen", "last_seen", "suppressed_count", "truncated"),
            **{name: f'"{name}"' for name in ("contributing_count", "event_uid", "revision")},
            "process_guid": "lower(trim(coalesce(event['ProcessGuid'], event['SourceProcessGuid'], "
            "event['SourceProcessGUID']), '{}'))",
        },
        order=f"{SEVERITY.format('lower(rule_level)')} DESC NULLS LAST, t DESC NULLS LAST, event_uid",
        search=("rule_title", "rule_level", "host", "user_account", "process_path", "attack", "event", "rule_id"),
        limit=ALERTS,
    ),
    Cube(name="suppressed", relation="suppressed", keys=_same("rule_title", "rule_id")),
)

CONNECTIONS: tuple[View, ...] = (
    Rows(
        name="connections",
        relation="joins",
        columns={
            "t": "t",
            **_same("host", "user_account", "process_path", "process_command_line", "dst_ip_addr", "dst_port"),
            **_same("dst_host_name", "src_ip_addr", "src_port", "network_protocol", "parent_process_path"),
            **_same("parent_process_command_line", "hashes", "process_guid", "event_uid"),
            "process_create_time": as_text("process_create_time"),
            "country": "country",
        },
        order="t DESC NULLS LAST, event_uid",
        search=(
            "process_path",
            "process_command_line",
            "user_account",
            "dst_ip_addr",
            "dst_port",
            "host",
            "dst_host_name",
            "src_ip_addr",
        ),
        limit=CONNECTS,
        newest=True,
    ),
    Cube(
        name="talkers",
        relation="connects",
        keys=_HOST | _same("process_path", "user_account") | _DESTINATION,
        many=True,
    ),
    Cube(name="destinations", relation="connects", keys=_DESTINATION, limit=50, many=True),
    Cube(name="ports", relation="connects", keys={"dst_port": "dst_port"}, limit=50),
    Cube(
        name="countries",
        relation="joins",
        keys={"country": "country"},
        numbers=_PLACES,
        where=_PLACED,
    ),
    Cube(
        name="movement",
        relation="connects",
        keys=_HOST | {"src_ip_addr": "src_ip_addr", "dst_host_name": "lower(dst_host_name)"} | _DESTINATION,
        where=_ADMIN,
        limit=300,
    ),
    Cube(
        name="addresses",  # which host has which address, so that a movement's end gets its name
        relation="connects",
        keys=_HOST | {"src_ip_addr": "src_ip_addr"},
        where=_INITIATED,
        limit=1_000,
    ),
)

_WORST = f"{SEVERITY.format('lower(severity)')} DESC NULLS LAST, t DESC NULLS LAST, event_uid"
SERIES = 200  # anomalies whose windows are shown

WINDOWS: tuple[View, ...] = (
    Rows(
        name="anomalies",
        relation="anomalies",
        columns={
            "t": "t",
            **_same("severity", "title", "kind", "counter", "key", "measure", "value", "expected", "deviation"),
            **_same("history", "window_start", "window_end", "text", "attack", "rule_id", "event_uid"),
            "series": "series",
        },
        order=_WORST,
        search=("title", "severity", "kind"),
        lower=("series",),
        limit=1_000,
    ),
    Rows(
        name="series",  # the windows of the worst anomalies' counters and keys
        relation="(SELECT t, moment, series, count FROM windows WHERE series IN (SELECT series FROM ("
        f"SELECT series FROM anomalies WHERE counter IS NOT NULL ORDER BY {_WORST} LIMIT {SERIES})))",
        columns=_same("series", "t", "count"),
        order="series, t",
        limit=20_000,
    ),
    Cube(
        name="anomaly_levels",
        relation="anomalies",
        keys={"severity": "lower(severity)", "kind": "kind", "title": "title"},
        numbers=_SEEN,
        limit=500,
    ),
    Rows(
        name="windows",
        relation="windows",
        columns={"t": "t", **_same("counter", "key", "count", "distinct", "late_count", "generation", "event_uid")},
        order="count DESC, t, event_uid",
        lower=("series",),
        limit=1_000,
    ),
)

_FILES, _REGISTRY = "event_id BETWEEN 2000 AND 2999", "event_id BETWEEN 4000 AND 4999"
_FLOWS = "event_id BETWEEN 3000 AND 3999"
MONSTER: tuple[View, ...] = (
    Cube(name="monster_events", relation="monster", keys={"id": "event_id", "type": "event_type"}),
    Cube(name="monster_hosts", relation="monster", keys={"host": "host_ip", "id": "event_id"}, limit=400),
    Cube(
        name="monster_commands", relation="monster", keys={"command": "command_line"}, where="event_id = 1500", limit=10
    ),
    Cube(name="monster_images", relation="monster", keys={"image": "image"}, where="event_id = 1500", limit=10),
    Cube(
        name="monster_signers",
        relation="monster",
        keys={"signer": "signer", "verified": "verified", "image": "image"},
        where="event_id = 1500 AND NOT (coalesce(signer_trusted, true) AND "
        "contains(lower(coalesce(signer, '')), 'microsoft'))",
    ),
    Cube(
        name="monster_files", relation="monster", keys={"type": "coalesce(event_type, event_id::VARCHAR)"}, where=_FILES
    ),
    Cube(
        name="monster_registry",
        relation="monster",
        keys={"type": "coalesce(event_type, event_id::VARCHAR)"},
        where=_REGISTRY,
    ),
    Cube(name="monster_addresses", relation="monster", keys={"ip": "remote_ip"}, where=_FLOWS, limit=10),
    Cube(name="monster_ports", relation="monster", keys={"port": "remote_port"}, where=_FLOWS, limit=10),
    Cube(
        name="monster_countries",
        relation="monster",
        keys={"country": "country"},
        numbers=_PLACES,
        where=_PLACED,
    ),
    Cube(
        name="monster_bytes",
        relation="monster",
        keys={"host": "host_ip"},
        numbers={
            "send": "sum(coalesce(send_bytes, 0))::BIGINT",
            "recv": "sum(coalesce(recv_bytes, 0))::BIGINT",
        },
        where=_FLOWS,
        limit=20,
    ),
    Rows(
        name="monster_rows",
        relation="monster",
        columns={"t": "t", **_same("host_ip", "event_id", "event_type", "image", "command_line", "remote_ip")}
        | _same("remote_port", "signer", "sha2", "md5", "event_uid"),
        order="t DESC NULLS LAST, event_uid",
        search=("host_ip", "event_type", "image", "command_line", "remote_ip", "sha2", "md5"),
        newest=True,
    ),
)

VIEWS: dict[str, View] = {view.name: view for view in (*OVERVIEW, *FOUND, *CONNECTIONS, *WINDOWS, *MONSTER)}
