// The timeline on top: alerts and events by time. What is brushed here is what everything else shows.

function timeline(changed) {
  const figure = chart("When", "Drag across the chart to look at a span: everything below follows. All times are UTC.", "Events and alerts over time; the span can also be typed in the fields below");
  const since = h("input", { "aria-label": "From, UTC", size: 17, placeholder: "from" });
  const until = h("input", { "aria-label": "To, UTC", size: 17, placeholder: "to" });
  const all = h("button", { type: "button", onclick: () => set(null, null) }, "Whole time");
  const told = h("span", { class: "hint", role: "status" });
  const aside = h("p", { class: "hint" });
  const form = h("form", { class: "row noprint" }, since, h("span", { class: "dash" }, "–"), until, h("button", { type: "submit" }, "Show span"), all, told);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [from, to] = [since.value, until.value].map((text) => (text.trim() ? Date.parse(text.trim().replace(" ", "T").replace(/Z?$/, "Z")) : null));
    if ([from, to].some(Number.isNaN) || (from !== null && to !== null && from >= to)) {
      fill(told, "Write times such as 2026-11-20 08:00:00, the first before the second.");
      return;
    }
    set(from === null ? null : snapped(from, Math.floor), to === null ? null : snapped(to, Math.ceil));
  });
  figure.node.append(form, aside);

  const snapped = (t, round) => bucketStart(round((t - grid().start) / grid().width));

  function set(from, to, drawn = false) {
    if (span.since === from && span.until === to) return;
    [span.since, span.until] = [from, to];
    say();
    if (!drawn) figure.draw(figure.make, figure.listen);
    changed();
  }

  function say() {
    since.value = span.since === null ? "" : seconds(span.since);
    until.value = span.until === null ? "" : seconds(span.until);
    all.disabled = whole();
    fill(told, whole() ? "" : `Showing ${span.since === null ? "everything before" : `${seconds(span.since)} to`} ${span.until === null ? "the end" : seconds(span.until)}.`);
  }

  async function update() {
    const [events, alerts] = [await eventCells(), cellsOf(await view("levels", { everything: true }), true)];
    const inside = (cell) => cell.b !== null && cell.b >= 0 && cell.b < grid().buckets;
    const { rows, kinds } = limited(events.filter(inside));
    const levels = added(alerts.filter(inside), (c) => ({ b: c.b, level: c.level }));
    outside(events, alerts);
    say();
    await figure.draw((width) => spec(rows, kinds, levels, width - 70), (vega) => listen(vega, set));
  }

  function outside(events, alerts) {
    const count = (test) => sumOf(events.filter(test)) + sumOf(alerts.filter(test));
    const [before, after, none] = [count((c) => c.b !== null && c.b < 0), count((c) => c.b >= grid().buckets), count((c) => c.b === null)];
    const go = (from, to, text) => h("button", { class: "plain noprint", type: "button", onclick: () => set(from, to) }, text);
    fill(aside,
      before || after ? ["Not on the axis, as clocks are off or hours lie far apart: ", before ? [plural(before, "event"), " before ", go(null, grid().start, "(show)"), after ? ", " : ""] : "", after ? [plural(after, "event"), " after ", go(gridEnd(), null, "(show)")] : "", "\u00a0· "] : null,
      none ? `${plural(none, "event")} without a time · ` : null,
      before || after || none ? "they count in “Whole time”" : null);
  }

  return { node: figure.node, update, set };
}

