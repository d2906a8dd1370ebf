// Alerts: the ATT&CK matrix, the table, and for one alert its process tree, matched fields and rule.

function alertsPanel() {
  const matrix = h("div", { class: "matrix", role: "region", "aria-label": "ATT&CK matrix: tactics and techniques with their alerts" });
  const nothing = h("p", { class: "hint" });
  const chosen = new Set(); // techniques
  const levels = new Set();
  const chips = h("div", { class: "chips noprint", role: "group", "aria-label": "Only these levels" });
  const list = table({ name: "alerts", label: "alerts", detail, onsearch: (text) => draw(text), empty: "No alert here.", columns: [
    { key: "t", label: "time (UTC)", kind: "time" },
    { key: "rule_level", label: "level", kind: "level", show: (r) => badge(r.rule_level), rank: (r) => -LEVELS.indexOf(levelOf(r.rule_level)) },
    { key: "rule_title", label: "rule", kind: "mid" },
    { key: "host", label: "host", kind: "host" },
    { key: "user_account", label: "user", kind: "mid" },
    { key: "process_path", label: "process", kind: "mid", show: (r) => h("span", { title: shown(r.process_path || "") }, base(r.process_path)) },
    { key: "attack", label: "ATT&CK", get: (r) => (r.attack || []).join(" ") },
  ] });
  const clear = h("button", { class: "noprint", type: "button", hidden: true, onclick: () => (chosen.clear(), update()) }, "All techniques");
  const node = h("div", {},
    card("ATT&CK", "Tactics with the techniques that rules found; a click filters the alerts. A technique stands under each of its tactics.", clear, matrix, nothing),
    h("section", { class: "card tall" }, h("h2", {}, "Alerts"), h("p", { class: "hint" }, "Click an alert for its process tree, what matched, and the rule."), chips, list.node));
  let searched = "";

  function drawMatrix(cells) {
    const sums = added(cells, (c) => ({ technique: c.technique }));
    const tactics = [...DATA.attack.tactics, "Other"].map((tactic) => ({ tactic, found: sums.filter((s) => ((DATA.attack.techniques[s.technique.slice(0, 5)] || ["", ["Other"]])[1]).includes(tactic)) }));
    const one = (s) => h("button", { type: "button", "aria-pressed": String(chosen.has(s.technique)), onclick: () => (chosen.delete(s.technique) || chosen.add(s.technique), update()) },
      h("span", {}, s.technique, " ", techniqueName(s.technique)), h("b", {}, number(s.n)));
    fill(matrix, tactics.filter((t) => t.found.length).map((t) => h("div", { class: "some" }, h("h4", {}, t.tactic, " ", h("span", { class: "hint" }, number(sumOf(t.found)))), t.found.map(one))));
    fill(nothing, "Nothing in: ", tactics.filter((t) => !t.found.length && t.tactic !== "Other").map((t) => t.tactic).join(", "), ".");
    clear.hidden = !chosen.size;
  }

  function drawChips(cells) {
    const sums = new Map(added(cells, (c) => ({ level: c.level })).map((r) => [r.level, r.n]));
    const one = (level) => h("button", { type: "button", "aria-pressed": String(levels.has(level)), onclick: () => (levels.delete(level) || levels.add(level), update()) }, h("span", { class: level }, level), ` ${number(sums.get(level))}`);
    fill(chips, LEVELS.filter((level) => sums.has(level)).map(one));
  }

  async function draw(text = searched) {
    searched = text;
    const got = await view("alerts", { text });
    const wanted = (row) => (!levels.size || levels.has(levelOf(row.rule_level))) && (!chosen.size || (row.attack || []).some((id) => chosen.has(id)));
    list.update(rowsOf(got).filter(wanted).map((row) => ({ ...row, also: Object.values(row.event || {}).join("\n"), same: () => sameEvents(row, rowsOf(got)), id: `${row.event_uid}${row.revision}` })), leftOut(got, 0, "alerts, the worst and newest"));
  }

  async function update() {
    drawMatrix(cellsOf(await view("techniques")));
    drawChips(cellsOf(await view("levels")));
    await draw();
  }

  return { node, update, find: list.find };
}

