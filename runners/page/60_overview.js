// Overview: how much of what, how good the data are, which hosts.

function overview(go) {
  const figures = h("div", { class: "figures" });
  const quality = h("section", { class: "card", "aria-label": "Data quality" });
  const first = table({ name: "look_at_first", label: "what to look at first", search: false, page: 8, empty: "Nothing stands out here: no alert, no anomaly.", columns: [
    { key: "level", label: "level", kind: "level", show: (r) => badge(r.level), rank: (r) => -LEVELS.indexOf(levelOf(r.level)) },
    { key: "title", label: "what", kind: "long", show: (r) => h("button", { class: "plain link", type: "button", onclick: () => go(r.tab, true, r.title) }, r.title) },
    { key: "of", label: "found by" },
    { key: "n", label: "how often", kind: "number" },
    { key: "hosts", label: "hosts", kind: "number", show: (r) => r.hosts ?? "" },
    { key: "t", label: "since (UTC)", kind: "time", show: (r) => (r.t === null ? "–" : seconds(r.t)) },
  ] });
  const nobody = h("p", { class: "note" });
  const levels = chart("Alerts by level", "", "Alerts by level");
  const hosts = table({ name: "hosts", label: "hosts", sort: { key: "alerts", down: -1 }, page: 20, columns: [
    { key: "host", label: "host", kind: "host" },
    { key: "alerts", label: "alerts", kind: "number" },
    { key: "creates", label: "creates", kind: "number" },
    { key: "connects", label: "connects", kind: "number" },
    { key: "coverage", label: "joined", kind: "number", get: (r) => (r.connects ? r.joined / r.connects : null), show: (r) => percent(r.joined, r.connects) },
    { key: "unmatched", label: "no create", kind: "number" },
    { key: "skew", label: "clock is off by", kind: "number", rank: (r) => Math.max(Math.abs(r.least ?? 0), Math.abs(r.most ?? 0)), get: (r) => skewText(r), show: (r) => skewText(r) },
  ] });
  const events = table({ name: "events", label: "events read", page: 12, folds: false, columns: ranking([
    { key: "provider", label: "source", kind: "mid" }, { key: "id", label: "id", kind: "number", show: (r) => r.id ?? "–" }]) });
  const rest = h("p", { class: "hint" });
  const hostCard = card("Hosts", "Clocks: how far Sysmon’s time is from the record’s own; a sound host is off by less than a minute.", hosts.node);
  const node = h("div", {},
    figures,
    card("Look at first", "What rules found, and what stands out in the counts: the worst first. A click shows the rows.", nobody, first.node),
    h("div", { class: "two" }, quality, levels.node),
    hostCard,
    card("Events by source and id", "", rest, events.node));

  async function update() {
    const got = await totals();
    drawFigures(got);
    drawQuality(quality, got, go);
    fill(nobody, "Nobody looked for anything yet. Rules find alerts, and counts find what stands out: ", has("monster_events") ? "huntbeam monster --rules PATH --detect exfiltration,signers" : "huntbeam replay --rules builtin: --anomaly_rules FILE", ".");
    nobody.hidden = has("alerts") || has("anomalies");
    first.node.hidden = !nobody.hidden;
    first.update(findings(got));
    levels.node.hidden = !has("alerts");
    const byLevel = LEVELS.map((level) => ({ level, n: sumOf(got.levels.filter((c) => c.level === level)) })).filter((row) => row.n);
    levels.draw((width) => byLevel.length && {
      data: { values: byLevel }, width, height: 30 * byLevel.length, mark: { type: "bar", cornerRadiusEnd: 3 },
      encoding: {
        y: { field: "level", type: "nominal", sort: LEVELS, axis: { title: null, labelFontSize: 12 } },
        x: { field: "n", type: "quantitative", axis: { title: "alerts", tickMinStep: 1, format: "~s" } },
        color: { field: "level", type: "nominal", scale: levelScale(), legend: null },
        tooltip: [{ field: "level", title: "level" }, { field: "n", title: "alerts", format: "," }],
      },
    });
    const byHost = hostRows(got);
    hostCard.hidden = !byHost.length && has("monster_events"); // these have a panel of their own
    hosts.update(byHost);
    await drawEvents();
  }

  function drawFigures(got) {
    const worst = LEVELS.find((level) => got.levels.some((c) => c.level === level));
    const one = (n, label, tab, kind) => h("button", { class: `figure ${kind || ""}`, type: "button", onclick: () => go(tab) }, h("b", {}, n), h("span", {}, label));
    fill(figures,
      has("alerts") && one(number(got.alerts), worst && got.alerts ? `alerts, the worst ${worst}` : "alerts", "alerts", ["critical", "high"].includes(worst) ? "bad" : ""),
      has("anomalies") && one(number(got.anomalies), "anomalies", "windows"),
      has("sysmon_process_create") && one(number(got.creates), "process creates", "connections"),
      has("sysmon_network_connect") && one(number(got.connects), "network connects", "connections"),
      has("sysmon_join") && one(percent(got.joined, got.joined + got.unmatched), "of them joined with their process", "quality", got.unmatched > got.joined ? "warn" : ""),
      has("monster_events") && one(number(got.monster), "Monster events", "monster"),
      one(number(got.hostCount), got.hostCount === 1 ? "host" : "hosts", "overview"),
      has("dead_letters") && one(number(got.letters), "dead letters", "quality", got.letters ? "warn" : ""),
      has("window_counts") && one(number(got.late), "counted late", "quality", got.late ? "warn" : ""));
  }

  async function drawEvents() {
    const read = (STATE.success.summary && STATE.success.summary.events) || null;
    if (read && whole()) {
      fill(rest, "All that was read, without the dead letters; only some of it becomes rows.");
      events.update(ranked(read.map(([provider, id, n]) => ({ provider: provider ?? "–", id, n })).sort((a, b) => b.n - a.n)));
      return;
    }
    fill(rest, "The rows of this folder.");
    const cells = (await eventCells()).filter((c) => bucketInSpan(c.b));
    events.update(ranked(added(cells, (c) => ({ provider: c.what.replace(/ \d+.*$/, ""), id: Number(c.id) || (c.what.includes(" 1 ") ? 1 : 3) }))));
  }

  return { node, update };
}