// Cells of all events by source and id: of sysmon_events where it was written, else of creates and connects.
async function eventCells() {
  const [events, monster, creates, connects, enriched] = await Promise.all(["time_events", "monster_events", "time_creates", "time_connects", "time_enriched"].map((name) => view(name, { everything: true })));
  const named = (table, name) => cellsOf(table, true).map((c) => ({ ...c, what: name(c) }));
  const sysmon = events.total
    ? named(events, (c) => `${(c.source || "Sysmon").replace(/^Microsoft-Windows-/, "")} ${c.id} ${SYSMON[c.id] || ""}`.trim())
    : [...named(creates, () => "Sysmon 1 process create"), ...named(connects, () => "Sysmon 3 network connect"), ...named(enriched, (c) => `Sysmon ${c.id} ${SYSMON[c.id] || ""}`.trim()).filter((c) => !["1", "3"].includes(c.id))];
  return [...sysmon, ...named(monster, (c) => `Monster ${c.id} ${c.type || ""}`.trim())];
}
const SYSMON = {
  1: "process create", 2: "file time changed", 3: "network connect", 4: "service state", 5: "process end", 6: "driver load", 7: "image load",
  8: "remote thread", 9: "raw access", 10: "process access", 11: "file create", 12: "registry key", 13: "registry value", 14: "registry rename",
  15: "file stream", 16: "configuration", 17: "pipe made", 18: "pipe used", 19: "WMI filter", 20: "WMI consumer", 21: "WMI binding",
  22: "DNS query", 23: "file delete", 24: "clipboard", 25: "image change", 26: "file delete", 27: "executable blocked", 28: "shredding blocked", 29: "executable made",
};

// The seven most frequent kinds by name, the rest as others.
function limited(cells) {
  const kinds = added(cells, (c) => ({ what: c.what })).map((row) => row.what);
  const kept = kinds.length > 8 ? kinds.slice(0, 7) : kinds;
  const rows = added(cells, (c) => ({ b: c.b, what: kept.includes(c.what) ? c.what : "others" }));
  return { rows, kinds: kinds.length > 8 ? [...kept, "others"] : kept };
}

function spec(rows, kinds, levels, width) {
  if (!rows.length && !levels.length) return null;
  const at = (row) => ({ ...row, what: row.what && shown(row.what), t: bucketStart(row.b), end: bucketStart(row.b + 1) });
  const x = X({ ...BARS, scale: over(grid().start, gridEnd()) });
  const brush = { name: "brush", select: { type: "interval", encodings: ["x"], mark: { fill: colour("accent"), fillOpacity: 0.12, stroke: colour("accent") } } };
  if (!whole()) brush.value = { x: [span.since ?? grid().start, span.until ?? gridEnd()] };
  const when = { field: "t", type: "temporal", title: "from", format: "%Y-%m-%d %H:%M:%S", formatType: "utc" };
  const events = {
    data: { values: rows.map(at) },
    width, height: 150, params: [brush],
    mark: { type: "bar", binSpacing: 0.5 },
    encoding: {
      x, x2: { field: "end" },
      y: { field: "n", type: "quantitative", axis: { title: "events", tickCount: 4, tickMinStep: 1, format: "~s", minExtent: 44 }, stack: true },
      color: { field: "what", type: "nominal", scale: kindScale(kinds.map(shown)), legend: { title: null } },
      tooltip: [when, { field: "what", title: "what" }, { field: "n", title: "events", format: "," }],
    },
  };
  const marks = {
    data: { values: levels.map(at) },
    width, height: 34,
    mark: { type: "bar", binSpacing: 0.5 },
    encoding: {
      x: { ...x, axis: null }, x2: { field: "end" },
      y: { field: "n", type: "quantitative", axis: { title: "alerts", tickCount: 2, tickMinStep: 1, minExtent: 44, format: "~s", titleAngle: -90 }, stack: true },
      color: { field: "level", type: "nominal", scale: levelScale(), legend: null },
      tooltip: [when, { field: "level", title: "alerts" }, { field: "n", title: "number", format: "," }],
    },
  };
  return { vconcat: levels.length ? [marks, events] : [events], spacing: 6, resolve: { scale: { color: "independent", x: "shared" } } };
}

function listen(vega, set) {
  const brushed = delayed(200, (_name, value) => {
    const range = value && (value.t || value.x);
    if (!range || range.length < 2) return set(null, null, true);
    const [from, to] = range.map(Number).sort((a, b) => a - b);
    const [first, last] = [Math.floor((from - grid().start) / grid().width), Math.ceil((to - grid().start) / grid().width)];
    set(bucketStart(Math.max(0, first)), bucketStart(Math.min(grid().buckets, Math.max(last, first + 1))), true);
  });
  vega.addSignalListener("brush", brushed);
}