async function detail(row) {
  const found = await treeOf(row.host, row.process_guid);
  const self = found[`${(row.host || "").toLowerCase()}|${row.process_guid}`];
  const text = DATA.rules[row.rule_id] || (STATE.rules || {})[row.rule_id];
  const same = row.same();
  return h("div", {},
    h("h3", {}, row.rule_title, " ", badge(row.rule_level)),
    h("div", { class: "two" },
      h("div", {}, h("h4", {}, "Process tree"), self ? processTree(self, found) : h("p", { class: "hint" }, row.process_guid ? "The creates of this process are not in this page; `huntbeam serve` shows them." : row.rule_type && row.rule_type !== "rule" ? "A correlation is about several events." : "The event has no ProcessGuid.")),
      h("div", {},
        h("h4", {}, "Event"), h("p", { class: "hint" }, "What made the rule match is marked."), fieldsOf(row),
        h("h4", {}, "Rule"),
        h("dl", { class: "fields" },
          pair("id", row.rule_id), pair("author", row.author), pair("ATT&CK", (row.attack || []).map((id) => [attackLink(id), h("br")])),
          pair("tags", (row.tags || []).join(", ")), pair("references", (row.references || []).map((r) => [link(r), h("br")])),
          row.rule_type && row.rule_type !== "rule" ? pair("correlation", `${row.rule_type}, ${row.first_seen} to ${row.last_seen}`) : null,
          row.suppressed_count ? pair("held back", plural(row.suppressed_count, "further alert")) : null,
          row.truncated ? pair("not all of it", "Of more than 10,000 events some were given up.") : null,
          same.length ? pair("of the same events", same.map((a) => [`${time(a.t)} ${a.rule_title}`, h("br")])) : null,
          row.contributing_count > 1 ? pair("events", `${number(row.contributing_count)}: ${(row.contributing || []).slice(0, 5).join(", ")}${row.contributing_count > 5 ? ", …" : ""}`) : null),
        text ? h("pre", { tabindex: 0, "aria-label": "Text of the rule" }, text) : h("p", { class: "hint" }, "Its text is here when the report is made with --rules PATH."))));
}

// Other alerts that share an event with this one: what a correlation is made of.
function sameEvents(row, all) {
  const events = new Set(row.contributing || []);
  return all.filter((other) => other.event_uid !== row.event_uid && (other.contributing || []).some((uid) => events.has(uid))).slice(0, 20);
}

const pair = (name, value) => (value && value.length !== 0 ? [h("dt", {}, name), h("dd", {}, value)] : null);

function fieldsOf(row) {
  const matched = row.matched || {};
  const event = { ...matched, ...(row.event || {}) };
  const names = Object.keys(event).sort((a, b) => (b in matched) - (a in matched));
  return h("dl", { class: "fields" }, names.map((name) => [h("dt", {}, name in matched ? h("b", {}, name) : name), h("dd", { class: "code" }, name in matched ? h("mark", {}, event[name] ?? "–") : event[name] ?? "–")]));
}

function processTree(self, found) {
  const above = [];
  const seen = new Set([self.guid]);
  for (let p = self; p && p.parent && !seen.has(p.parent); ) {
    seen.add(p.parent);
    const next = found[`${p.host}|${p.parent}`] || { host: p.host, guid: p.parent, path: p.parent_path, command: p.parent_command, created: false, children: [], connects: [] };
    above.unshift(next);
    p = next;
  }
  const below = h("ul", {}, self.children.map((guid) => found[`${self.host}|${guid}`]).filter(Boolean).map((p) => h("li", {}, processLine(p))),
    self.children_total > self.children.length ? h("li", { class: "hint" }, `and ${number(self.children_total - self.children.length)} more children`) : null,
    connectsOf(self));
  let inner = h("li", {}, h("div", { class: "self" }, processLine(self, true)), below);
  for (const p of above.reverse()) inner = h("li", {}, processLine(p), h("ul", {}, inner));
  return h("ul", { class: "tree" }, inner);
}

function processLine(p, self = false) {
  return h("div", {},
    h("span", { class: "who" }, base(p.path) || "unknown process"), " ",
    h("span", { class: "meta" }, [p.pid && `pid ${p.pid}`, p.user, p.integrity, p.t === null || p.t === undefined ? null : time(p.t), p.created ? null : "its create is not in these data"].filter(Boolean).join(" · ")),
    p.command && h("div", { class: "code" }, p.command),
    self && p.hashes && h("div", { class: "meta code" }, p.hashes));
}

function connectsOf(p) {
  if (!p.connects.length) return null;
  const groups = added(p.connects.map(([t, ip, port, name, protocol]) => ({ t, ip, port, name: name === "-" ? null : name, protocol, n: 1 })), (c) => ({ ip: c.ip, port: c.port, name: c.name, protocol: c.protocol }));
  return h("li", {}, h("div", { class: "meta" }, `${plural(p.connects_total, "connection")}${p.connects_total > p.connects.length ? `, the first ${number(p.connects.length)} here` : ""}:`),
    h("ul", {}, groups.map((g) => h("li", { class: "code" }, `→ ${g.ip ?? "–"}:${g.port ?? "–"}${g.name ? ` (${g.name})` : ""} ${g.protocol || ""}${g.n > 1 ? ` × ${number(g.n)}` : ""}`))));
}