// Rules and anomalies by their title, the worst first: how often, on how many hosts, since when.
function findings({ cells }) {
  const found = new Map();
  const add = (cell, level, title, more) => {
    const id = JSON.stringify([level, title, more.tab]);
    const row = found.get(id) || found.set(id, { level, title, ...more, n: 0, t: null, on: new Set() }).get(id);
    row.n += cell.n;
    if ("host" in cell) row.on.add(cell.host);
    if (cell.first !== null) row.t = Math.min(row.t ?? Infinity, cell.first);
  };
  for (const cell of cells.rules) add(cell, cell.rule_level, cell.rule_title, { of: "rule", tab: "alerts" });
  for (const cell of cells.anomaly_levels) add(cell, cell.severity, cell.title, { of: "anomaly", tab: "windows" });
  const rank = (row) => LEVELS.indexOf(levelOf(row.level));
  return [...found.values()].map((row) => ({ ...row, hosts: row.on.size || null })).sort((a, b) => rank(a) - rank(b) || a.tab.localeCompare(b.tab) || b.n - a.n);
}

const has = (stream) => stream in STATE.streams;
const skewText = (row) => {
  if (row.least === undefined || row.least === null) return "–";
  const worst = Math.abs(row.least) > Math.abs(row.most) ? row.least : row.most;
  if (Math.abs(worst) <= 60_000) return `up to ${duration(worst)}`;
  return `${duration(worst)} ${worst < 0 ? "behind" : "ahead"}`;
};

