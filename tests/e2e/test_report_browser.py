"""The report and the server in Chromium: numbers, brushing, search, keyboard, hostile content, accessibility."""

from __future__ import annotations

import csv
import io
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from huntbeam.runners.cli import main
from huntbeam.runners.serving import Views, server
from huntbeam.schemas.clock import millis
from huntbeam.transforms.views.store import Store
from tests.conftest import Rows, run_replay
from tests.transforms.views.folders import T0, Row, add_parquet, folder_of
from tests.transforms.views.test_store import OPTIONS, SAMPLE, connect
from tests.transforms.views.test_tree import create

pytestmark = pytest.mark.e2e

HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "<img src=x onerror=window.pwned=3>",
    "\"'><svg onload=window.pwned=4>",
    "javascript:window.pwned=5",
    "line\u2028separator\u2029paragraph",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1+1",
    "datum['constructor']('window.pwned=6')()",
    "\u202egnp.exe",
]

FORMULA = re.compile(r"\s*[=+@\t]|\s*-(?![\d.]+$)")  # numbers may be negative


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = shutil.which("chromium") or playwright.chromium.executable_path
    if not Path(found).exists():
        pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
    started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
    yield started
    started.close()


class Watched:
    """A page that keeps what it complained of, and what it asked the world."""

    def __init__(self, browser: Browser, width: int = 1280, scheme: Any = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))

    def open(self, address: str) -> Page:
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]", timeout=30_000)
        return self.page


@pytest.fixture
def watched(browser: Browser) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(**how: Any) -> Watched:
        made.append(Watched(browser, **how))
        return made[-1]

    yield make
    for one in made:
        one.page.close()
        assert one.said == []


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Rows]]:
    folder = tmp_path_factory.mktemp("sample")
    options = (*OPTIONS, "--streams", "sysmon_events", "--report", str(folder / "report.html"))
    rows = run_replay(folder / "out", SAMPLE / "logs", options=options)
    return (folder / "report.html").as_uri(), rows


def tab(page: Page, name: str) -> None:
    page.click(f"#tab-{name}")
    page.wait_for_selector(f"#{name}:not([hidden])")
    page.wait_for_selector("#main:not([aria-busy])")


def tab_hidden(page: Page, name: str) -> None:
    """Goes to a view whose tab is not shown; opens its first row."""
    page.evaluate("(name) => document.getElementById(`tab-${name}`).click()", name)
    page.wait_for_selector("#main:not([aria-busy])")
    page.evaluate("(name) => document.querySelector(`#${name} tr.opens`)?.click()", name)
    page.wait_for_timeout(300)


def rows_said(page: Page, region: str) -> int:
    """How many rows a table says that it has."""
    place = page.locator(f'div:has(> .scroll[aria-label="{region}"]) > .row [role="status"]')
    found = re.match(r"([\d,]+) rows?", place.inner_text())
    assert found
    return int(found[1].replace(",", ""))


def figures(page: Page) -> dict[str, str]:
    return {one.locator("span").inner_text(): one.locator("b").inner_text() for one in page.locator(".figure").all()}


def span(page: Page) -> tuple[int, int]:
    """The span that the fields say, in milliseconds."""
    from_, to = (page.input_value(f'input[aria-label="{name}, UTC"]') for name in ("From", "To"))
    return millis(from_.replace(" ", "T") + ".000Z"), millis(to.replace(" ", "T") + ".000Z")


def inside(rows: Rows, since: int, until: int, column: str = "event_date_creation") -> Rows:
    return [row for row in rows if row[column] is not None and since <= millis(row[column]) < until]


