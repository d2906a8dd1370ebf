"""The work of `huntbeam replay` in DuckDB: read, filter, join, count and write the same rows. The bench's yardstick.

    python benchmarks/rival_duckdb.py ARCHIVE.ndjson OUT --threads 2

One scan of a Winlogbeat 6 archive (only the columns that are needed) into a temporary table, then one statement a
stream, each written as OUT/<stream>.jsonl. It has no dead letters, no event ids, no other shapes and no other clocks.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import duckdb

# Column of ours, field of Sysmon's, and what it is: t text, n number, g GUID.
CREATE_COLUMNS = """
    process_guid ProcessGuid g, process_id ProcessId n, process_path Image t, file_version FileVersion t,
    file_description Description t, file_company Company t, process_command_line CommandLine t,
    process_current_directory CurrentDirectory t, user_account User t, user_logon_guid LogonGuid g,
    user_logon_id LogonId t, user_session_id TerminalSessionId n, process_integrity_level IntegrityLevel t,
    hashes Hashes t, parent_process_guid ParentProcessGuid g, parent_process_id ParentProcessId n,
    parent_process_path ParentImage t, parent_process_command_line ParentCommandLine t
"""
CONNECT_COLUMNS = """
    process_guid ProcessGuid g, process_id ProcessId n, process_path Image t, user_account User t,
    network_protocol Protocol t, network_connection_initiated Initiated t, src_is_ipv6 SourceIsIpv6 t,
    src_ip_addr SourceIp t, src_host_name SourceHostname t, src_port SourcePort n, src_port_name SourcePortName t,
    dst_is_ipv6 DestinationIsIpv6 t, dst_ip_addr DestinationIp t, dst_host_name DestinationHostname t,
    dst_port DestinationPort n, dst_port_name DestinationPortName t
"""
FROM_CREATE = """
    process_command_line, hashes, parent_process_path, parent_process_command_line, user_logon_guid, user_logon_id,
    user_session_id, process_current_directory, process_integrity_level, parent_process_guid, parent_process_id