// What several panels need, read once a change.
async function totals() {
  const names = ["levels", "rules", "time_creates", "time_connects", "time_joins", "time_joins_by_host", "time_unmatched", "time_unmatched_by_host", "letters", "late", "clocks", "clocks_of_creates", "anomaly_levels", "monster_hosts", "time_duplicates", "suppressed"];
  const tables = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await view(name)])));
  const cells = Object.fromEntries(names.map((name) => [name, cellsOf(tables[name])]));
  const all = (name) => (whole() || DATA.live ? tables[name].total : sumOf(cells[name]));
  const hosts = new Set([...cells.time_creates, ...cells.time_connects, ...cells.levels, ...cells.monster_hosts].map((c) => c.host));
  return {
    cells,
    levels: cells.levels, alerts: all("levels"), anomalies: all("anomaly_levels"),
    creates: all("time_creates"), connects: all("time_connects"), unmatched: all("time_unmatched"),
    joined: sumOf(cells.time_joins.filter((c) => c.joined === "true")),
    letters: all("letters"), late: sumOf(cells.late, "late"), monster: all("monster_hosts"), duplicates: all("time_duplicates"), suppressed: all("suppressed"),
    hostCount: hosts.size,
  };
}

function hostRows({ cells }) {
  const rows = new Map();
  const of = (host) => rows.get(host ?? "–") || rows.set(host ?? "–", { host: host ?? "–", alerts: 0, creates: 0, connects: 0, joined: 0, unmatched: 0, off: 0, measured: 0 }).get(host ?? "–");
  for (const [name, list] of [["alerts", cells.levels], ["creates", cells.time_creates], ["connects", cells.time_connects], ["joined", cells.time_joins_by_host], ["unmatched", cells.time_unmatched_by_host]])
    for (const cell of list) of(cell.host)[name] += cell.n;
  for (const cell of [...cells.clocks, ...cells.clocks_of_creates]) {
    const row = of(cell.host);
    if (cell.least === null) continue;
    row.least = Math.min(row.least ?? Infinity, cell.least);
    row.most = Math.max(row.most ?? -Infinity, cell.most);
    row.off += cell.off;
    row.measured += cell.measured;
  }
  return [...rows.values()];
}

function drawQuality(node, got, go) {
  const skewed = hostRows(got).filter((row) => row.off).sort((a, b) => b.off - a.off);
  const tallies = (STATE.success.summary && STATE.success.summary.tallies) || {};
  const reasons = added(got.cells.time_unmatched, (c) => ({ reason: c.reason }));
  const letters = added(got.cells.letters, (c) => ({ what: c.error_class }));
  const list = (rows, text) => rows.slice(0, 4).map(text).join(", ") + (rows.length > 4 ? ` and ${number(rows.length - 4)} more` : "");
  const item = (name, ...text) => [h("dt", {}, name), h("dd", {}, ...text)];
  fill(node,
    h("h2", {}, "How far these data can be trusted"),
    h("dl", { class: "fields" },
      has("sysmon_join") && item("Join", `${percent(got.joined, got.joined + got.unmatched)} of the connects have their process’s create`, got.unmatched ? `; ${number(got.unmatched)} have not (${list(reasons, (r) => `${r.reason}: ${number(r.n)}`)}).` : "."),
      item("Dead letters", got.letters ? `${plural(got.letters, "record")} could not be used (${list(letters, (r) => `${r.what}: ${number(r.n)}`)}); their bytes are kept.` : "Every record could be used."),
      (has("sysmon_network_connect") || has("sysmon_process_create")) && item("Clocks", skewed.length ? [`${plural(skewed.length, "host")} with times that are off by more than a minute: `, list(skewed, (r) => `${r.host} (${skewText(r)}, ${plural(r.off, "row")})`), "."] : "No host’s clock is off by more than a minute."),
      has("window_counts") && item("Late rows", got.late ? `${plural(got.late, "event")} came after the window’s row had been put out, and were counted in.` : "Nothing was counted late."),
      tallies.no_event_time ? item("No event time", `${plural(tallies.no_event_time, "row")}: joined, but in no window and on no axis.`) : null,
      has("duplicates") && item("Copies", `${plural(got.duplicates, "further copy", "further copies")} of events set aside.`),
      got.suppressed ? item("Suppressed", `${plural(got.suppressed, "alert")} suppressed by exceptions.`) : null,
      STATE.archived ? item("Folder", "Of a stream: it is never complete.") : !STATE.success.rows ? item("Folder", h("b", {}, "It has no _SUCCESS: the run that made it did not end, or still writes.")) : null),
    go && h("button", { class: "noprint", type: "button", onclick: () => go("quality") }, "Details"));
}

