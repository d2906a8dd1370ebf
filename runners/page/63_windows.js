// Windows: anomalies against their baseline, and the highest counts.

const keyText = (key) => Object.entries(key || {}).map(([name, value]) => `${name}=${name.endsWith("path") ? base(value) || "–" : value ?? "–"}`).join("  ");

function windowsPanel() {
  const list = table({ name: "anomalies", label: "anomalies", detail: anomalyDetail, onsearch: (text) => draw(text), empty: "Nothing stood out here.", columns: [
    { key: "t", label: "time (UTC)", kind: "time" },
    { key: "severity", label: "severity", kind: "level", show: (r) => badge(r.severity), rank: (r) => -LEVELS.indexOf(levelOf(r.severity)) },
    { key: "title", label: "what", kind: "mid" },
    { key: "key", label: "of", kind: "long", get: (r) => keyText(r.key), show: (r) => h("span", { class: "code" }, keyText(r.key)) },
    { key: "value", label: "value", kind: "number" },
    { key: "expected", label: "usual", kind: "number" },
    { key: "deviation", label: "beyond", kind: "number" },
  ] });
  const windows = table({ name: "windows", label: "highest counts", page: 20, onsearch: (text) => drawWindows(text), columns: [
    { key: "t", label: "window (UTC)", kind: "time", show: (r) => seconds(r.t) }, { key: "counter", label: "counter", kind: "short" },
    { key: "key", label: "of", kind: "long", get: (r) => keyText(r.key), show: (r) => h("span", { class: "code" }, keyText(r.key)) },
    { key: "count", label: "count", kind: "number" },
    { key: "distinct", label: "distinct values", get: (r) => Object.entries(r.distinct || {}).map(([k, v]) => `${k}: ${number(v)}`).join(", ") },
    { key: "late_count", label: "late", kind: "number" }] });
  const anomalies = h("section", { class: "card tall" }, h("h2", {}, "Anomalies"), h("p", { class: "hint" }, "What stands out against its own past, or is there for the first time. Click one for its baseline."), list.node);
  const none = h("p", { class: "note" }, "This folder has no anomalies: replay with --anomaly_rules FILE looks for them.");
  const node = h("div", {}, anomalies, none, card("Highest counts", "Tumbling windows of event time.", windows.node));

  async function draw(text = "") {
    const got = await view("anomalies", { text });
    list.update(rowsOf(got).map((row) => ({ ...row, also: JSON.stringify(row.key) })), leftOut(got, 0, "anomalies, the worst and newest"));
  }
  async function drawWindows(text = "") {
    const got = await view("windows", { text });
    windows.update(rowsOf(got).map((row) => ({ ...row, also: JSON.stringify(row.key) })), leftOut(got, 0, "rows"));
  }
  async function update() {
    anomalies.hidden = !has("anomalies");
    none.hidden = has("anomalies");
    await draw();
    await drawWindows();
  }
  return { node, update, find: list.find };
}

async function anomalyDetail(row) {
  const figure = chart("Against its past", "", "Counts of the windows, the usual value and the anomaly");
  const node = h("div", {},
    row.text && h("p", {}, row.text),
    h("dl", { class: "fields" },
      pair("of", Object.entries(row.key || {}).map(([k, v]) => [h("b", {}, k), " ", h("span", { class: "code" }, v ?? "–"), h("br")])),
      pair("what was looked at", [row.kind, row.counter, row.measure].filter(Boolean).join(", ")),
      pair("window", row.window_start && `${time(Date.parse(row.window_start))} to ${time(Date.parse(row.window_end))}`),
      pair("value", `${number(row.value)}${row.expected === null ? "" : `, usual ${number(row.expected)}`}${row.deviation === null ? "" : `, ${number(row.deviation)} beyond`}${row.history === null ? "" : `, from ${number(row.history)} earlier`}`),
      pair("ATT&CK", (row.attack || []).map((tag) => String(tag).replace(/^attack\./i, "")).map((tag) => [attackLink(tag.replace(/^t(?=\d)/, "T")), h("br")]))),
    figure.node);
  const got = await view("series", { everything: true });
  const at = Object.fromEntries(got.columns.map((name, n) => [name, n]));
  const mine = got.rows.filter((r) => r[at.series] === row.series).map((r) => ({ t: r[at.t], count: r[at.count] }));
  if (!row.series || !mine.length || (row.measure && row.measure !== "count")) figure.node.hidden = true;
  else requestAnimationFrame(() => figure.draw((width) => baselineSpec(mine, row, width)));
  return node;
}

function baselineSpec(values, row, width) {
  const here = row.window_start ? Date.parse(row.window_start) : row.t;
  const times = [here, ...values.map((v) => v.t)];
  const x = X({ scale: over(Math.min(...times) - 6e5, Math.max(...times) + 6e5), axis: { title: null, labelOverlap: true, format: "%d %b %H:%M", tickCount: 5 } });
  const layers = [
    { data: { values }, mark: { type: "line", point: { size: 40 }, color: colour("c1") }, encoding: { x, y: { field: "count", type: "quantitative", axis: { title: "count a window", tickMinStep: 1 } }, tooltip: [{ field: "t", type: "temporal", title: "window", format: "%Y-%m-%d %H:%M", formatType: "utc" }, { field: "count", title: "count", format: "," }] } },
    { data: { values: values.filter((v) => v.t === here) }, mark: { type: "point", filled: true, size: 160, color: colour("c5"), opacity: 1 }, encoding: { x, y: { field: "count", type: "quantitative" } } },
  ];
  if (row.expected !== null) layers.push({ data: { values: [{ y: row.expected }] }, mark: { type: "rule", strokeDash: [6, 4], color: colour("c2"), strokeWidth: 2 }, encoding: { y: { field: "y", type: "quantitative" }, tooltip: [{ field: "y", title: "usual", format: "," }] } });
  return { width, height: 160, layer: layers };
}
