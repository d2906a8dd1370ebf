// The page: header, timeline, tabs; and in `huntbeam serve` the look for what is new.

const panels = [
  { id: "overview", label: "Overview", make: overview, there: () => true },
  { id: "alerts", label: "Alerts", make: alertsPanel, there: () => has("alerts"), count: "alerts" },
  { id: "connections", label: "Connections", make: connectionsPanel, there: () => has("sysmon_join") || has("sysmon_network_connect"), count: "sysmon_join" },
  { id: "windows", label: "Windows", make: windowsPanel, there: () => has("window_counts") || has("anomalies"), count: "anomalies" },
  { id: "monster", label: "Monster", make: monsterPanel, there: () => has("monster_events"), count: "monster_events" },
  { id: "quality", label: "Data quality", make: qualityPanel, there: () => true, count: "dead_letters" },
];
let shownPanel = null;
const main = document.getElementById("main");
const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" });
const problem = h("p", { class: "note problem", role: "alert", hidden: true });
const time_line = timeline(() => {
  for (const panel of panels) panel.stale = true;
  refresh();
});

function build() {
  for (const panel of panels.filter((p) => p.there() && !p.node)) {
    panel.tab = h("button", { type: "button", role: "tab", id: `tab-${panel.id}`, "aria-controls": panel.id, onclick: () => go(panel.id) }, panel.label, h("span", { class: "count" }));
    Object.assign(panel, panel.make(go));
    panel.place = h("div", { role: "tabpanel", id: panel.id, "aria-labelledby": `tab-${panel.id}`, hidden: true }, panel.node);
    panel.stale = true;
  }
  const there = panels.filter((p) => p.node);
  fill(tabs, there.map((p) => p.tab));
  for (const p of there) {
    if (!p.place.isConnected) main.append(p.place);
    fill(p.tab.querySelector(".count"), p.count && p.count in STATE.streams ? number(STATE.streams[p.count]) : "");
  }
}

// Shows a view; with a text to look for in its first table.
function go(id, focus = true, text = null) {
  const panel = panels.find((p) => p.id === id && p.node) || panels[0];
  shownPanel = panel;
  for (const p of panels.filter((p) => p.node)) {
    p.tab.setAttribute("aria-selected", String(p === panel));
    p.tab.tabIndex = p === panel ? 0 : -1;
    p.place.hidden = p !== panel;
  }
  if (focus) panel.tab.focus({ preventScroll: false });
  history.replaceState(null, "", `#/${panel.id}`); // no element's id: the browser would scroll there
  return refresh().then(() => text !== null && panel.find && panel.find(text));
}

async function refresh() {
  if (!shownPanel || !shownPanel.stale) return repaint();
  shownPanel.stale = false;
  main.setAttribute("aria-busy", "true");
  try {
    await shownPanel.update();
    shownPanel.place.classList.add("drawn");
    problem.hidden = true;
  } catch (error) {
    shownPanel.stale = true;
    problem.hidden = false;
    fill(problem, `This view could not be read: ${error.message}`);
  }
  main.removeAttribute("aria-busy");
  return repaint();
}

tabs.addEventListener("keydown", (event) => {
  const there = panels.filter((p) => p.node);
  const at = there.indexOf(shownPanel);
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + there.length, Home: 0, End: there.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  go(there[next % there.length].id);
});

addEventListener("beforeprint", () => document.documentElement.setAttribute("data-theme", "light"));
addEventListener("afterprint", () => setTheme(themeNow));
// Printing shows every view: all of them are drawn before.
async function printed() {
  const before = shownPanel;
  for (const panel of panels.filter((p) => p.node)) await go(panel.id, false);
  for (const panel of panels.filter((p) => p.node)) panel.place.hidden = false;
  setTheme("light");
  await repaintAll();
  print();
  setTheme(themeNow);
  await go(before.id, false);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
let themeNow = "auto";
function setTheme(theme) {
  document.documentElement.setAttribute("data-theme", theme === "auto" ? (dark.matches ? "dark" : "light") : theme);
  return repaintAll();
}
dark.addEventListener("change", () => setTheme(themeNow));

function header() {
  const next = { auto: "light", light: "dark", dark: "auto" };
  const button = h("button", { class: "tool", type: "button", onclick: () => {
    themeNow = next[themeNow];
    fill(button, `Theme: ${themeNow}`);
    setTheme(themeNow);
  } }, "Theme: auto");
  const live = h("span", { class: "hint", id: "live", role: "status" });
  fill(document.getElementById("top"), h("h1", {}, "HuntBeam"), h("p", { class: "say", id: "say" }), live,
    h("div", { class: "row" }, h("button", { class: "tool", type: "button", onclick: printed }, "Print"), button));
  fill(document.getElementById("foot"), `HuntBeam ${DATA.version}. ${DATA.live ? "Served live from this machine." : `Made ${DATA.made}; nothing in this page is fetched from anywhere.`} Charts: Vega-Lite. Land: Natural Earth.`);
}

function say() {
  const { first, last } = grid();
  const rows = Object.values(STATE.streams).reduce((a, b) => a + b, 0);
  fill(document.getElementById("say"), "What happened in ", h("b", {}, DATA.folder), last ? [": ", h("b", {}, seconds(bucketStart(0))), " to ", h("b", {}, seconds(Math.min(last, gridEnd()))), " UTC, "] : ", ", plural(rows, "row"), " in ", plural(Object.keys(STATE.streams).length, "stream"), ".");
}

async function look() {
  try {
    const state = await fetched("api/state");
    fill(document.getElementById("live"), `live, looked at ${new Date().toISOString().slice(11, 19)} UTC`);
    if (state.number !== STATE.number) {
      STATE = state;
      cache.clear();
      build();
      say();
      for (const panel of panels) panel.stale = true;
      await time_line.update();
      await refresh();
    }
  } catch (error) {
    fill(document.getElementById("live"), `not reached (${error.message}); what is here is from before`);
  }
  setTimeout(look, DATA.live * 1000);
}

async function start() {
  header();
  setTheme("auto");
  main.replaceChildren(problem, time_line.node, tabs);
  build();
  say();
  await time_line.update();
  await go(location.hash.slice(2) || "overview", false);
  document.documentElement.setAttribute("data-ready", "true");
  if (DATA.live) setTimeout(look, DATA.live * 1000);
}
start().catch((error) => {
  problem.hidden = false;
  main.prepend(problem);
  fill(problem, `The page could not be shown: ${error.message}`);
  console.error(error);
});