// Data quality in full: the dead letters themselves.
function qualityPanel() {
  const box = h("section", { class: "card" });
  const kinds = table({ name: "dead_letter_kinds", label: "dead letters by reason", columns: ranking([
    { key: "error_class", label: "what is wrong", kind: "mid" }, { key: "message", label: "in words", kind: "long" }, { key: "source", label: "where", kind: "mid" }, { key: "step", label: "step", kind: "short" }], "records"), empty: "There are none." });
  const rows = table({ name: "dead_letters", label: "dead letters", page: 20, onsearch: (text) => drawRows(text), empty: "There are none.", columns: [
    { key: "source", label: "where", kind: "mid" }, { key: "position", label: "position", kind: "number" }, { key: "error_class", label: "what is wrong" },
    { key: "raw_length", label: "bytes", kind: "number" }, { key: "raw", label: "how it begins", kind: "long", get: (r) => beginning(r.raw), show: (r) => h("span", { class: "cut code" }, beginning(r.raw)) }] });
  const late = table({ name: "late", label: "rows of windows", search: false, folds: false, columns: [
    { key: "counter", label: "counter" }, { key: "rows", label: "rows", kind: "number" }, { key: "n", label: "events counted", kind: "number" }, { key: "late", label: "of them late", kind: "number" }] });
  const joins = chart("The join over time", "Connects with and without their process’s create.", "Joined and unmatched connects over time");
  const node = h("div", {}, box, joins.node, card("Dead letters by reason", "", kinds.node), card("Dead letters", "The bytes as they came, the first 512 of each.", rows.node), card("Windows", "", late.node));

  async function drawRows(text = "") {
    const got = await view("letter_rows", { text });
    rows.update(rowsOf(got), leftOut(got, 0, "dead letters"));
  }
  async function update() {
    const got = await totals();
    drawQuality(box, got, null);
    kinds.update(ranked(added(got.cells.letters, (c) => ({ source: c.source, step: c.step, error_class: c.error_class, message: c.message }))));
    await drawRows();
    const counters = new Map();
    for (const c of got.cells.late) {
      const row = counters.get(c.counter) || counters.set(c.counter, { counter: c.counter, rows: 0, n: 0, late: 0 }).get(c.counter);
      for (const name of ["rows", "n", "late"]) row[name] += c[name];
    }
    late.update([...counters.values()]);
    const cells = [...got.cells.time_joins.map((c) => ({ b: c.b, what: "joined", n: c.joined === "true" ? c.n : 0 })), ...got.cells.time_unmatched.map((c) => ({ b: c.b, what: `unmatched: ${c.reason}`, n: c.n }))];
    const values = added(cells.filter((c) => c.n && c.b !== null && c.b >= 0 && c.b < grid().buckets), (c) => ({ b: c.b, what: c.what })).map((r) => ({ ...r, t: bucketStart(r.b), end: bucketStart(r.b + 1) }));
    joins.draw((width) => values.length && {
      data: { values }, width, height: 130, mark: { type: "bar", binSpacing: 0.5 },
      encoding: { x: X(BARS), x2: { field: "end" }, y: { field: "n", type: "quantitative", axis: { title: "connects", tickCount: 4, format: "~s" } },
        color: { field: "what", type: "nominal", legend: { title: null }, scale: { domain: ["joined", "unmatched: no_create", "unmatched: zero_guid"], range: ["c1", "c2", "c8"].map(colour) } },
        tooltip: [{ field: "what", title: "connects" }, { field: "n", title: "number", format: "," }] },
    });
  }
  return { node, update };
}

function beginning(raw) {
  try {
    const bytes = Uint8Array.from(atob(raw.slice(0, raw.length - (raw.length % 4))), (c) => c.charCodeAt(0));
    return new TextDecoder("utf-8").decode(bytes);
  } catch {
    return "";
  }
}
