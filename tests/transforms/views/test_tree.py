"""Process trees, against a walk through plain dicts."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import instant
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.tree import ANCESTORS, CHILDREN, CONNECTS, trees
from tests.transforms.views.folders import T0, Row, folder_of


def create(host: str, guid: str, parent: str | None, n: int = 0) -> Row:
    return {
        "event_date_creation": instant(T0 + n), "process_guid": guid, "parent_process_guid": parent, "host": host,
        "process_path": f"{guid}.exe", "parent_process_path": f"{parent}.exe", "event_id": 1,
        "event_uid": f"{host}{guid}{n}",
    }  # fmt: skip


def connect(host: str, guid: str, n: int) -> Row:
    return {"event_date_creation": instant(T0 + n), "process_guid": guid, "host": host, "event_id": 3,
            "dst_ip_addr": "192.0.2.1", "dst_port": n, "event_uid": f"{host}{guid}{n}"}  # fmt: skip


NAMES = [f"g{n}" for n in range(7)]
CREATES = st.lists(
    st.tuples(st.sampled_from(["A", "a", "B"]), st.sampled_from(NAMES), st.sampled_from([*NAMES, None])), max_size=12
)


@settings(max_examples=12)
@given(CREATES, st.sampled_from(NAMES))
def test_ancestors_and_children_are_those_of_a_walk(made: list[tuple[str, str, str | None]], start: str) -> None:
    rows = [create(host, guid, parent, n) for n, (host, guid, parent) in enumerate(made)]
    with TemporaryDirectory() as folder, Store(folder_of(Path(folder), {"sysmon_process_create": rows})) as store:
        found = trees(store, [("A", start)])
    parents: dict[str, set[str]] = {}
    for host, guid, parent in made:
        if host.lower() == "a" and parent is not None:
            parents.setdefault(guid, set()).add(parent)
    above, level = {start}, {start}
    for _ in range(ANCESTORS):
        level = {p for guid in level for p in parents.get(guid, ())}
        above |= level
    below = {guid for guid, some in parents.items() if start in some}
    assert set(found) == {f"a|{guid}" for guid in above | below}
    assert set(found[f"a|{start}"].children) == below
    latest = {guid: parent for host, guid, parent in made if host.lower() == "a"}
    for key, process in found.items():
        assert process.created == (process.guid in latest)
        if process.created:
            assert process.parent == latest[process.guid], key


def test_hosts_are_told_apart_and_what_is_too_much_is_counted(tmp_path: Path) -> None:
    creates = [create("WS", "root", "gone"), create("OTHER", "child0", "root")]
    creates += [create("ws", f"child{n:03}", "root", n) for n in range(CHILDREN + 5)]
    connects = [connect("WS", "root", n) for n in range(CONNECTS + 7)] + [connect("OTHER", "root", 1)]
    rows = {"sysmon_process_create": creates, "sysmon_network_connect": connects}
    with Store(folder_of(tmp_path, rows)) as store:
        found = trees(store, [("Ws", "root")])
    root = found["ws|root"]
    assert (len(root.children), root.children_total) == (CHILDREN, CHILDREN + 5)
    assert (len(root.connects), root.connects_total) == (CONNECTS, CONNECTS + 7)
    assert [port for _, _, port, _, _ in root.connects] == list(range(CONNECTS))
    assert (found["ws|gone"].path, found["ws|gone"].created) == ("gone.exe", False)
    assert not any(key.startswith("other") for key in found)


def test_nothing_is_asked_for_nothing(tmp_path: Path) -> None:
    with Store(folder_of(tmp_path, {"sysmon_process_create": []})) as store:
        assert trees(store, []) == {}
        assert list(trees(store, [("a", "unknown")])) == ["a|unknown"]