def test_each_view_shows_the_numbers_of_the_output(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    address, rows = sample
    one = watched()
    page = one.open(address)
    shown = figures(page)
    assert shown["alerts, the worst critical"] == str(len(rows["alerts"]))
    assert shown["anomalies"] == str(len(rows["anomalies"]))
    assert shown["process creates"] == str(len(rows["sysmon_process_create"]))
    assert shown["network connects"] == str(len(rows["sysmon_network_connect"]))
    assert shown["dead letters"] == str(len(rows["dead_letters"]))
    assert shown["hosts"] == str(len({row["host"].lower() for row in rows["sysmon_events"]}))
    share = len(rows["sysmon_join"]) / (len(rows["sysmon_join"]) + len(rows["sysmon_unmatched"]))
    assert shown["of them joined with their process"] == f"{int(share * 1000) / 10} %"
    tab(page, "alerts")
    assert rows_said(page, "alerts") == len(rows["alerts"])
    found = page.locator(".matrix button").all_inner_texts()
    counted = [line for line in found if line.startswith("T1059.001")]
    assert [line.split()[-1] for line in counted] == [str(sum("T1059.001" in row["attack"] for row in rows["alerts"]))]
    tab(page, "connections")
    assert rows_said(page, "connections with their process") == len(rows["sysmon_join"])
    tab(page, "windows")
    assert rows_said(page, "anomalies") == len(rows["anomalies"])
    assert rows_said(page, "highest counts") == len(rows["window_counts"])
    tab(page, "quality")
    assert rows_said(page, "dead letters") == len(rows["dead_letters"])
    assert all(asked.startswith(("file:", "data:", "blob:")) for asked in one.asked)


def test_what_is_brushed_is_what_everything_shows(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    address, rows = sample
    page = watched().open(address)
    box = page.locator("main > figure .chart svg").bounding_box()
    assert box
    y = box["y"] + 130
    page.mouse.move(box["x"] + box["width"] * 0.35, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=5)
    page.mouse.up()
    expect(page.locator('input[aria-label="From, UTC"]')).not_to_have_value("")
    page.wait_for_timeout(600)
    since, until = span(page)
    assert T0 - 3_600_000 < since < until
    check_span(page, rows, since, until)
    page.fill('input[aria-label="From, UTC"]', "2024-03-04 09:30:00")
    page.fill('input[aria-label="To, UTC"]', "2024-03-04 09:35:00")
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    assert span(page) == (T0 + 30 * 60_000, T0 + 35 * 60_000)
    check_span(page, rows, *span(page))
    page.click("text=Whole time")
    page.wait_for_timeout(400)
    tab(page, "connections")
    assert rows_said(page, "connections with their process") == len(rows["sysmon_join"])


def check_span(page: Page, rows: dict[str, Rows], since: int, until: int) -> None:
    tab(page, "overview")
    page.wait_for_timeout(200)
    shown = figures(page)
    assert shown["network connects"] == str(len(inside(rows["sysmon_network_connect"], since, until)))
    assert shown["process creates"] == str(len(inside(rows["sysmon_process_create"], since, until)))
    tab(page, "alerts")
    alerts = inside(rows["alerts"], since, until, "time")
    assert 0 < len(alerts) < len(rows["alerts"])
    assert rows_said(page, "alerts") == len(alerts)
    tab(page, "connections")
    assert rows_said(page, "connections with their process") == len(inside(rows["sysmon_join"], since, until))


def test_search_finds_what_the_output_has(watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]) -> None:
    address, rows = sample
    page = watched().open(address)
    tab(page, "connections")
    for text in ("powershell", "203.0.113.66", "alice", "5985", "no such text"):
        page.fill('input[aria-label="Filter connections with their process"]', text)
        page.wait_for_timeout(300)
        columns = ("process_path", "process_command_line", "user_account", "dst_ip_addr", "dst_host_name", "host")
        expected = sum(
            any(text in str(row[name]).lower() for name in (*columns, "dst_port", "event_date_creation"))
            for row in rows["sysmon_join"]
        )
        assert rows_said(page, "connections with their process") == expected, text


def test_an_alert_opens_with_its_tree_its_fields_and_its_rule(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    page = watched().open(sample[0])
    tab(page, "alerts")
    page.keyboard.press("Tab")
    button = page.locator("#alerts tr.opens button").first
    button.focus()
    page.keyboard.press("Enter")
    detail = page.locator("tr.detail")
    expect(detail).to_contain_text("Process tree")
    who = detail.locator(".who").all_inner_texts()
    assert who[:4] == ["explorer.exe", "OUTLOOK.EXE", "WINWORD.EXE", "powershell.exe"]
    assert {"whoami.exe", "net.exe", "nltest.exe", "prx64.exe"} <= set(who[4:])
    expect(detail).to_contain_text("32 connections")
    marked = " ".join(detail.locator("mark").all_inner_texts())
    assert "-W Hidden" in marked
    expect(detail.locator("pre")).to_contain_text("selection_encoded")
    links = [one.get_attribute("href") for one in detail.locator("a").all()]
    assert "https://attack.mitre.org/techniques/T1059/001/" in links
    expect(page.locator("#alerts tr.opens button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(detail).to_have_count(0)


def test_what_to_look_at_first_leads_to_its_rows(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    address, rows = sample
    page = watched().open(address)
    first = page.locator('#overview .scroll[aria-label="what to look at first"]')
    worst = [row for row in rows["alerts"] if row["rule_level"] == "critical"]
    line = first.locator("tbody tr").first
    expect(line).to_contain_text(worst[0]["rule_title"])
    assert min(row["time"] for row in worst)[:19].replace("T", " ") in line.inner_text()
    line.locator("button").click()
    expect(page.locator("#tab-alerts")).to_have_attribute("aria-selected", "true")
    expect(page.locator('#alerts input[type="search"]')).to_have_value(worst[0]["rule_title"])
    page.wait_for_timeout(300)
    assert rows_said(page, "alerts") == len(worst)
    tab(page, "overview")
    button = first.locator('tr:has-text("anomaly") button').first
    title = button.inner_text()
    button.click()
    page.wait_for_timeout(300)
    assert rows_said(page, "anomalies") == sum(row["title"] == title for row in rows["anomalies"])


def test_a_technique_and_a_level_narrow_the_alerts(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    address, rows = sample
    page = watched().open(address)
    tab(page, "alerts")
    page.click('.matrix button:has-text("T1021.002")')
    page.wait_for_timeout(200)
    assert rows_said(page, "alerts") == sum("T1021.002" in row["attack"] for row in rows["alerts"])
    page.click("text=All techniques")
    page.click('.chips button:has-text("medium")')
    page.wait_for_timeout(200)
    assert rows_said(page, "alerts") == sum(row["rule_level"] == "medium" for row in rows["alerts"])


def test_the_tabs_are_used_by_keyboard(watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]) -> None:
    page = watched().open(sample[0])
    page.focus("#tab-overview")
    for name in ("alerts", "connections", "windows", "quality", "overview"):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{name}")).to_be_focused()
        expect(page.locator(f"#{name}")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#tab-quality")).to_be_focused()


def hostile_rows() -> dict[str, list[Row]]:
    def row(n: int, text: str) -> Row:
        return connect(
            n, **dict.fromkeys(("process_command_line", "process_path", "user_account", "dst_host_name"), text)
        )

    alert = {"rule_level": "high", "time": "2024-03-04T09:00:00.000Z", "revision": 0}
    alerts = [
        alert
        | {
            "event_uid": f"a{n}",
            "host": text,
            "rule_title": text,
            "rule_id": text,
            "author": text,
            "user_account": text,
        }
        | {"attack": ["T1059.001", text], "tags": [text], "references": [text, f"https://example.org/{n}"]}
        | {"matched": {text: text}, "event": {text: text, "ProcessGuid": "g"}, "process_path": text}
        for n, text in enumerate(HOSTILE)
    ]
    letter = {"step": "parse", "raw_b64": "PHNjcmlwdD4=", "raw_length": 8}
    letters = [letter | dict.fromkeys(("event_uid", "source", "error_class", "message"), text) for text in HOSTILE]
    anomaly = {"time": "2024-03-04T09:00:00.000Z", "severity": "high", "kind": "first_seen", "revision": 0}
    anomalies = [
        anomaly | {"event_uid": text, "title": text, "text": text, "key": {text: text}, "counter": text}
        for text in HOSTILE
    ]
    monster = {"EventID": 1500, "time": "2024-03-04T09:00:00.000Z"}
    monsters = [
        monster
        | dict.fromkeys(("host_key", "Image", "CommandLine", "Signer", "VerifiedResult", "event_type", "SHA2"), text)
        | {"event_uid": f"m{n}"}
        for n, text in enumerate(HOSTILE)
    ]
    flow = {"EventID": 3500, "time": "2024-03-04T09:00:00.000Z", "SendBytes": 5, "RecvBytes": 1, "remote_port": 443}
    monsters += [
        flow | {"event_uid": f"f{n}", "host_key": text, "remote_ip": text, "event_type": text}
        for n, text in enumerate(HOSTILE)
    ]
    window = {"window_start": "2024-03-04T09:00:00.000Z", "count": 3, "distinct": {"src_port": 1}, "late_count": 0}
    creates = [
        create(text, "g", "p", n) | row(n, text) | {"host": text, "process_guid": "g"} for n, text in enumerate(HOSTILE)
    ]
    return {
        "sysmon_join": [row(n, text) for n, text in enumerate(HOSTILE)],
        "sysmon_network_connect": [row(n, text) | {"host": text, "dst_port": 445} for n, text in enumerate(HOSTILE)],
        "sysmon_process_create": creates,
        "alerts": alerts,
        "dead_letters": letters,
        "anomalies": anomalies,
        "monster_events": monsters,
        "window_counts": [window | {"event_uid": text, "counter": text, "key": {"host": text}} for text in HOSTILE],
    }


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    folder_of(folder / "out", hostile_rows())
    assert main(["report", str(folder / "out"), "-o", str(folder / "r.html"), "--quiet"]) == 0
    return (folder / "r.html").as_uri()


def test_hostile_content_is_text_in_the_page(watched: Callable[..., Watched], hostile: str) -> None:
    one = watched()
    page = one.open(hostile)
    for name in ("overview", "alerts", "connections", "windows", "monster", "quality"):
        tab(page, name)
        for button in page.locator(f"#{name} tr.opens button").all():
            button.click()
        page.wait_for_timeout(200)
        for svg in page.locator(f"#{name} .chart svg").all():
            svg.hover(force=True)
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main svg svg, main script").count() == 0
    assert page.evaluate("[...document.querySelectorAll('a')].every((a) => /^(https?:|#|file:|blob:)/.test(a.href))")
    tab(page, "connections")
    shown = page.locator("#connections tbody").first.inner_text()
    for text in HOSTILE[:5]:
        assert text in shown
    assert "line\\u2028separator" in shown  # written out: it would break a line
    assert "\\u202egnp.exe" in shown  # and this would turn the line around
    assert all(asked.startswith(("file:", "data:", "blob:")) for asked in one.asked)


@pytest.mark.parametrize("name", ["overview", "alerts", "connections", "windows", "monster", "quality"])
def test_no_cell_of_a_csv_is_a_formula(watched: Callable[..., Watched], hostile: str, name: str) -> None:
    page = watched().open(hostile)
    tab(page, name)
    buttons = page.locator(f'#{name} button:text-is("CSV")').all()
    assert buttons
    for button in buttons:
        with page.expect_download() as download:
            button.click()
        text = Path(download.value.path()).read_text(encoding="utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline="")))
        assert {len(line) for line in lines} == {len(lines[0])}
        assert not [cell for line in lines[1:] for cell in line if FORMULA.match(cell)]
        if "process_command_line" in lines[0]:
            cells = {line[lines[0].index("process_command_line")] for line in lines[1:]}
            assert cells == {("'" + text) if text[0] in "=+-@\t" else text for text in HOSTILE}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_serious_fault_of_accessibility_and_nothing_beyond_the_edge(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]], width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = watched(width=width, scheme=scheme).open(sample[0])
    for name in ("overview", "alerts", "connections", "windows", "quality"):
        tab(page, name)
        first = page.locator(f"#{name} tr.opens button")
        if first.count():
            first.first.click()
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [node["html"][:150] for node in v["nodes"][:3]]) for v in found] == [], name


def test_it_prints_every_view(watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]) -> None:
    page = watched().open(sample[0])
    page.evaluate("window.print = () => { window.printed = document.body.innerText; }")
    page.click("text=Print")
    page.wait_for_function("window.printed")
    printed = page.evaluate("window.printed")
    for title in ("How far these data can be trusted", "ATT&CK", "Top talkers", "Anomalies", "Dead letters by reason"):
        assert title in printed


def test_what_is_printed_is_not_wider_than_the_paper(
    watched: Callable[..., Watched], sample: tuple[str, dict[str, Rows]]
) -> None:
    page = watched(width=700).open(sample[0])  # A4 without its margins
    page.emulate_media(media="print")
    for name in ("overview", "alerts", "connections", "windows", "quality"):
        tab_hidden(page, name)
        wider = "(s) => [...document.querySelectorAll(s)].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
        assert page.evaluate(wider, f"#{name} .scroll") == 0, name


def test_movement_between_many_hosts_is_drawn(watched: Callable[..., Watched], tmp_path: Path) -> None:
    moves = [connect(n, host=f"h{n:03}", dst_host_name=f"h{n + 30:03}", dst_port=445) for n in range(60)]
    folder_of(tmp_path / "out", {"sysmon_network_connect": moves})
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "r.html"), "--quiet"]) == 0
    page = watched().open((tmp_path / "r.html").as_uri())
    tab(page, "connections")
    assert rows_said(page, "movement between hosts") == 60
    expect(page.locator("#connections")).to_contain_text("The first 40 of 90 hosts")
    page.wait_for_timeout(400)  # what the picture complains of is seen at the end


