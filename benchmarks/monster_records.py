"""Writes synthetic records of Monster Agent, and the documents and numbers that a right program must make of them.

    python benchmarks/monster_records.py OUT.tsv[.gz] --records 1000 --layout 0.9 --seed 7

writes OUT.tsv, OUT.documents.jsonl (what each record becomes, field by field) and OUT.answer.json (what the dashboard's
panels count). Everything is invented; addresses are of documentation and private ranges. The same options and seed give
the same bytes. The order of columns is that of schemas/monster_layouts.py, which a test compares with the vendor's; the
values of the documents are made here, beside the cells, and no parser of HuntBeam is asked.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from huntbeam.schemas.monster_layouts import COLUMNS, Event, Layout, events
from huntbeam.schemas.record import Kind

START = datetime(2017, 12, 18, 8, 0, tzinfo=UTC)
FIRST_TICK = datetime(1601, 1, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=5)

HOSTS = ("10.20.0.11", "10.20.0.12", "10.20.0.13")
LEAK = HOSTS[0]  # sends more than it receives
REMOTES = ("203.0.113.10", "203.0.113.77", "198.51.100.5", "2001:db8:5::9", "10.20.0.200")
PORTS = (443, 80, 445, 3389)
PROGRAMS = (  # image, signer, result of the check
    (r"C:\Windows\System32\cmd.exe", "Microsoft Windows", "Trusted"),
    (r"C:\Windows\System32\svchost.exe", "Microsoft Windows Publisher", "Trusted"),
    (r"C:\Program Files\Editor\editor.exe", "Example Software Inc.", "Trusted"),
    (r"C:\Users\윤\AppData\Local\Temp\update.exe", "", "NoSignature"),
)
GROUPS = (("Everyone", "S-1-1-0", "7"), (r"BUILTIN\Users", "S-1-5-32-545", "7"), ("Mandatory Label", "S-1-16-8192", ""))
PRIVILEGES = (("SeShutdownPrivilege", "0"), ("SeChangeNotifyPrivilege", "3"))

_INTEGER_RANGES = {
    "SendBytes": (0, 200_000),
    "RecvBytes": (0, 2_000_000),
    "ExitCode": (0, 2**32 - 1),
    "WriteOffset": (0, 2**40),
    "ImageSize": (4_096, 2**31),
}
_REMOTE = {
    (Layout.V0_9, 3500): ("DestinationIp", "DestinationPort"),
    (Layout.V1_0, 3500): ("ServerIP", "ServerPort"),
    (Layout.V1_0, 3501): ("ClientIP", "ClientPort"),
    (Layout.V1_0, 3502): ("ServerIP", "ServerPort"),
    (Layout.V1_0, 3503): ("ClientIP", "ClientPort"),
    (Layout.V1_0, 9500): ("SourceIP", "SourcePort"),
    (Layout.V1_0, 9501): ("SourceIP", "SourcePort"),
    (Layout.V1_0, 9505): ("SourceIP", ""),
    (Layout.V1_0, 9506): ("SourceIP", ""),
}
_TRUSTED = frozenset(signer for _, signer, _ in PROGRAMS if signer.startswith("Microsoft"))


class Record(NamedTuple):
    """A line without its end, and the document it becomes; what is null is not in it."""

    line: bytes
    document: dict[str, Any]


def records(
    count: int, layouts: Iterable[Layout] = tuple(Layout), seed: int = 7, remotes: Sequence[str] = REMOTES
) -> Iterator[Record]:
    """Every event id of the layouts in turn, so that 52 records have each of them. Connects go to `remotes`."""
    kinds = [(layout, event_id, event) for layout in layouts for event_id, event in events(layout).items()]
    chance = random.Random(seed)  # noqa: S311 - the same each time is what is asked for
    for number in range(count):
        layout, event_id, event = kinds[number % len(kinds)]
        yield _Maker(chance, number, layout, event_id, remotes).record(event)


class _Maker:
    """One record."""

    def __init__(
        self, chance: random.Random, number: int, layout: Layout, event_id: int, remotes: Sequence[str]
    ) -> None:
        self._chance = chance
        self._remotes = remotes
        self._layout = layout
        self._event_id = event_id
        self._time = START + timedelta(seconds=number, microseconds=chance.randrange(10**6))
        self._host = chance.randrange(len(HOSTS))
        self._program = chance.choice(PROGRAMS)
        self._block = str(1_000_000 + number // 8)
        self._document: dict[str, Any] = {}

    def record(self, event: Event) -> Record:
        cells = [self._cell(name) for name in event.columns]
        document, ours = self._document, self._layout is Layout.V0_9
        document |= {"EventID": self._event_id, "event_type": event.event_type, "layout": self._layout.value}
        document["time"] = document["CollectTimestamp" if ours else "EventTimestamp"]
        document["host_key"] = document["HostIP" if ours else "HostGUID"]
        document["event_uid"] = _uid(cells)
        address, port = _REMOTE.get((self._layout, self._event_id), ("", ""))
        if ours and self._event_id == 3501:  # the host accepts: it is the destination here
            address, port = "SourceIP", "SourcePort"
        for name, column in (("remote_ip", address), ("remote_port", port)):
            if column in document:
                document[name] = document[column]
        if self._event_id == 1500:
            document["signer_trusted"] = document.get("Signer") in _TRUSTED
        return Record("\t".join(cells).encode(), document)

    def _cell(self, name: str) -> str:
        if name == "EventID":
            return str(self._event_id)
        kind = COLUMNS[name].kind
        if kind is Kind.INSTANT:
            return self._instant(name)
        if kind is Kind.OBJECT_LIST:
            return self._objects(name)
        if kind is Kind.INTEGER:
            number = self._number(name)
            self._document[name] = number
            return str(number)
        value = {Kind.IP: self._address, Kind.GUID: self._guid}.get(kind, self._text)(name)
        if value:
            self._document[name] = value.lower() if kind is Kind.GUID else value
        cell = value.replace('"', "`")
        return f"{{{cell.upper()}}}" if kind is Kind.GUID and cell else cell

    def _instant(self, name: str) -> str:
        if name == "DisconnectTimestamp" and self._chance.random() < 0.3:  # it lasts
            self._document[name + "Ticks"] = 0
            return "0"
        is_head = name in ("CollectTimestamp", "EventTimestamp")
        time = self._time if is_head else self._time - timedelta(milliseconds=self._chance.randrange(10**7))
        ticks = (time - FIRST_TICK) // timedelta(microseconds=1) * 10 + self._chance.randrange(10)
        self._document[name] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._document[name + "Ticks"] = ticks
        return str(ticks)

    def _objects(self, name: str) -> str:
        parts = ("name", "sid", "attributes") if name == "Groups" else ("name", "attributes")
        of: tuple[tuple[str, ...], ...] = GROUPS if name == "Groups" else PRIVILEGES
        chosen = self._chance.sample(of, self._chance.randint(0, len(of)))
        if chosen:
            self._document[name] = [
                {part: value for part, value in zip(parts, one, strict=True) if value} for one in chosen
            ]
        return "|".join("`".join(one) for one in chosen)

    def _number(self, name: str) -> int:
        if name in ("DestinationPort", "ServerPort"):
            return self._chance.choice(PORTS)
        if name == "SendBytes" and HOSTS[self._host] == LEAK:
            return self._chance.randrange(5_000_000, 9_000_000)
        return self._chance.randint(*_INTEGER_RANGES.get(name, (1, 60_000)))

    def _address(self, name: str) -> str:
        local = {"HostIP"} | ({"DestinationIp"} if self._event_id == 3501 else {"SourceIP"})
        if self._layout is Layout.V1_0:
            local = {"HostIP", "ClientIP" if self._event_id in (3500, 3502) else "ServerIP"}
        return HOSTS[self._host] if name in local else self._chance.choice(self._remotes)

    def _guid(self, name: str) -> str:
        if name == "HostGUID":
            return f"{self._host + 1:08x}-1111-4222-8333-{int.from_bytes(b'host'):012x}"
        return f"{self._chance.getrandbits(32):08x}-aaaa-4bbb-8ccc-{self._chance.getrandbits(48):012x}"

    def _text(self, name: str) -> str:
        image, signer, result = self._program
        known = {
            "EventBlockKey": self._block,
            "Image": image,
            "CommandLine": f'"{image}" /run {self._chance.randrange(5)}',
            "Signer": signer,
            "VerifiedResult": result,
            "Owner": r"CORP\kim",
            "MD5": hashlib.md5(image.encode(), usedforsecurity=False).hexdigest(),
            "SHA2": hashlib.sha256(image.encode()).hexdigest(),
            "Removed": "0",
        }
        return known.get(name, f"{name} {self._chance.randrange(9)}" if self._chance.random() < 0.9 else "")


def _uid(cells: list[str]) -> str:
    array = json.dumps(["ma1", *[cells]], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(array.encode()).hexdigest()[:32]


def answer(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the panels of the dashboard count; keys of several values are joined with a bar."""
    counts: dict[str, Counter[str]] = {
        name: Counter()
        for name in (
            "event_type",
            "host_key|EventID",
            "CommandLine|Image",
            "remote_ip",
            "remote_port",
            "untrusted",
            "sent",
            "received",
        )
    }
    total = 0
    for document in documents:
        total += 1
        counts["event_type"][document["event_type"]] += 1
        counts["host_key|EventID"][f"{document['host_key']}|{document['EventID']}"] += 1
        if document["EventID"] == 1500:
            counts["CommandLine|Image"][f"{document.get('CommandLine')}|{document.get('Image')}"] += 1
            if not document["signer_trusted"]:
                counts["untrusted"][f"{document['host_key']}|{document.get('Image')}|{document.get('Signer')}"] += 1
        for name in ("remote_ip", "remote_port"):
            if name in document:
                counts[name][str(document[name])] += 1
        if document["EventID"] in (3500, 3501, 3502, 3503):
            row = f"{_window(document['time'])}|{document['host_key']}"
            counts["sent"][row] += document.get("SendBytes", 0)
            counts["received"][row] += document.get("RecvBytes", 0)
    return {"total": total} | {name: dict(sorted(count.items())) for name, count in counts.items()}


def _window(time: str) -> str:
    at = datetime.fromisoformat(time)
    return (at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % WINDOW).isoformat().replace("+00:00", "Z")


def write(path: Path, made: list[Record]) -> None:
    """The three files."""
    lines = b"".join(record.line + b"\n" for record in made)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(lines, mtime=0) if path.suffix == ".gz" else lines)
    base = path.with_suffix("").with_suffix("") if path.suffix == ".gz" else path.with_suffix("")
    documents = [record.document for record in made]
    text = "".join(json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in documents)
    Path(f"{base}.documents.jsonl").write_text(text, encoding="utf-8")
    told = json.dumps(answer(documents), ensure_ascii=False, indent=1)
    Path(f"{base}.answer.json").write_text(told + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Synthetic records of Monster Agent and what they become.")
    parser.add_argument("output", type=Path, help="file to write: .tsv or .tsv.gz")
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--layout", choices=[*(one.value for one in Layout), "both"], default="both")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(argv)
    layouts = tuple(Layout) if args.layout == "both" else (Layout(args.layout),)
    write(args.output, list(records(args.records, layouts, args.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