"""
CONVERT = {
    "t": "nullif(event_data.\"{0}\", '')",
    "n": 'try_cast(event_data."{0}" AS BIGINT)',
    "g": "nullif(lower(trim(event_data.\"{0}\", '{{}}')), '')",
}
ZERO_GUID = "00000000-0000-0000-0000-000000000000"
TIME = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%gZ')"
WINDOW = "time_bucket(INTERVAL 5 MINUTE, ts, TIMESTAMP '1970-01-01')"


def _columns(text: str) -> list[tuple[str, str, str]]:
    triples = [item.split() for item in text.split(",")]
    return [(name, field, kind) for name, field, kind in triples]


def _read(archive: str) -> str:
    fields = {field for _, field, _ in _columns(CREATE_COLUMNS) + _columns(CONNECT_COLUMNS)} | {"UtcTime"}
    struct = ", ".join(f'"{field}" VARCHAR' for field in sorted(fields))
    path = archive.replace("'", "''")
    return f"""
        CREATE TEMP TABLE sysmon AS SELECT * FROM (
            SELECT *, try_cast(event_data.UtcTime AS TIMESTAMP) AS ts,
                   {CONVERT["g"].format("ProcessGuid")} AS guid, lower(host) AS host_key
            FROM (SELECT source_name, event_id, log_name, computer_name AS host, event_data FROM read_json(
                '{path}', format = 'newline_delimited', ignore_errors = true, columns = {{
                    source_name: 'VARCHAR', event_id: 'INTEGER', log_name: 'VARCHAR', computer_name: 'VARCHAR',
                    event_data: 'STRUCT({struct})'}}))
            WHERE source_name = 'Microsoft-Windows-Sysmon' AND event_id IN (1, 3)
        ) WHERE guid IS NOT NULL"""  # noqa: S608 - the path is quoted, the rest is ours


def _rows(event_id: int, columns: str) -> str:
    selected = ", ".join(f"{CONVERT[kind].format(field)} AS {name}" for name, field, kind in _columns(columns))
    return f"""
        SELECT {TIME.format("ts")} AS event_date_creation, {selected}, event_id, source_name, log_name, host,
               ts, guid, host_key
        FROM sysmon WHERE event_id = {event_id}"""  # noqa: S608 - nothing of it comes from outside


def _statements() -> dict[str, str]:
    """Stream and its query."""
    written = "* EXCLUDE (ts, guid, host_key)"
    from_create = ", ".join(f"b.{name.strip()}" for name in FROM_CREATE.split(","))
    hidden = "ts, guid, host_key, event_id, source_name, log_name, host"
    return {
        "sysmon_process_create": f"SELECT {written} FROM creates",  # noqa: S608
        "sysmon_network_connect": f"SELECT {written} FROM connects",  # noqa: S608
        "sysmon_join": f"""
            SELECT c.* EXCLUDE ({hidden}), c.source_name, c.log_name, {from_create}, c.host,
                   b.event_date_creation AS process_create_time
            FROM connects c JOIN best b USING (host_key, guid) WHERE c.guid <> '{ZERO_GUID}'""",  # noqa: S608
        "sysmon_unmatched": f"""
            SELECT {written}, CASE WHEN guid = '{ZERO_GUID}' THEN 'zero_guid' ELSE 'no_create' END AS reason
            FROM connects c
            WHERE guid = '{ZERO_GUID}'
               OR NOT EXISTS (SELECT 1 FROM best b WHERE b.host_key = c.host_key AND b.guid = c.guid)""",  # noqa: S608
        "window_counts": f"""
            SELECT counter, {TIME.format("w")} AS window_start,
                   {TIME.format("w + INTERVAL 5 MINUTE")} AS window_end, key, n AS count, "distinct",
                   {TIME.format("first")} AS first_seen, {TIME.format("last")} AS last_seen
            FROM (
                SELECT 'network_destination' AS counter, {WINDOW} AS w,
                       to_json({{host: min(host), user_account: user_account, process_path: process_path,
                                 dst_ip_addr: dst_ip_addr, dst_port: dst_port}}) AS key,
                       count(*) AS n, to_json({{src_port: count(DISTINCT src_port)}}) AS "distinct",
                       min(ts) AS first, max(ts) AS last
                FROM connects WHERE ts IS NOT NULL
                GROUP BY w, host_key, user_account, process_path, dst_ip_addr, dst_port
                UNION ALL
                SELECT 'process_image', {WINDOW} AS w, to_json({{host: min(host), process_path: process_path}}),
                       count(*), '{{}}'::JSON, min(ts), max(ts)
                FROM creates WHERE ts IS NOT NULL GROUP BY w, host_key, process_path
            )""",  # noqa: S608
    }


def replay(archive: str, out: Path, threads: int) -> None:
    """Writes the five streams of an archive."""
    out.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    db.execute("SET preserve_insertion_order = false")
    db.execute(_read(archive))
    db.execute(f"CREATE TEMP TABLE creates AS {_rows(1, CREATE_COLUMNS)}")
    db.execute(f"CREATE TEMP TABLE connects AS {_rows(3, CONNECT_COLUMNS)}")
    db.execute(
        "CREATE TEMP TABLE best AS SELECT * FROM creates QUALIFY "
        "row_number() OVER (PARTITION BY host_key, guid ORDER BY ts DESC NULLS LAST) = 1"
    )
    for stream, query in _statements().items():
        path = str(out / f"{stream}.jsonl").replace("'", "''")
        db.execute(f"COPY ({query}) TO '{path}' (FORMAT json)")


def main() -> int:
    parser = argparse.ArgumentParser(description="The work of `huntbeam replay` in DuckDB.")
    parser.add_argument("archive", help="a Winlogbeat 6 archive, NDJSON, plain or .gz")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    replay(args.archive, args.out, args.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