def test_real_data_are_shown_as_they_are(watched: Callable[..., Watched], shared: Path, tmp_path: Path) -> None:
    page_file = tmp_path / "r.html"
    rows = run_replay(tmp_path / "out", shared / "data", options=("--report", str(page_file), "--dedupe"))
    page = watched().open(page_file.as_uri())
    shown = figures(page)
    assert int(shown["process creates"].replace(",", "")) == len(rows["sysmon_process_create"])
    assert int(shown["network connects"].replace(",", "")) == len(rows["sysmon_network_connect"])
    tab(page, "connections")
    assert rows_said(page, "connections with their process") == len(rows["sysmon_join"])
    tab(page, "quality")
    counts = page.locator('#quality .scroll[aria-label="dead letters by reason"] td.number').all_inner_texts()
    assert counts


def monster_folder(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[Row] = []
    for n in range(240):
        event_id = (1500, 2012, 2030, 4001, 4005, 3500)[n % 6]
        row: Row = {"event_id": event_id, "host_key": f"10.0.0.{n % 4}", "time": f"2024-03-04T09:{n // 4:02}:00.000Z"}
        if event_id == 1500:
            row |= {
                "Image": f"C:\\p{n % 5}.exe",
                "CommandLine": f"p{n % 5} --run",
                "Signer": ["Microsoft", "Nobody"][n % 2],
            }
        if event_id == 3500:
            row |= {"SendBytes": 900, "RecvBytes": 100 + n, "remote_ip": f"192.0.2.{n % 7}", "remote_port": 443}
            row |= {"DestinationGeoip": {"country": "Japan", "location": {"lat": 35.7, "lon": 139.7}}}
        rows.append(row | {"event_type": {2012: "CreateFile", 2030: "CreateNewFile", 4001: "CreateKey"}.get(event_id)})
    names = dict.fromkeys(name for row in rows for name in row)
    (folder / "monster_events").mkdir(parents=True)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pq.write_table(table, folder / "monster_events" / "part-0.parquet")
    return folder


def test_monster_events_have_their_panels(watched: Callable[..., Watched], tmp_path: Path) -> None:
    monster_folder(tmp_path / "out")
    assert main(["report", str(tmp_path / "out"), "-o", str(tmp_path / "r.html"), "--quiet"]) == 0
    page = watched().open((tmp_path / "r.html").as_uri())
    assert figures(page)["Monster events"] == "240"
    tab(page, "monster")
    page.wait_for_timeout(800)
    assert page.locator("#monster .chart svg").count() == 7  # four pies, hosts, ratio, map
    assert rows_said(page, "top command lines") == 5
    expect(page.locator('#monster .scroll[aria-label="bytes by host"] tbody')).to_contain_text("18 kB")


def test_serve_shows_what_comes_while_it_is_looked_at(watched: Callable[..., Watched], tmp_path: Path) -> None:
    (tmp_path / "_archive.json").write_text("{}")
    add_parquet(
        tmp_path, "sysmon_join", "part-0-1.parquet", [connect(n, process_command_line=f"run {n}") for n in range(40)]
    )
    with Store(tmp_path) as store, server(Views(store, 1, ()), 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        address, one = f"http://127.0.0.1:{running.server_address[1]}/", watched()
        try:
            page = one.open(address)
            tab(page, "connections")
            assert rows_said(page, "connections with their process") == 40
            page.fill('input[aria-label="Filter connections with their process"]', "run 3")
            page.wait_for_timeout(900)
            assert rows_said(page, "connections with their process") == 11
            page.fill('input[aria-label="Filter connections with their process"]', "")
            add_parquet(tmp_path, "sysmon_join", "part-0-2.parquet", [connect(n) for n in range(50, 60)])
            expect(page.locator("#tab-connections .count")).to_have_text("50", timeout=15_000)
            page.wait_for_timeout(600)
            assert rows_said(page, "connections with their process") == 50
            assert all(asked.startswith((address, "data:")) for asked in one.asked)
        finally:
            one.page.close()
            running.shutdown()
            thread.join()
